"""Flags and tags: the agent's words, the bits the store keeps, and the words on the wire.

A flag is one of six system words; every other IMAP keyword is a tag (RFC 9051 section 2.3.2).
"""

from __future__ import annotations

from collections.abc import Iterable

FLAGS = ("seen", "flagged", "answered", "draft", "deleted", "forwarded")
SEEN, FLAGGED, ANSWERED, DRAFT, DELETED, FORWARDED = (1 << n for n in range(len(FLAGS)))

_WIRE = {
    "seen": "\\Seen",
    "flagged": "\\Flagged",
    "answered": "\\Answered",
    "draft": "\\Draft",
    "deleted": "\\Deleted",
    "forwarded": "$Forwarded",
}
_BIT_BY_WIRE = {wire.lower(): 1 << n for n, wire in enumerate(_WIRE[flag] for flag in FLAGS)}


def bits(flags: Iterable[str]) -> int:
    """Return the bit set of flags given as words; raises KeyError for a word that is no flag."""
    result = 0
    for flag in flags:
        result |= 1 << FLAGS.index(flag) if flag in FLAGS else _unknown(flag)
    return result


def _unknown(flag: str) -> int:
    raise KeyError(f"unknown flag {flag!r}; known are {', '.join(FLAGS)}")


def words(bits: int) -> frozenset[str]:
    """Return the flags of a bit set as words."""
    return frozenset(flag for n, flag in enumerate(FLAGS) if bits >> n & 1)


def from_wire(keywords: Iterable[str]) -> tuple[int, frozenset[str]]:
    """Split the flags of an IMAP response into flag bits and tags; \\Recent is dropped."""
    result, tags = 0, set()
    for keyword in keywords:
        bit = _BIT_BY_WIRE.get(keyword.lower())
        if bit:
            result |= bit
        elif not keyword.startswith("\\"):
            tags.add(keyword)
    return result, frozenset(tags)


def to_wire(bits: int, tags: Iterable[str] = ()) -> list[str]:
    """Return the IMAP words of flag bits and tags."""
    return [_WIRE[flag] for n, flag in enumerate(FLAGS) if bits >> n & 1] + sorted(tags)
