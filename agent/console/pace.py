"""Which state of the store the screen shows: the newest, unless looking at it takes long. The ui thread only.

In a folder of a million messages each look counts them anew. While commits come by the hundred, as
during a listing, most of the time has to be left for keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_QUICK_S = 0.02  # what takes no longer than this is looked at each time
_SHARE = 5  # else one part of this many of the time is spent on looking


class Pace:
    """The revision that views look at, taken over between two frames."""

    def __init__(self, newest: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._newest = newest
        self._clock = clock
        self._shown = -2  # what no view has seen
        self._since: float | None = None  # when the frame began that looks at a new revision
        self._free = 0.0  # from when on the next one may be taken over

    def revision(self) -> int:
        """Return the revision to show."""
        return self._shown

    def begin(self) -> float:
        """Before a frame: take over what is new; return the seconds until that may be done, 0 when it was."""
        newest, now = self._newest(), self._clock()
        if newest == self._shown:
            return 0.0
        if now < self._free:
            return self._free - now
        self._shown, self._since = newest, now
        return 0.0

    def end(self) -> None:
        """After a frame: see how long it took."""
        if self._since is not None:
            now = self._clock()
            cost, self._since = now - self._since, None
            self._free = now + (_SHARE - 1) * cost if cost > _QUICK_S else now
