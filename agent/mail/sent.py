"""The Date header: when a message says it was sent. Pure; takes what senders write, not only RFC 5322."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache

_USUAL = re.compile(
    r"\s*(?:[A-Za-z]{3}, ?)?(\d\d?) ([A-Za-z]{3}) (\d{4}) ([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?"
    r" ([+-])(\d\d)([0-5]\d)\s*(?:\([^()]*\)\s*)?\Z"
)
_ISO = re.compile(r"\s*(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?")
_COMMENT = re.compile(r"\([^()]*\)")
_DOTTED_TIME = re.compile(r"\b(\d\d?)\.(\d\d)\.(\d\d)\b(?=\s|\Z)")
_NO_ZONE = re.compile(r"\s+[\"']?[A-Za-z/_ ]+[\"']?\Z")
_MONTHS = {name: n + 1 for n, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split())}
_EPOCH = date(1970, 1, 1).toordinal()
_NESTED = 3  # comments within comments
_LONGEST = 200
_YEARS = range(1900, 10_000)


def parse_date(text: str) -> int | None:
    """Return seconds since 1970, None when the text is no date; a date without a zone is taken as UTC."""
    if found := _USUAL.match(text):
        day, month, year, hour, minute, second, sign, zone_hour, zone_minute = found.groups()
        midnight = _midnight(day, month, year)
        if midnight is not None:
            offset = int(zone_hour) * 3600 + int(zone_minute) * 60
            at = midnight + int(hour) * 3600 + int(minute) * 60 + int(second or 0)
            return at + offset if sign == "-" else at - offset
    return _unusual(text[:_LONGEST])


@lru_cache(maxsize=4096)
def _midnight(day: str, month: str, year: str) -> int | None:
    try:
        return (date(int(year), _MONTHS[month.lower()], int(day)).toordinal() - _EPOCH) * 86400
    except (KeyError, ValueError):
        return None


def _unusual(text: str) -> int | None:
    """Read ISO 8601, and what the standard library makes of the rest."""
    if found := _ISO.match(text):
        try:
            zone = (found[3] or "Z").replace("Z", "+00:00")
            return int(datetime.fromisoformat(f"{found[1]}T{found[2]}{zone}").timestamp())
        except (ValueError, OverflowError):
            return None
    for _ in range(_NESTED):
        text = _COMMENT.sub(" ", text)
    text = _DOTTED_TIME.sub(r"\1:\2:\3", text)
    for candidate in (text, _NO_ZONE.sub("", text.rstrip())):
        at = _library(candidate)
        if at is not None:
            return at
    return None


def _library(text: str) -> int | None:
    from email.utils import parsedate_tz  # seldom needed, and a dozen modules

    try:
        found = parsedate_tz(text)
        if found is None or found[0] not in _YEARS:
            return None
        zone = timezone(timedelta(seconds=found[9] or 0))
        return int(datetime(*found[:6], tzinfo=zone).timestamp())
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None
