"""The `reader` thread: reads and renders what is opened, so that `ui` never parses a message."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from typing import TypeVar

from agent.threads import spawn

T = TypeVar("T")
log = logging.getLogger(__name__)


class Reader:
    """Runs functions one after the other; of those that wait under one name only the newest runs."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._newest: dict[str, Callable[[], None]] = {}

    def start(self) -> None:
        """Start the thread."""
        self._thread = spawn("reader", self._run)

    def stop(self) -> None:
        """End the thread after what it does now."""
        self._newest.clear()
        self._queue.put(None)
        self._thread.join()

    def ask(self, name: str, work: Callable[[], None]) -> None:
        """Queue work under a name; it replaces what waits under the same name."""
        self._newest[name] = work
        self._queue.put(name)

    def _run(self) -> None:
        while (name := self._queue.get()) is not None:
            work = self._newest.pop(name, None)
            if work is None:
                continue
            try:
                work()
            except Exception:
                log.exception("could not show what was opened")
