"""The `events` thread: calls hooks, then rules, strictly in order, each one supervised.

Only the process that owns the wires does so. What a handler raises is logged with its source line
and stops nothing. One that runs for 5 seconds is told of; one that runs for 60 is abandoned: its
calls into the agent raise Abandoned, a new thread goes on, and the handler stays in quarantine.
"""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.core.acting import Actor, acting
from agent.core.events import MessageNew
from agent.core.message import Message
from agent.core.rules import matches
from agent.errors import Abandoned, AgentError
from agent.store import ledger, state
from agent.threads import spawn

if TYPE_CHECKING:
    from agent.core.context import Context

_log = logging.getLogger("agent.events")

SLOW_S, LIMIT_S = 5.0, 60.0


@dataclass(slots=True)
class _Run:
    """A handler that is running."""

    name: str
    source: str
    thread: int
    begun: float
    claim: tuple[str, int, str] | None
    told: bool = False


class Bus:
    """The queue of what happened, and the thread that works it off."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._running: _Run | None = None
        self._abandoned: set[int] = set()
        self._stopping = False
        self._started = False
        self._idle = threading.Event()
        self._idle.set()
        self.quarantined: dict[str, str] = {}  # name -> why
        self.failures = 0

    def bind(self, context: Context) -> None:
        """Say whose events these are; app.py does so once."""
        self._context = context

    # -- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; arrivals that were due before are handled first."""
        self._started = True
        self._thread = spawn("events", self._run)
        self.wake()

    def stop(self) -> None:
        """End after the handler that runs; wait for it a while."""
        self._stopping = True
        if self._started:
            self.wake()
            self._thread.join(5)

    def wake(self) -> None:
        """Tell the thread that messages may have arrived; safe on any thread."""
        self._idle.clear()
        self._queue.put(True)

    @property
    def idle(self) -> bool:
        """Whether everything that happened has been handled."""
        return not self._started or self._idle.is_set()

    @property
    def running(self) -> tuple[str, float] | None:
        """The handler that runs now and since when (monotonic seconds); None when there is none."""
        run = self._running
        return (run.name, run.begun) if run else None

    def _run(self) -> None:
        while not self._stopping and threading.get_ident() not in self._abandoned:
            try:
                self._queue.get(timeout=self._pause())
                while not self._queue.empty():
                    self._queue.get()
            except queue.Empty:
                pass
            if self._stopping:
                return
            self._handle_arrivals()
            self._handle_timers()
            if self._queue.empty():
                self._idle.set()
                self._context.store.changed()

    def _pause(self) -> float:
        due = self._context.timers.next_due()
        return 3600.0 if due is None else min(3600.0, max(0.0, due - self._context.clock.now()))

    # -- what is handled ---------------------------------------------------------------------

    def _handle_arrivals(self) -> None:
        store = self._context.store
        for number in state.due(store.reader):
            if self._stopping or threading.get_ident() in self._abandoned:
                return
            message = Message(self._context, number)
            if message.account is not None:
                self._arrival(message)
            if threading.get_ident() in self._abandoned:
                return
            store.write(lambda tx, number=number: state.handled(tx, number), durable=True).result()  # type: ignore[misc]

    def _arrival(self, message: Message) -> None:
        event = MessageNew(origin="server", cause="", message=message)
        for hook in self._context.hooks.of(event):
            if self._wanted(hook, message):
                self._claimed("hook", hook.name, hook.source, message, lambda hook=hook: hook.function(event))  # type: ignore[misc]
        for rule in self._context.rules:
            matched = self._ask(rule.name, rule.source, lambda rule=rule: rule.matches(message))  # type: ignore[misc]
            if not matched:
                continue
            self._claimed("rule", rule.name, rule.source, message, lambda rule=rule: rule.function(message))  # type: ignore[misc]
            if rule.stop:
                return

    def _wanted(self, hook: Any, message: Message) -> bool:
        def ask() -> bool:
            folder, account = message.folder, message.account
            if hook.account is not None and (account is None or account.name != hook.account):
                return False
            if hook.folder is not None and (
                folder is None or hook.folder.casefold() not in (folder.name.casefold(), folder.role)
            ):
                return False
            return matches(hook.match, message)

        return bool(self._ask(hook.name, hook.source, ask))

    def _handle_timers(self) -> None:
        for timer in self._context.timers.take_due():
            with acting(Actor("timer", timer.name)):
                self._supervised(timer.name, timer.source, timer.function, None)

    # -- supervision -------------------------------------------------------------------------

    def _ask(self, name: str, source: str, question: Callable[[], Any]) -> Any:
        """Ask a user's function whether it wants something; an error means no."""
        return self._supervised(name, source, question, None)

    def _claimed(self, kind: str, name: str, source: str, message: Message, call: Callable[[], Any]) -> None:
        """Call a handler for a content it has not dealt with; started ones start again after a crash."""
        if name in self.quarantined:
            return
        account = message.account
        key = message._key()
        if account is None:
            return
        claim = (f"{kind}:{name}", account.id, key)
        store, now = self._context.store, self._context.clock.now()
        if not store.write(lambda tx: ledger.begin(tx, *claim, now), durable=True).result():
            return
        with acting(Actor(kind, name, key)):
            self._supervised(name, source, call, claim)
        if threading.get_ident() not in self._abandoned:
            store.write(lambda tx: ledger.end(tx, *claim), durable=True).result()

    def _supervised(
        self, name: str, source: str, call: Callable[[], Any], claim: tuple[str, int, str] | None
    ) -> Any:
        if name in self.quarantined:
            return None
        run = _Run(name, source, threading.get_ident(), self._context.clock.monotonic(), claim)
        self._running = run
        try:
            return call()
        except Abandoned:
            return None
        except AgentError as error:
            self._failed(name, source, str(error))
        except (Exception, SystemExit) as error:  # a handler of the user must not stop mail
            self._failed(name, source, trimmed(error))
        finally:
            if self._running is run:
                self._running = None
        return None

    def _failed(self, name: str, source: str, why: str) -> None:
        self.failures += 1
        _log.warning("%s (%s) failed: %s", name, source, why)
        self._context.tell(f"{name} ({source}): {why.strip().splitlines()[-1]}")

    def watch(self) -> None:
        """Look after the running handler; called about once a second from another thread."""
        run = self._running
        if run is None:
            return
        lasted = self._context.clock.monotonic() - run.begun
        if lasted >= LIMIT_S:
            self._abandon(run)
        elif lasted >= SLOW_S and not run.told:
            run.told = True
            self._context.tell(f"{run.name} ({run.source}) has been running for {lasted:.0f} s")

    def _abandon(self, run: _Run) -> None:
        self._abandoned.add(run.thread)
        self._running = None
        why = f"ran for more than {LIMIT_S:.0f} s and was abandoned"
        self.quarantined[run.name] = why
        _log.warning("%s (%s) %s", run.name, run.source, why)
        self._context.tell(f"{run.name} ({run.source}) {why}; it is not called again until the next start")
        if run.claim is not None:
            claim = run.claim
            self._context.store.write(lambda tx: ledger.end(tx, *claim), durable=True)
        if not self._stopping:
            self._thread = spawn("events", self._run)
            self.wake()

    def ensure_served(self) -> None:
        """Raise Abandoned on a thread whose handler was given up on."""
        if threading.get_ident() in self._abandoned:
            raise Abandoned("this handler ran past its limit and is no longer served")


def trimmed(error: BaseException) -> str:
    """Return a traceback without the agent's own frames."""
    frames = traceback.extract_tb(error.__traceback__)
    own = __file__.rsplit("/core/", 1)[0]
    shown = [frame for frame in frames if not frame.filename.startswith(own)]
    lines = traceback.format_list(shown) if shown else []
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()
