"""The only maker of threads, and the rule about who may wait.

Each mutable resource has one owning thread; the others talk to it by a queue. The name of a
thread says what it owns: main, ui, events, store, in:<account>, out:<account>.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from agent.errors import WouldDeadlock

PATIENCE_S = 5.0  # at the end, with a command under way

# Threads that serve others: were one of them to wait, the work waited for could stand still.
_SERVING = ("ui", "store", "in:", "out:")


def take_turns() -> None:
    """Let threads that compute give way after a millisecond, not five: keys and commits wait for them."""
    sys.setswitchinterval(0.001)


def spawn(name: str, run: Callable[[], None]) -> threading.Thread:
    """Start `run` on a new thread called `name` and return it.

    Threads are daemons, so that a hung server never keeps the program from ending; owners join
    theirs in `stop`.
    """
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def end(thread: threading.Thread, hang_up: Callable[[], None], until: float | None = None) -> None:
    """Join a thread that was asked to end; from `until` on (monotonic; in 5 s) its server is hung up on.

    One that does not even end then is left behind.
    """
    until = time.monotonic() + PATIENCE_S if until is None else until
    thread.join(max(0.0, until - time.monotonic()))
    if thread.is_alive():
        hang_up()
        thread.join(max(0.0, until + PATIENCE_S - time.monotonic()))


def current() -> str:
    """Return the name of the running thread, `main` for the main thread."""
    thread = threading.current_thread()
    return "main" if thread is threading.main_thread() else thread.name


def may_wait() -> bool:
    """Tell whether the running thread may wait for a job."""
    return not current().startswith(_SERVING)


def ensure_may_wait(what: str) -> None:
    """Raise WouldDeadlock when the running thread may not wait for `what`."""
    if not may_wait():
        raise WouldDeadlock(f"cannot wait for {what} on the {current()!r} thread; use a hook or a callback")


def ensure_may_commit() -> None:
    """Raise WouldDeadlock when the running thread may not wait for a commit either: the screen, the store."""
    if current() in ("ui", "store"):
        raise WouldDeadlock(f"cannot wait for a commit on the {current()!r} thread")
