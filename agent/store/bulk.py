"""Bulk transactions that run while their maker goes on: the wire need not wait for the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from agent.store.db import Store, Transaction

_AHEAD = 8  # so many may be under way: more would only take memory


class Bulk:
    """A row of bulk transactions, committed in order; belongs to one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._under_way: deque[Future[object]] = deque()

    def put(self, work: Callable[[Transaction], object]) -> None:
        """Queue a transaction; raises what an earlier one raised."""
        self._under_way.append(self._store.write(work, bulk=True))
        while len(self._under_way) > _AHEAD:
            self._under_way.popleft().result()

    def settle(self) -> None:
        """Block until none is under way, whatever became of them: something else has failed already."""
        under_way, self._under_way = self._under_way, deque()
        for future in under_way:
            future.exception()

    def drain(self) -> None:
        """Block until none is under way; raises what the first that failed raised."""
        under_way, self._under_way = self._under_way, deque()
        errors = [future.exception() for future in under_way]
        for error in errors:
            if error is not None:
                raise error
