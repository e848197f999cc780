"""What a reader finds in files: one message and what the file says about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

LARGEST = 256 << 20  # octets of one message; what is larger is no mail
_LINE_END = re.compile(rb"\r?\n")
_TAG = re.compile(r"[!#$&\'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Found:
    """One message of a file, its bytes with CRLF; or why it cannot be taken (`problem`)."""

    place: str  # for people: the file, and the number in it
    raw: bytes
    flags: int = 0
    tags: tuple[str, ...] = ()
    received: int | None = None  # seconds since 1970; None where the file does not tell
    read: int = 0  # octets of the source that have been read when it is found
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """What is written about a message beside its bytes."""

    key: str  # names the message and its bytes: letters and digits
    flags: int
    tags: tuple[str, ...]
    sender: str
    subject: str
    received: int  # seconds since 1970


def with_crlf(raw: bytes) -> bytes:
    """Return bytes with CRLF at every line end, as the wire has them."""
    return _LINE_END.sub(b"\r\n", raw)


def with_lf(raw: bytes) -> bytes:
    """Return bytes with LF at every line end, as files on Unix have them."""
    return raw.replace(b"\r\n", b"\n")


def tags_of(text: str) -> tuple[str, ...]:
    """Return the words of a text that can be tags (IMAP atoms)."""
    return tuple(sorted({word for word in text.split() if _TAG.fullmatch(word)}))
