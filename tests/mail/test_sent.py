from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.mail.sent import parse_date
from tests.harness import corpora


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    "text",
    [
        "Mon, 23 Nov 2026 10:00:00 +0100",
        "23 Nov 2026 09:00 +0000",
        "Mon,  23 Nov 2026 01:00:00 PST",
        "Mon, 23 Nov 26 09:00:00 GMT",
        "Mon, 23 Nov 2026 10:00:00 +0100 (MEZ (winter))",
        "2026-11-23T09:00:00Z",
        "2026-11-23 10:00:00 +0100",
        "Mon Nov 23 09:00:00 2026",
        "Mon, 23 Nov 2026 09.00.00 +0000",
        "Mon, 23 Nov 2026 09:00:00 Etc/UTC",
    ],
)
def test_dates_of_senders_are_read(text: str) -> None:
    assert parse_date(text) == at(2026, 11, 23, 9)


@pytest.mark.parametrize(
    "text", ["", "never", "Mon, 32 Nov 2026 10:00:00 +0100", "Tue, 7 Bog 2026 1:1:1 +0000", "0", "(" * 300]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_date(text) is None


@given(st.text(max_size=60))
def test_nothing_raises(text: str) -> None:
    parse_date(text)


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1)), st.integers(-840, 840))
def test_every_date_of_the_standard_is_read(moment: datetime, minutes: int) -> None:
    moment = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_date(moment.strftime("%a, %d %b %Y %H:%M:%S %z")) == int(moment.timestamp())


@pytest.mark.skipif(corpora.why_missing("stalwart-mail-parser") is not None, reason="no corpora beside")
def test_nine_of_ten_dates_of_the_corpora_are_read_as_others_do() -> None:
    cases = json.loads((corpora.CORPORA / "stalwart-mail-parser" / "date.json").read_text())
    good = wanted = 0
    for case in cases:
        if not (value := case["expected"]):
            continue
        wanted += 1
        zone = timedelta(hours=value["tz_hour"], minutes=value["tz_minute"])
        moment = datetime(
            *(value[name] for name in ("year", "month", "day", "hour", "minute", "second")),
            tzinfo=timezone(-zone if value["tz_before_gmt"] else zone),
        )
        good += parse_date(case["header"]) == int(moment.timestamp())
    assert good >= 0.85 * wanted, f"{good} of {wanted}"
