"""Timers on a clock that the test moves."""

from __future__ import annotations

import pytest

from agent.core.timers import Timers
from agent.errors import CommandError
from tests.core.automation import Desk
from tests.harness.agents import TestClock
from tests.harness.conditions import eventually

NOON = 1_782_907_200.0  # 2026-07-01 12:00 UTC


@pytest.fixture
def clock() -> TestClock:
    return TestClock(NOON)


@pytest.fixture
def timers(clock: TestClock) -> Timers:
    return Timers(clock)


def job() -> None:
    """Stand for a user's function."""


def names(timers: Timers) -> list[str]:
    return [timer.name.rpartition(".")[2] for timer in timers.take_due()]


def test_every_period_first_after_one(timers: Timers, clock: TestClock) -> None:
    timers.every("10m")(job)
    assert timers.next_due() == NOON + 600
    clock.advance(599)
    assert names(timers) == []
    clock.advance(1)
    assert names(timers) == ["job"]
    assert names(timers) == []


def test_missed_turns_are_not_made_up_for(timers: Timers, clock: TestClock) -> None:
    timers.every("10m")(job)
    clock.advance(86_400)
    assert names(timers) == ["job"]
    assert timers.next_due() == clock.now() + 600


def test_at_a_time_of_day_each_day(timers: Timers, clock: TestClock) -> None:
    timers.at("18:00")(job)
    assert timers.next_due() == NOON + 6 * 3600
    clock.advance(6 * 3600)
    assert names(timers) == ["job"]
    assert timers.next_due() == NOON + 30 * 3600


def test_at_a_date_happens_once(timers: Timers, clock: TestClock) -> None:
    timers.at("2026-07-02")(job)
    clock.advance(86_400)
    assert names(timers) == ["job"]
    clock.advance(86_400)
    assert names(timers) == []
    assert timers.next_due() is None


@pytest.mark.parametrize(
    ("kind", "text"), [("every", "0m"), ("every", "soon"), ("at", "2026-06-30"), ("at", "25:00")]
)
def test_what_cannot_be_is_refused(timers: Timers, kind: str, text: str) -> None:
    with pytest.raises(CommandError):
        getattr(timers, kind)(text)


def test_without_timers_nothing_is_due(timers: Timers) -> None:
    assert timers.next_due() is None
    assert timers.take_due() == []


@pytest.mark.logs("failing .* failed")
def test_timers_run_on_the_events_thread_and_one_that_fails_runs_again(desk: Desk) -> None:
    calls: list[str] = []
    agent = desk.open()

    def failing() -> None:
        calls.append("called")
        raise ValueError("again")

    agent.context.timers.every("10m")(failing)
    for count in (1, 2):
        desk.clock.advance(600)
        agent.context.bus.wake()
        eventually(lambda count=count: len(calls) == count)
    assert any("failing (test_timers.py:" in line for line in desk.told)
