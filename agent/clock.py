"""The one clock. Timers, back-off, periods and dates ask it, so that tests can move time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the agent knows of time."""

    def now(self) -> float:
        """Return the wall clock time in seconds since 1970."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
