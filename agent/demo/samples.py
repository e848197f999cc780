"""The sample mail: agent/demo/mail/*.eml, made into messages as they come over the wire.

The files are written for people. Fields that begin with `Demo-` say where a message goes and are
taken out: Demo-Account, Demo-Folder, Demo-Flags, Demo-When (`2h 15m` before now, or `3d 09:30 +0100`:
that clock time, three days ago), Demo-Charset (of the body, utf-8 unless said). Words beyond ASCII in
the header are encoded, Date, Return-Path and MIME fields are added where they are missing.
`{{+3d %A}}` stands for a day relative to now, `{{base64 plan.pdf}}` for a file of attachments.py.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from importlib import resources

from agent.demo.attachments import attachment
from agent.mail import flags as flag_words

_AGO = re.compile(r"(?:(\d+)h)? ?(?:(\d+)m)?$")
_DAYS_AGO = re.compile(r"(\d+)d (\d\d):(\d\d) ([+-])(\d\d)(\d\d)$")
_MARK = re.compile(r"\{\{(?:([+-]\d+)d ([^}]+)|base64 ([\w.]+))\}\}")
# From the first word that is not ASCII to the last, but never over the limits of a phrase.
_NOT_ASCII = re.compile(r'[^\s<>",;:]*[^\x00-\x7f](?:[^<>",;:]*[^\x00-\x7f])?[^\s<>",;:]*')
_PLAIN = "MIME-Version: 1.0\nContent-Type: text/plain; charset={}\nContent-Transfer-Encoding: 8bit"


@dataclass(frozen=True, slots=True)
class Sample:
    """A message and its place; `flags` are words of the wire."""

    account: str
    folder: str
    flags: tuple[str, ...]
    received: float
    raw: bytes


def load_samples(now: float) -> list[Sample]:
    """Return the sample mail as it would lie there at the time `now`, oldest first."""
    folder = resources.files(__package__) / "mail"
    names = [entry.name for entry in folder.iterdir() if entry.name.endswith(".eml")]
    texts = [(folder / name).read_text("utf-8") for name in names if name != "arrival.eml"]
    return sorted((_sample(text, now) for text in texts), key=lambda sample: sample.received)


def arrival(now: float) -> Sample:
    """Return the message that comes a while after the start."""
    return _sample((resources.files(__package__) / "mail" / "arrival.eml").read_text("utf-8"), now)


def encode_field(line: str) -> str:
    """Return a header line with its words beyond ASCII as encoded words (RFC 2047)."""
    return _NOT_ASCII.sub(lambda words: encode_words(words[0]), line)


def encode_words(text: str) -> str:
    """Return text as encoded words of at most 75 characters, folded."""
    pieces, piece = [], ""
    for character in text:
        if len((piece + character).encode("utf-8")) > 42:
            pieces.append(piece)
            piece = ""
        piece += character
    pieces.append(piece)
    encoded = (base64.b64encode(piece.encode("utf-8")).decode("ascii") for piece in pieces)
    return "\n ".join(f"=?utf-8?B?{word}?=" for word in encoded)


def _sample(text: str, now: float) -> Sample:
    head, _, body = text.partition("\n\n")
    demo = dict(re.findall(r"^Demo-(\w+): (.*)$", head, re.MULTILINE))
    head = re.sub(r"^Demo-.*\n", "", head, flags=re.MULTILINE)
    today = datetime.fromtimestamp(now, UTC)
    when = _when(demo.get("When", "0m"), today)
    charset = demo.get("Charset", "utf-8")
    folder = demo.get("Folder", "INBOX")
    lines = [encode_field(_filled(line, today)) for line in head.split("\n")]
    fields = {line.partition(":")[0].lower() for line in lines if not line.startswith(" ")}
    if "return-path" not in fields and folder not in ("Sent", "Drafts"):
        lines.insert(0, f"Return-Path: <{_sender(head)}>")
    lines.append(f"Date: {format_datetime(when)}")
    if "content-type" not in fields:
        lines.append(_PLAIN.format(charset))
    header = "\n".join(lines).replace("\n", "\r\n").encode("ascii")
    content = _filled(body, today).replace("\n", "\r\n").encode(charset)
    words = demo.get("Flags", "").split()
    bits = flag_words.bits(word for word in words if word in flag_words.FLAGS)
    tags = [word for word in words if word not in flag_words.FLAGS]
    return Sample(
        account=demo.get("Account", "demo"),
        folder=folder,
        flags=tuple(flag_words.to_wire(bits, tags)),
        received=when.timestamp(),
        raw=header + b"\r\n\r\n" + content,
    )


def _when(text: str, now: datetime) -> datetime:
    if found := _DAYS_AGO.match(text):
        days, hour, minute, sign, zone_hours, zone_minutes = found.groups()
        offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
        zone = timezone(-offset if sign == "-" else offset)
        day = now.astimezone(zone) - timedelta(days=int(days))
        return day.replace(hour=int(hour), minute=int(minute), second=7, microsecond=0)
    if found := _AGO.match(text):
        hours, minutes = found.groups("0")
        return (now - timedelta(hours=int(hours), minutes=int(minutes))).replace(microsecond=0)
    raise ValueError(f"Demo-When: cannot read {text!r}")


def _filled(text: str, now: datetime) -> str:
    def fill(mark: re.Match[str]) -> str:
        days, form, name = mark.groups()
        if name:
            return base64.encodebytes(attachment(name, now)).decode("ascii").rstrip("\n")
        return (now + timedelta(days=int(days))).strftime(form)

    return _MARK.sub(fill, text) if "{{" in text else text


def _sender(head: str) -> str:
    fields: dict[str, str] = dict(
        re.findall(r"^(Sender|From): .*?([^\s<>]+@[^\s<>]+)>?$", head, re.MULTILINE)
    )
    return fields.get("Sender") or fields.get("From", "")
