from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import CommandError
from agent.mail.dates import date_range, duration, is_point, moment

BERLIN = ZoneInfo("Europe/Berlin")
# Wednesday; the clocks went back on 25 October.
NOW = datetime(2026, 11, 25, 15, 30, tzinfo=BERLIN).timestamp()


def shown(at: int) -> str:
    return datetime.fromtimestamp(at, BERLIN).strftime("%Y-%m-%d %H:%M:%S").removesuffix(" 00:00:00")


@pytest.mark.parametrize(
    ("word", "since", "before"),
    [
        ("2026-11-23", "2026-11-23", "2026-11-24"),
        ("2026-1-3", "2026-01-03", "2026-01-04"),
        ("23-Nov-2026", "2026-11-23", "2026-11-24"),
        ("2026-02", "2026-02-01", "2026-03-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2026", "2026-01-01", "2027-01-01"),
        ("2026-10-25", "2026-10-25", "2026-10-26"),
        ("today", "2026-11-25", "2026-11-26"),
        ("Yesterday", "2026-11-24", "2026-11-25"),
        ("monday", "2026-11-23", "2026-11-24"),
        ("thu", "2026-11-19", "2026-11-20"),
        ("wednesday", "2026-11-25", "2026-11-26"),
        ("last wednesday", "2026-11-18", "2026-11-19"),
        ("this week", "2026-11-23", "2026-11-30"),
        ("last  week", "2026-11-16", "2026-11-23"),
        ("last-month", "2026-10-01", "2026-11-01"),
        ("this_year", "2026-01-01", "2027-01-01"),
        ("last year", "2025-01-01", "2026-01-01"),
        ("november", "2026-11-01", "2026-12-01"),
        ("dec", "2025-12-01", "2026-01-01"),
        ("March 2024", "2024-03-01", "2024-04-01"),
        ("2w", "2026-11-11 15:30:00", "2026-11-25 15:30:00"),
        ("3h", "2026-11-25 12:30:00", "2026-11-25 15:30:00"),
        ("2026-11-23T10:00:00Z", "2026-11-23 11:00:00", "2026-11-23 11:00:01"),
        ("2026-11-23 9:05", "2026-11-23 09:05:00", "2026-11-23 09:06:00"),
    ],
)
def test_a_date_names_a_stretch_of_local_time(word: str, since: str, before: str) -> None:
    assert tuple(map(shown, date_range(word, NOW, BERLIN))) == (since, before)


def test_the_day_the_clocks_change_has_25_hours() -> None:
    since, before = date_range("2026-10-25", NOW, BERLIN)
    assert before - since == 25 * 3600


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("18:00", "2026-11-25 18:00:00"),
        ("9:00", "2026-11-26 09:00:00"),
        ("15:30", "2026-11-26 15:30:00"),
        ("9 pm", "2026-11-25 21:00:00"),
        ("12am", "2026-11-26"),
        ("noon", "2026-11-26 12:00:00"),
        ("mon 9:00", "2026-11-30 09:00:00"),
        ("wed 9:00", "2026-12-02 09:00:00"),
        ("wed 16:00", "2026-11-25 16:00:00"),
        ("wed", "2026-12-02"),
        ("today 18:00", "2026-11-25 18:00:00"),
        ("tomorrow", "2026-11-26"),
        ("tomorrow at 8 am", "2026-11-26 08:00:00"),
        ("next week 9:00", "2026-11-30 09:00:00"),
        ("next month", "2026-12-01"),
        ("weekend", "2026-11-28"),
        ("2026-09-01", "2026-09-01"),
        ("2026-09-01 18:00", "2026-09-01 18:00:00"),
        ("in 2h", "2026-11-25 17:30:00"),
        ("1h30m", "2026-11-25 17:00:00"),
    ],
)
def test_a_moment_is_the_next_one_of_its_name(text: str, at: str) -> None:
    assert shown(moment(text, NOW, BERLIN)) == at


def test_a_day_without_a_time_takes_the_hour_it_is_given() -> None:
    assert shown(moment("mon", NOW, BERLIN, hour=8)) == "2026-11-30 08:00:00"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("10 minutes", 600),
        ("3h", 10_800),
        ("1.5h", 5_400),
        ("7d", 604_800),
        ("2 weeks", 1_209_600),
        ("1mo", 2_592_000),
        ("1y", 31_536_000),
        ("1h30m", 5_400),
        ("1 hour 5 min", 3_900),
    ],
)
def test_spans_of_time_are_read(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "7x", "-7d", "7d!", "7dd", "seven days"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match=r"unit|time span"):
        duration(text)


@pytest.mark.parametrize(
    "text", ["", "9", "2026-13-01", "31-Feb-2026", "9999", "0000-01-01", "someday", "mon 25:00", "13pm"]
)
def test_what_is_no_date_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CommandError, match="write it like"):
        date_range(text, NOW, BERLIN)


@pytest.mark.parametrize("text", ["", "9", "2026-13-01", "someday", "mon 25:00", "13pm", "25:00", "9:60"])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CommandError, match="write it like"):
        moment(text, NOW, BERLIN)


def test_points_in_time_are_told_from_days() -> None:
    assert is_point("2w")
    assert is_point("2026-11-23T10:00:00Z")
    assert not is_point("2026-11-23")
    assert not is_point("monday")


def test_without_a_time_zone_the_machine_s_own_counts() -> None:
    day = time.localtime(date_range("2026-11-23", NOW)[0])
    assert (day.tm_year, day.tm_mon, day.tm_mday, day.tm_hour) == (2026, 11, 23, 0)


PARTS = [
    "mon",
    "next",
    "last",
    "week",
    "9",
    ":",
    "30",
    "-",
    "2026",
    "11",
    "am",
    "d",
    "99999999999",
    " ",
    "t",
    "z",
]


@given(st.text(max_size=12) | st.lists(st.sampled_from(PARTS), max_size=6).map("".join))
def test_any_text_is_a_date_or_a_clear_error(text: str) -> None:
    for read in (date_range, moment):
        with suppress(CommandError):
            read(text, NOW, BERLIN)
