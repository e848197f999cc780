"""The mbox format (RFC 4155), one file with all messages; body lines quoted as in mboxrd.

Flags and tags stand in Status, X-Status and X-Keywords at the very top of a message, where mutt and
Dovecot read them too. Only there are they taken off again: the rest of a message is left as it is.
"""

from __future__ import annotations

import calendar
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from agent.archive.found import LARGEST, Found, Label, tags_of, with_crlf, with_lf
from agent.errors import CommandError
from agent.mail import flags as words

_PIECE = 1 << 20  # octets of a line read at once: a file without line ends must not fill the memory
_SEPARATOR = 1000  # octets; a longer line is none
_MONTHS = {name: n for n, name in enumerate(calendar.month_abbr) if name}
_FROM = re.compile(
    rb"From .*?\b(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) +(?P<hour>\d\d):(?P<minute>\d\d)"
    rb"(?::(?P<second>\d\d))?\b.*?\b(?P<year>\d{4})\b"
)
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_TO_QUOTE = re.compile(rb"^(>*From )", re.MULTILINE)
_OURS = (b"Status:", b"X-Status:", b"X-Keywords:")  # as they are written, in this order
_STATUS = re.compile(rb"^(Status|X-Status):[ \t]*([A-Z]*)[ \t]*\r?$", re.MULTILINE)
_LETTERS = {"R": words.SEEN, "A": words.ANSWERED, "F": words.FLAGGED, "T": words.DRAFT, "D": words.DELETED,
            "P": words.FORWARDED}  # fmt: skip


def is_mbox(start: bytes) -> bool:
    """Tell from its first octets whether a file is an mbox."""
    return start.startswith(b"From ")


def read(path: Path) -> Iterator[Found]:
    """Yield the messages of an mbox in their order, one at a time in memory; raises OSError."""
    with path.open("rb") as file:
        number, separator = 0, file.readline(_PIECE)
        while separator:
            number += 1
            raw, following = _message(file)
            place = f"{path}, message {number}"
            if raw is None:
                problem = f"larger than {LARGEST >> 20} MiB"
                yield Found(place, b"", read=file.tell(), problem=problem)
            else:
                yield _found(place, separator, raw, file.tell())
            separator = following


def _message(file: BinaryIO) -> tuple[bytes | None, bytes]:
    """Return the lines up to the next separator, and that separator; None for what is too large."""
    lines: list[bytes] = []
    octets, blank, whole = 0, True, True
    while line := file.readline(_PIECE):
        # A separator follows a blank line and has a date; anything else is text somebody forgot to quote.
        if blank and whole and line.startswith(b"From ") and len(line) < _SEPARATOR and _FROM.match(line):
            break
        blank, whole = line in (b"\n", b"\r\n"), line.endswith(b"\n")
        octets += len(line)
        if octets <= LARGEST:
            lines.append(line)
    if octets > LARGEST:
        return None, line
    if lines and lines[-1] in (b"\n", b"\r\n"):
        lines.pop()  # belongs to the separator
    return b"".join(lines), line


def _found(place: str, separator: bytes, raw: bytes, read: int) -> Found:
    if not raw.strip():
        return Found(place, b"", read=read, problem="there is nothing in it")
    bits, tags = 0, ""
    for name in _OURS:
        if not raw.startswith(name):
            continue
        line, _, raw = raw.partition(b"\n")
        value = line[len(name) :].decode("ascii", "replace").strip()
        if name == b"X-Keywords:":
            tags = value
        else:
            bits |= _bits(value)
    head = raw[: raw.find(b"\n\n") + 1] if b"\n\n" in raw else raw[:65536]
    for _, value in _STATUS.findall(head):
        bits |= _bits(value.decode("ascii"))
    raw = _QUOTED.sub(rb"\1", raw)
    return Found(place, with_crlf(raw), bits, tags_of(tags), _time(separator), read)


def _bits(letters: str) -> int:
    bits = 0
    for letter in letters:
        bits |= _LETTERS.get(letter, 0)
    return bits


def _time(separator: bytes) -> int | None:
    match = _FROM.match(separator)
    if match is None or match["month"].decode() not in _MONTHS:
        return None
    numbers = (match[name] for name in ("day", "hour", "minute", "second"))
    day, hour, minute, second = (int(number or 0) for number in numbers)
    if not (1 <= day <= 31 and hour < 24 and minute < 60 and second < 62):
        return None
    year = int(match["year"])
    moment = calendar.timegm((year, _MONTHS[match["month"].decode()], day, hour, minute, second))
    return moment if moment >= 0 else None


class MboxWriter:
    """Writes a new mbox; it appears under its name when it is complete, and never over another file."""

    def __init__(self, path: Path) -> None:
        if os.path.lexists(path):
            raise CommandError(f"{path} is there already; name another file")
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._part, flags, 0o600), "wb")

    def add(self, raw: bytes, label: Label) -> bool:
        """Write one message; always returns True: nothing was there before."""
        stamp = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(label.received))
        fits = label.sender.isascii() and label.sender.isprintable() and " " not in label.sender
        address = label.sender if fits else ""
        head = [f"From {address or 'MAILER-DAEMON'} {stamp}"]
        status = "".join(letter for letter in "AFTDP" if label.flags & _LETTERS[letter])
        head.append(f"Status: {'RO' if label.flags & words.SEEN else 'O'}")
        head += [f"X-Status: {status}"] if status else []
        head += [f"X-Keywords: {' '.join(label.tags)}"] if label.tags else []
        body = _TO_QUOTE.sub(rb">\1", with_lf(raw))
        self._file.write("\n".join(head).encode("ascii", "replace") + b"\n" + body)
        self._file.write(b"\n" if body.endswith(b"\n") else b"\n\n")
        return True

    def close(self) -> None:
        """Put the finished file under its name; raises CommandError when something is there by now."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.link(self._part, self._path, follow_symlinks=False)
        except FileExistsError:
            raise CommandError(f"{self._path} is there already; name another file") from None
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what is not complete."""
        self._file.close()
        self._part.unlink(missing_ok=True)
