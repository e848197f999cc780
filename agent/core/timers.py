"""Timers: functions called every so often or at a time of day; they run on the events thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from agent.clock import Clock
from agent.core.registry import Registry, key_of, source_of
from agent.mail import dates

F = TypeVar("F", bound=Callable[[], Any])


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
        return f"{self.function.__module__}.{self.function.__qualname__}"

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
        return lambda function: self._put(function, Timer(function, seconds, "", self._clock.now() + seconds))

    def at(self, time: str) -> Callable[[F], F]:
        """Return the decorator for a function called daily at a time such as `18:00`."""
        due = dates.moment(time, self._clock.now())
        return lambda function: self._put(function, Timer(function, None, time, due))

    def _put(self, function: F, timer: Timer) -> F:
        self.registry.put(key_of(function), timer)
        return function

    def next_due(self) -> float | None:
        """Return when the next timer is due."""
        return min((timer.due for timer in self.registry), default=None)

    def take_due(self) -> list[Timer]:
        """Return the timers that are due and set their next time; missed turns are not made up for."""
        now = self._clock.now()
        due = [timer for timer in self.registry if timer.due <= now]
        for timer in due:
            timer.due = now + timer.every_s if timer.every_s else dates.moment(timer.at, now)
        return due
