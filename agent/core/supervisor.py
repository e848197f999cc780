"""Calls the functions a user registered, on the `events` thread, and looks after them.

What one raises is logged and told with its source line, and stops nothing. One that runs for 5
seconds is told of; one that runs for 60 is given up on: its calls into the agent raise Abandoned,
its thread ends when it returns, and it stays in quarantine until it is released.
"""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.errors import Abandoned, AgentError

if TYPE_CHECKING:
    from agent.core.context import Context

_log = logging.getLogger("agent.events")
_OWN = __file__.rsplit(os.sep, 2)[0] + os.sep

SLOW_S, LIMIT_S = 5.0, 60.0


class GivenUp(Exception):
    """Ends a thread whose handler was given up on; another thread goes on in its place."""


@dataclass(slots=True)
class _Run:
    """A handler that runs; `given_up` is set once, under the lock."""

    name: str
    source: str
    begun: float
    on_give_up: Callable[[], None]
    told: bool = False
    given_up: bool = False


class Supervisor:
    """What runs now, what failed, and what must not run any more."""

    def __init__(self, slow_s: float = SLOW_S, limit_s: float = LIMIT_S) -> None:
        self.slow_s, self.limit_s = slow_s, limit_s
        self.failures = 0
        self.quarantined: dict[str, str] = {}  # name -> why
        self._told: dict[str, str] = {}
        self._lock = threading.Lock()
        self._running: _Run | None = None
        self._here = threading.local()

    def bind(self, context: Context) -> None:
        """Say whose handlers these are."""
        self._context = context

    @property
    def running(self) -> tuple[str, float] | None:
        """The handler that runs now and since when (monotonic seconds); None when there is none."""
        run = self._running
        return (run.name, run.begun) if run else None

    def call(
        self,
        name: str,
        source: str,
        function: Callable[[], Any],
        on_give_up: Callable[[], None] = lambda: None,
    ) -> Any:
        """Call a handler and return what it returns, None when it raises or is in quarantine.

        Raises GivenUp when it came back too late: the thread must end then and touch nothing.
        `on_give_up` is called on another thread at the moment it is given up on.
        """
        if name in self.quarantined:
            return None
        run = _Run(name, source, self._context.clock.monotonic(), on_give_up)
        self._here.run = self._running = run
        failure: BaseException | None = None
        result = None
        try:
            result = function()
        except BaseException as error:  # whatever a handler raises, exits and interrupts too: mail goes on
            failure = error
        with self._lock:
            if run.given_up:
                raise GivenUp from failure
            self._running = None
        self._here.run = None
        if failure is not None:
            self._failed(name, source, failure)
        return result

    def _failed(self, name: str, source: str, error: BaseException) -> None:
        self.failures += 1
        text = str(error) if isinstance(error, AgentError) else trimmed(error)
        _log.warning("%s (%s) failed: %s", name, source, text)
        self.tell(name, f"{name} ({_where(error) or source}): {_last_line(error)}")

    def tell(self, name: str, text: str) -> None:
        """Tell the user about a handler, but not the same thing for every message of a flood."""
        if self._told.get(name) != text:
            self._told[name] = text
            self._context.tell(text)

    def watch(self) -> bool:
        """Look after the running handler; return whether its thread was given up on and wants replacing."""
        run = self._running
        if run is None:
            return False
        lasted = self._context.clock.monotonic() - run.begun
        if lasted < self.limit_s:
            if lasted >= self.slow_s and not run.told:
                run.told = True
                self._context.tell(f"{run.name} ({run.source}) has been running for {lasted:.0f} s")
            return False
        with self._lock:
            if self._running is not run:
                return False  # it came back just now
            run.given_up, self._running = True, None
            self.quarantined[run.name] = f"ran for more than {self.limit_s:.0f} s and was abandoned"
        run.on_give_up()
        self._quarantine_told(run.name, run.source)
        return True

    def quarantine(self, name: str, source: str, why: str) -> None:
        """Do not call a handler any more."""
        self.quarantined[name] = why
        self._quarantine_told(name, source)

    def _quarantine_told(self, name: str, source: str) -> None:
        self.failures += 1
        text = f"{name} ({source}) {self.quarantined[name]}"
        _log.warning("%s", text)
        self._context.tell(f"{text}; it is not called again until init.py is loaded again")

    def release(self) -> None:
        """Call handlers in quarantine again: init.py was loaded, they may be others now."""
        self.quarantined.clear()
        self._told.clear()

    def ensure_served(self) -> None:
        """Raise Abandoned on a thread whose handler was given up on."""
        run: _Run | None = getattr(self._here, "run", None)
        if run is not None and run.given_up:
            raise Abandoned(f"{run.name} ran past its limit and is no longer served")


def trimmed(error: BaseException) -> str:
    """Return a traceback, with its causes, without the agent's own frames."""
    found = traceback.TracebackException.from_exception(error)
    _trim(found)
    return "".join(found.format()).rstrip()


def _trim(found: traceback.TracebackException) -> None:
    frames = [frame for frame in found.stack if not frame.filename.startswith(_OWN)]
    found.stack = traceback.StackSummary.from_list(frames)
    for behind in (found.__cause__, found.__context__):
        if behind is not None:
            _trim(behind)


def _where(error: BaseException) -> str:
    """Return the innermost line of the user's own: `init.py:14`."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((_OWN, os.path.dirname(os.__file__)))]
    return f"{own[-1].filename.rsplit('/', 1)[-1]}:{own[-1].lineno}" if own else ""


def _last_line(error: BaseException) -> str:
    if isinstance(error, AgentError):
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return traceback.format_exception_only(error)[-1].strip()
