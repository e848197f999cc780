"""Queries as keyword arguments: `search(from_="bob", unread=True, since="7d")`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, tzinfo

from agent.errors import CommandError, did_you_mean
from agent.mail.query import HAS_NAMES, IS_NAMES, Node, all_of, any_of, none_of
from agent.mail.query_fields import DATE_FIELDS, FIELDS, WORD_FIELDS, literal, simple, state

_NUMBERED = ("larger", "smaller", "id", "thread")

Value = str | bool | int | date | Iterable[str]


def from_keywords(now: float, tz: tzinfo | None = None, /, **terms: Value) -> Node:
    """Make a query of keyword arguments, all of which must hold.

    The names are those of the fields, with `_` after Python's own words, and the names behind `is:`
    and `has:` with True or False; `text` takes words of which all must occur. Texts are taken as
    they are, a list means any of its members. Dates may be date or datetime, sizes numbers.
    Raises CommandError.
    """
    return all_of(_term(name.rstrip("_"), value, now, tz) for name, value in terms.items())


def _term(name: str, value: Value, now: float, tz: tzinfo | None) -> Node:
    if isinstance(value, bool):
        node = state(name)
        return node if value else none_of(node)
    if name not in (*FIELDS, "text"):
        known = (*FIELDS, "text", *IS_NAMES, *HAS_NAMES)
        raise CommandError(f"cannot search by {name!r}{did_you_mean(name, known)}")
    if isinstance(value, str):
        return _text(name, value, now, tz)
    if isinstance(value, date) and name in DATE_FIELDS:
        return simple(name, _written(value, tz), now, tz)
    if isinstance(value, int) and name in _NUMBERED:
        return simple(name, str(value), now, tz)
    if isinstance(value, Iterable):
        return any_of(_text(name, item, now, tz) for item in value)
    raise CommandError(f"cannot search by {name}={value!r}; write it as a text")


def _text(name: str, value: str, now: float, tz: tzinfo | None) -> Node:
    if name == "text":
        return all_of(literal("any", word) for word in value.split())
    return literal(name, value) if name in WORD_FIELDS else simple(name, value, now, tz)


def _written(value: date, tz: tzinfo | None) -> str:
    """Write a date so that it is read back as the same day or second."""
    if not isinstance(value, datetime):
        return value.isoformat()
    return value.replace(microsecond=0, tzinfo=value.tzinfo or tz).isoformat()
