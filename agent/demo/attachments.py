"""The files that sample messages carry, made in code; small, and readable by the usual programs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta


def attachment(name: str, now: datetime) -> bytes:
    """Return the content of a sample file; raises KeyError for a name that no message uses."""
    makers: dict[str, Callable[[], bytes]] = {
        "plan.pdf": lambda: pdf("Summer house: plan of the ground floor"),
        "bill.pdf": lambda: pdf(f"Harbour Power - bill of {now:%d %B %Y} - 41.80"),
        "costs.csv": _costs,
        "door.png": lambda: png(64, 48, (0x1D, 0x4E, 0x89), (0x7F, 0xB2, 0xE5)),
        "invite.ics": lambda: _invitation(now + timedelta(days=3)),
    }
    return makers[name]()


def pdf(line: str) -> bytes:
    """Return a PDF of one page with one line of text."""
    text = line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    content = f"BT /F1 18 Tf 72 760 Td ({text}) Tj ET".encode("latin-1", "replace")
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    result, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(result))
        result += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(result)
    result += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    result += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    result += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(result)


def png(width: int, height: int, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> bytes:
    """Return a picture that fades from one colour to the other."""
    rows = bytearray()
    for y in range(height):
        colour = bytes(a + (b - a) * y // (height - 1) for a, b in zip(top, bottom, strict=True))
        rows += b"\0" + colour * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _costs() -> bytes:
    lines = (
        "what,who,amount",
        "roof,Zimmerei Brandt,18400.00",
        "windows,Ålund & Söner,7250.50",
        '"paint, door",ourselves,64.90',
        "soup for everybody,Ada,35.00",
    )
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8")


def _invitation(day: datetime) -> bytes:
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//lindqvist.example//calendar//EN",
        "METHOD:REQUEST",
        "BEGIN:VEVENT",
        "UID:boat-planning-1@lindqvist.example",
        f"DTSTAMP:{day:%Y%m%d}T080000Z",
        f"DTSTART:{day:%Y%m%d}T180000Z",
        f"DTEND:{day:%Y%m%d}T190000Z",
        "SUMMARY:Planning the boat trip",
        "LOCATION:Café Linné",
        "ORGANIZER;CN=Emma Lindqvist:mailto:emma@lindqvist.example",
        "ATTENDEE;CN=Robin Example;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:robin@demo.example",
        "SEQUENCE:0",
        "END:VEVENT",
        "END:VCALENDAR",
    )
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8")
