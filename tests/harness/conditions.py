"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], timeout_s: float = 10, interval_s: float = 0.01) -> T:
    """Call `condition` until it returns something true, and return that; fail after the timeout.

    An AssertionError inside counts as not yet true, and is the one raised at the end.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        failure: AssertionError | None = None
        try:
            result = condition()
        except AssertionError as error:
            failure = error
        else:
            if result:
                return result
        if time.monotonic() >= deadline:
            raise failure or AssertionError(f"still {result!r} after {timeout_s:g} s")
        time.sleep(interval_s)
