"""When to connect again: soon after a break, later and later after failures, never in a storm. No I/O.

Belongs to the `in:<account>` thread.
"""

from __future__ import annotations

import math
import random
from collections import deque

from agent.clock import Clock

BACKOFF_S = (2.0, 80.0)
MOST_AN_HOUR = 60  # connections, also to a server that takes us and then drops us
MOST_REFUSED = 3  # logins refused one after the other: accounts get locked
_AT_ONCE_S = 0.2
_STEADY_S = 60.0  # a connection that held this long was a good one
_REFUSED_LOGIN_S = 600.0  # a wrong password is not tried again soon
_HOUR_S = 3600.0


class Patience:
    """What became of the connections of one account, and how long to wait before the next."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: deque[float] = deque(maxlen=MOST_AN_HOUR)
        self._up_since: float | None = None
        self._failures = 0
        self._was_up = False
        self._refused = 0

    def connecting(self) -> None:
        """Note that a connection is being made."""
        self._made.append(self._clock.monotonic())

    def connected(self) -> None:
        """Note that the login was accepted."""
        self._up_since = self._clock.monotonic()
        self._refused = 0

    def lost(self, login_refused: bool) -> None:
        """Note that there is no connection any more, or none came about."""
        now, since = self._clock.monotonic(), self._up_since
        self._was_up, self._up_since = since is not None, None
        if since is not None and now - since >= _STEADY_S:
            self._failures = 0
        self._failures += 1
        self._refused = self._refused + 1 if login_refused else 0

    @property
    def up(self) -> bool:
        """Whether there is a connection that is logged in."""
        return self._up_since is not None

    @property
    def passing(self) -> bool:
        """Whether the last loss was the first since things went well: nobody need hear of it."""
        return self._was_up and self._failures == 1

    @property
    def given_up(self) -> bool:
        """Whether the login was refused so often that only a person may have it tried again."""
        return self._refused >= MOST_REFUSED

    def pause_s(self) -> float:
        """Return the seconds to wait from now on; inf when nothing is tried until somebody asks for it."""
        if self.given_up:
            return math.inf
        low, high = BACKOFF_S
        if self._refused:
            pause = _REFUSED_LOGIN_S
        elif self.passing:
            pause = _AT_ONCE_S
        else:
            most = min(high, 1.3 * low * 2 ** min(self._failures - 1, 10))
            pause = max(low, most * random.uniform(0.75, 1.0))
        if len(self._made) == MOST_AN_HOUR:
            pause = max(pause, self._made[0] + _HOUR_S - self._clock.monotonic())
        return pause
