"""Timers: functions called every so often or at a time of day; they run on the events thread."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from agent.clock import Clock
from agent.core.registry import Registry, key_of, name_of, plain, source_of
from agent.errors import CommandError
from agent.mail import dates

F = TypeVar("F", bound=Callable[[], Any])

_LEAST_S = 1.0


@dataclass(slots=True)
class Timer:
    """A function and when it is due next, in seconds of the wall clock."""

    function: Callable[[], Any]
    every_s: float | None  # None: daily, at `at`
    at: str
    due: float

    @property
    def name(self) -> str:
        """The name logs use."""
        return name_of(self.function)

    @property
    def source(self) -> str:
        """Where it stands."""
        return source_of(self.function)


class Timers:
    """All timers of one agent."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.registry: Registry[Timer] = Registry()

    def every(self, period: str) -> Callable[[F], F]:
        """Return the decorator for a function called every `10m`, `2h`, `1d`, first after one period."""
        seconds = dates.duration(period)
        if seconds < _LEAST_S:
            raise CommandError(f"every({period!r}): at least {_LEAST_S:.0f} second")
        return lambda function: self._put(function, seconds, "", self._clock.now() + seconds)

    def at(self, time: str) -> Callable[[F], F]:
        """Return the decorator for a function called daily at a time such as `18:00`."""
        now = self._clock.now()
        due = dates.moment(time, now)
        if due <= now:
            raise CommandError(f"at({time!r}) is over")
        return lambda function: self._put(function, None, time, due)

    def _put(self, function: F, every_s: float | None, at: str, due: float) -> F:
        found = plain(function)
        for known in self.registry.get(key_of(found)):
            if (known.every_s, known.at) == (every_s, at):
                due = known.due  # loading init.py again does not begin the period anew
        self.registry.put(found, Timer(found, every_s, at, due))
        return function

    def next_due(self) -> float | None:
        """Return when the next timer is due."""
        return min((timer.due for timer in self.registry if timer.due < math.inf), default=None)

    def take_due(self) -> list[Timer]:
        """Return the timers that are due and set their next time; missed turns are not made up for."""
        now = self._clock.now()
        due = [timer for timer in self.registry if timer.due <= now]
        for timer in due:
            timer.due = now + timer.every_s if timer.every_s else _next(timer.at, now)
        return due


def _next(time: str, now: float) -> float:
    due = dates.moment(time, now)
    return due if due > now else math.inf  # a date, not a time of day: once is all
