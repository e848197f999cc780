"""APPEND, of one message or of many with one command (MULTIAPPEND, RFC 3502): words and answers; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.errors import CommandError
from agent.net.base import Letter
from agent.net.imap_syntax import uid_list, wire_date

_APPENDUID = re.compile(rb"\[APPENDUID (\d+) ([\d:,]+)\]", re.IGNORECASE)
_KEYWORD = re.compile(r"\\?[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")


def ensure_keywords(words: Sequence[str]) -> None:
    """Raise CommandError for a word that no IMAP server takes as a flag."""
    for word in words:
        if not _KEYWORD.fullmatch(word):
            raise CommandError(f"{word!r} cannot be a tag on an IMAP server; use letters and digits")


def words_of(letters: Sequence[Letter], *, binary: bool) -> list[str | bytes]:
    """Return what follows the folder in the command; `binary`: the server takes NUL octets.

    Raises CommandError before anything of it could go to the wire.
    """
    words: list[str | bytes] = []
    for letter in letters:
        ensure_keywords(letter.flags)
        if not binary and b"\0" in letter.raw:
            raise CommandError("the server cannot store NUL octets (it has no BINARY)")
        words.append(f"({' '.join(letter.flags)})")
        if letter.received is not None:
            words.append(wire_date(letter.received))
        words.append(letter.raw)
    return words


def uids_of(answer: bytes, count: int) -> tuple[int, list[int]] | None:
    """Return UIDVALIDITY and the new UIDs in the order of the messages; None when the server does not tell."""
    match = _APPENDUID.search(answer)
    if match is None:
        return None
    uids = uid_list(match[2], count + 1)
    return (int(match[1]), uids) if len(uids) == count else None
