"""What each field of the query language means: `newer:7d`, `size:10k..1M`, `is:unread`. Pure.

Shared by the typed language (query_parse.py) and the keyword form (query_keywords.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import tzinfo

from agent.errors import CommandError, did_you_mean
from agent.mail import dates
from agent.mail.query import (
    HAS_NAMES,
    IS_NAMES,
    PERSON_FIELDS,
    Date,
    Has,
    Id,
    In,
    InAccount,
    Is,
    Node,
    Person,
    Size,
    Tag,
    ThreadOf,
    Words,
)
from agent.mail.words import tokens

WORD_FIELDS = ("subject", "body", "filename")
DATE_FIELDS = ("since", "before", "on", "newer", "older", "date", "received")
SIZE_FIELDS = ("larger", "smaller", "size")
NAME_FIELDS = ("in", "account", "tag", "id", "thread")
FIELDS = (*PERSON_FIELDS, *WORD_FIELDS, *NAME_FIELDS, "is", "has", *DATE_FIELDS, *SIZE_FIELDS)

# What users of other clients call it.
_SYNONYMS = {
    "unseen": "unread",
    "seen": "read",
    "starred": "flagged",
    "replied": "answered",
    "passed": "forwarded",
    "auto": "automatic",
    "trashed": "deleted",
    "attachments": "attachment",
    "invitation": "calendar",
}

_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,3})?) ?([kmg]?)i?b?", re.IGNORECASE)
_UNIT = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def simple(field: str, value: str, now: float, tz: tzinfo | None) -> Node:
    """Make the node of any field but those of WORD_FIELDS; raises CommandError."""
    if not value:
        raise CommandError(f"{field}: needs a value")
    if field in PERSON_FIELDS:
        return Person(field, value)
    if field in NAME_FIELDS:
        return _NAMED[field](value)
    if field in ("is", "has"):
        return state(value, IS_NAMES if field == "is" else HAS_NAMES)
    return _size(field, value) if field in SIZE_FIELDS else _date(field, value, now, tz)


def literal(field: str, text: str, *, prefix: bool = False) -> Words:
    """Make a node of words that are taken as they are; raises CommandError when there is no word in it."""
    if not tokens(text):
        raise CommandError(f"nothing to look for in {text!r}: words consist of letters and digits")
    return Words(field, text, "prefix" if prefix else "word")


def state(name: str, known: tuple[str, ...] = (*IS_NAMES, *HAS_NAMES)) -> Is | Has:
    """Make the node of `is:name` or `has:name`; raises CommandError."""
    word = _SYNONYMS.get(name.lower(), name.lower())
    if word not in known:
        hint = did_you_mean(word, known) or f"; known are {', '.join(known)}"
        raise CommandError(f"unknown {'has' if known == HAS_NAMES else 'is'}:{name}{hint}")
    return Is(word) if word in IS_NAMES else Has(word)


def octets(text: str) -> int:
    """Return the octets of `500`, `10k`, `1.5M` or `1G` (powers of 1024). Raises CommandError."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise CommandError(f"cannot read the size {text!r}; write it like 500, 10k or 1.5M")
    unit = _UNIT[match[2].lower()]
    return int(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def _bare_id(value: str) -> str:
    return value.strip().removeprefix("<").removesuffix(">")


_NAMED: dict[str, Callable[[str], Node]] = {
    "in": In,
    "account": InAccount,
    "tag": Tag,
    "id": lambda text: Id(_bare_id(text)),
    "thread": lambda text: ThreadOf(_bare_id(text)),
}


def _date(field: str, value: str, now: float, tz: tzinfo | None) -> Node:
    first, dots, last = value.partition("..")
    if field in ("date", "received") and dots:
        since = dates.date_range(first, now, tz)[0] if first else None
        return Date(field, since, _end(last, now, tz) if last else None)
    since, before = dates.date_range(value, now, tz)
    if field in ("since", "newer"):
        return Date("date", since)
    if field in ("before", "older"):
        return Date("date", None, since)
    return Date("received" if field == "received" else "date", since, before)


def _end(last: str, now: float, tz: tzinfo | None) -> int:
    """Return the end of a range: `..2026-11` takes the whole month in, `..1w` ends a week ago."""
    since, before = dates.date_range(last, now, tz)
    return since if dates.is_point(last) else before


def _size(field: str, value: str) -> Node:
    if field == "larger":
        return Size(larger=octets(value))
    if field == "smaller":
        return Size(smaller=octets(value))
    least, dots, most = value.partition("..")
    if not dots:
        raise CommandError(f"cannot read the sizes {value!r}; write size:10k..1M")
    return Size(octets(least) if least else None, octets(most) if most else None)
