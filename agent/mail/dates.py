"""Dates and spans of time as people type them: `yesterday`, `2026-11`, `last week`, `7d`, `mon 9:00`.

Pure: the present moment and the time zone are arguments. A time zone of None is the machine's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from agent.errors import CommandError

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "mo": 30 * 86400, "y": 365 * 86400}
_UNIT_WORDS = {"sec": "s", "second": "s", "min": "m", "minute": "m", "hour": "h", "day": "d", "week": "w"}
_UNIT_WORDS |= {"month": "mo", "year": "y"}

_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,3})?) ?([a-z]+) ?")
_DAY = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_IMAP_DAY = re.compile(r"(\d{1,2})-([a-z]{3})-(\d{4})")
_MONTH = re.compile(r"(\d{4})-(\d{1,2})")
_YEAR = re.compile(r"\d{4}")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[t ]\d{1,2}:\d{2}(:\d{2})?(z|[+-]\d{2}:?\d{2})?")
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}))? ?(am|pm)?")

_EXAMPLES = "2026-11-23, 2026-11, today, monday, 'last week', 7d or 2w"
_MOMENTS = "18:00, 'mon 9:00', 'tomorrow 8:00', 2026-09-01, '2026-09-01 9:00' or 2h"


def duration(text: str) -> int:
    """Return the seconds of `90s`, `10m` (minutes), `3h`, `7d`, `2w`, `6mo`, `1y`, `1h30m`, `2 weeks`.

    A month has 30 days, a year 365. Raises CommandError.
    """
    rest, total = text.strip().lower(), 0.0
    spans = list(_SPAN.finditer(rest))
    if not spans or "".join(span[0] for span in spans) != rest:
        raise CommandError(f"cannot read the time span {text!r}; write it like 10m, 3h, 7d or 2w")
    for span in spans:
        total += float(span[1]) * _SECONDS[_unit(span[2], text)]
    return round(total)


def _unit(word: str, text: str) -> str:
    unit = word if word in _SECONDS else _UNIT_WORDS.get(word.removesuffix("s"), "")
    if not unit:
        raise CommandError(f"unknown unit {word!r} in {text!r}; known are {' '.join(_SECONDS)}")
    return unit


def date_range(word: str, now: float, tz: tzinfo | None = None) -> tuple[int, int]:
    """Return (since, before) in seconds since 1970 of a day, month, year, weekday or span named by `word`.

    A weekday is the latest one, today included; a month's name the latest one, this month
    included; `2w` is the last two weeks up to now. Raises CommandError.
    """
    text = _normal(word)
    if _SPAN.match(text):
        try:
            return round(now) - duration(text), round(now)
        except CommandError:
            pass  # `9 may` begins like a span
    try:
        if _INSTANT.fullmatch(text):
            at = _epoch(_instant(text, tz))
            return at, at + (1 if text.count(":", 0, 19) > 1 else 60)
        start, end = _days(text, datetime.fromtimestamp(now, tz).date())
        return _epoch(_midnight(start, tz)), _epoch(_midnight(end, tz))
    except (ValueError, OverflowError, OSError):
        raise CommandError(f"cannot read the date {word!r}; write it like {_EXAMPLES}") from None


def is_point(word: str) -> bool:
    """Tell whether a word of date_range names a point in time (`2w`, `2026-11-23T10:00`), not whole days."""
    text = _normal(word)
    return bool(_INSTANT.fullmatch(text)) or "".join(span[0] for span in _SPAN.finditer(text)) == text


def moment(text: str, now: float, tz: tzinfo | None = None, *, hour: int = 0) -> int:
    """Return the moment a text such as `18:00`, `mon 9:00`, `2026-09-01` or `in 2h` names, in epoch seconds.

    Times of day and weekdays name their next occurrence after `now`; a day without a time of day
    means `hour` o'clock. A full date may lie in the past. Raises CommandError.
    """
    words = _normal(text).removeprefix("in ").replace(" at ", " ")
    if _SPAN.match(words):
        try:
            return round(now) + duration(words)
        except CommandError:
            pass  # `9 pm` begins like a span
    try:
        if _INSTANT.fullmatch(words):
            return _epoch(_instant(words, tz))
        return _next(words, now, tz, hour)
    except (ValueError, OverflowError, OSError):
        raise CommandError(f"cannot read the time {text!r}; write it like {_MOMENTS}") from None


def _next(words: str, now: float, tz: tzinfo | None, hour: int) -> int:
    today = datetime.fromtimestamp(now, tz).date()
    head, clock = _split_clock(words)
    if clock and not head:
        return _first(lambda n: today + timedelta(n), clock, now, tz)
    at = clock or time(hour)
    weekday = _position(head, _DAYS)
    if weekday is not None:
        ahead = (weekday - today.weekday()) % 7
        return _first(lambda n: today + timedelta(ahead + 7 * n), at, now, tz)
    start = {
        "today": today,
        "tomorrow": today + timedelta(1),
        "next week": today + timedelta(7 - today.weekday()),
        "next month": _month_after(today.replace(day=1)),
        "weekend": today + timedelta((5 - today.weekday()) % 7 or 7),
    }.get(head)
    return _epoch(_at(start or _days(head, today)[0], at, tz))


def _split_clock(words: str) -> tuple[str, time | None]:
    """Split `tomorrow 8 am` into the day and the time of day, if there is one."""
    parts = words.split(" ")
    for n in range(len(parts)):
        at = _clock(" ".join(parts[n:]))
        if at is not None:
            return " ".join(parts[:n]), at
    return words, None


def _first(day: Callable[[int], date], at: time, now: float, tz: tzinfo | None) -> int:
    """Return the first of day(0), day(1), ... at that time that lies after now."""
    found = _epoch(_at(day(0), at, tz))
    return found if found > now else _epoch(_at(day(1), at, tz))


def _days(text: str, today: date) -> tuple[date, date]:
    """Return the first day that `text` names and the first one after; raises ValueError."""
    if match := _DAY.fullmatch(text):
        return _span(date(int(match[1]), int(match[2]), int(match[3])), 1)
    if match := _IMAP_DAY.fullmatch(text):
        return _span(date(int(match[3]), _month_number(match[2]), int(match[1])), 1)
    if match := _MONTH.fullmatch(text):
        return _month(date(int(match[1]), int(match[2]), 1))
    if _YEAR.fullmatch(text):
        return date(int(text), 1, 1), date(int(text) + 1, 1, 1)
    return _named_days(text, today)


def _named_days(text: str, today: date) -> tuple[date, date]:
    weekday = _position(text.removeprefix("last "), _DAYS)
    if weekday is not None:
        back = (today.weekday() - weekday) % 7
        return _span(today - timedelta(back or 7 if text.startswith("last ") else back), 1)
    monday, first, january = today - timedelta(today.weekday()), today.replace(day=1), date(today.year, 1, 1)
    named = {
        "today": _span(today, 1),
        "yesterday": _span(today - timedelta(1), 1),
        "tomorrow": _span(today + timedelta(1), 1),
        "this week": _span(monday, 7),
        "last week": _span(monday - timedelta(7), 7),
        "this month": _month(first),
        "last month": _month((first - timedelta(1)).replace(day=1)),
        "this year": (january, date(today.year + 1, 1, 1)),
        "last year": (date(today.year - 1, 1, 1), january),
    }
    if text in named:
        return named[text]
    name, _, year = text.partition(" ")
    month = _month_number(name)
    if year:
        return _month(date(int(year), month, 1))
    return _month(date(today.year - (month > today.month), month, 1))


def _span(start: date, days: int) -> tuple[date, date]:
    return start, start + timedelta(days)


def _month(first: date) -> tuple[date, date]:
    return first, _month_after(first)


def _month_after(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def _month_number(name: str) -> int:
    found = _position(name, _MONTHS)
    if found is None:
        raise ValueError(name)
    return found + 1


def _position(word: str, names: tuple[str, ...]) -> int | None:
    """Find a name by itself or its first three letters."""
    for n, name in enumerate(names):
        if word in (name, name[:3]):
            return n
    return None


def _clock(text: str) -> time | None:
    named = {"noon": time(12), "midnight": time(0)}.get(text)
    match = _CLOCK.fullmatch(text)
    if named or not match or not (match[2] or match[4]):  # a bare number is no time of day
        return named
    hour = int(match[1])
    if match[4]:
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + (12 if match[4] == "pm" else 0)
    return time(hour, int(match[2] or 0), int(match[3] or 0))


def _instant(text: str, tz: tzinfo | None) -> datetime:
    day, clock = text[:10], text[11:]
    if clock[1] == ":":
        clock = f"0{clock}"
    found = datetime.fromisoformat(f"{day}T{clock.upper()}")
    return found if found.tzinfo else found.replace(tzinfo=tz)


def _midnight(day: date, tz: tzinfo | None) -> datetime:
    return _at(day, time(0), tz)


def _at(day: date, clock: time, tz: tzinfo | None) -> datetime:
    return datetime.combine(day, clock, tz)


def _epoch(at: datetime) -> int:
    """Return epoch seconds; a naive time is the machine's local time."""
    if at.tzinfo is None:
        return round(at.timestamp())
    return round((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


def _normal(text: str) -> str:
    """Bring a text to one form: lower case, single blanks, `last-week` as `last week`."""
    return re.sub(r"(?<=[a-z])[-_](?=[a-z])", " ", " ".join(text.lower().split()))
