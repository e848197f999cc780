"""The line about long work: redrawn on a terminal, plain in a pipe, safe in both."""

from __future__ import annotations

import io

import pytest

from agent.core.progress import Progress
from agent.progress import Meter
from tests.harness.agents import TestClock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


def work(
    meter: Meter, clock: TestClock, what: str = "listing INBOX", step: int = 1000, unit: str = ""
) -> None:
    for done in range(0, 10_001, step):
        meter.show(Progress(what, done, 10_000, unit))
        clock.advance(1.0)


def test_a_terminal_gets_one_line_that_is_redrawn(clock: TestClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    out = Terminal()
    meter = Meter(out, clock)
    work(meter, clock)
    lines = out.getvalue().split("\r")
    assert "\n" not in out.getvalue()
    assert {len(line) for line in lines[1:]} == {89}
    assert lines[6].rstrip() == (
        "[############------------] listing INBOX: 5,000 of 10,000 · 1,000/s · 5 s left"
    )
    meter.end()
    assert out.getvalue().endswith("\r" + " " * 89 + "\r")


def test_a_narrow_terminal_gets_no_bar_and_one_line(
    clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    out = Terminal()
    work(Meter(out, clock), clock)
    assert {len(line) for line in out.getvalue().split("\r")[1:]} == {29}


def test_it_is_drawn_ten_times_a_second_at_most(clock: TestClock) -> None:
    out = Terminal()
    meter = Meter(out, clock)
    for done in range(1000):
        meter.show(Progress("listing", done, 1000))
        clock.advance(0.001)
    assert 9 <= out.getvalue().count("\r") <= 11


def test_a_pipe_gets_plain_lines_now_and_then(clock: TestClock) -> None:
    out = io.StringIO()
    meter = Meter(out, clock)
    work(meter, clock, unit="octets")
    meter.end()
    assert out.getvalue().splitlines() == [
        "listing INBOX: 5.0 kB of 10.0 kB · 1.0 kB/s · 5 s left",
        "listing INBOX: 10.0 kB of 10.0 kB · 1.0 kB/s",
        "listing INBOX: 10.0 kB of 10.0 kB · 1.0 kB/s",
    ]


def test_what_is_over_at_once_is_not_mentioned_in_a_pipe(clock: TestClock) -> None:
    out = io.StringIO()
    meter = Meter(out, clock)
    for what in ("one", "two", "three"):
        meter.show(Progress(what, 1, 2))
    meter.end()
    assert out.getvalue() == ""


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_folder_name_cannot_command_the_terminal(kind: type[io.StringIO], clock: TestClock) -> None:
    out = kind()
    meter = Meter(out, clock)
    work(meter, clock, what="listing \x1b]0;owned\x07\r\n\u202ex")
    meter.tell("done with \x1b[31m")
    assert not set(out.getvalue()) & set("\x1b\x07\u202e\x9b")


def test_without_a_total_it_counts(clock: TestClock) -> None:
    out = Terminal()
    meter = Meter(out, clock)
    meter.show(Progress("looking", 3))
    assert out.getvalue().strip() == "looking: 3"


def test_the_rest_is_told_in_words_a_person_uses(clock: TestClock) -> None:
    out = io.StringIO()
    meter = Meter(out, clock)
    for done in range(3):
        meter.show(Progress("mirroring", done * 10, 100_000))
        clock.advance(5.0)
    assert out.getvalue().splitlines()[-1] == "mirroring: 20 of 100,000 · 2/s · 13 h 53 min left"
