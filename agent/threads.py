"""The only maker of threads, and the rule about who may wait.

Each mutable resource has one owning thread; the others talk to it by a queue. The name of a
thread says what it owns: main, ui, events, store, in:<account>, out:<account>.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from agent.errors import WouldDeadlock

# Threads that serve others: were one of them to wait, the work waited for could stand still.
_SERVING = ("ui", "store", "in:", "out:")


def spawn(name: str, run: Callable[[], None]) -> threading.Thread:
    """Start `run` on a new thread called `name` and return it.

    Threads are daemons, so that a hung server never keeps the program from ending; owners join
    theirs in `stop`.
    """
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


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
