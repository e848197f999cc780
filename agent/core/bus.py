"""The `events` thread: calls hooks, then rules, strictly in order, each one supervised.

Only the process that owns the wires does so. A message stays due until every handler is done with
it: a claim is `started` before a handler runs and `done` after it, so that after a crash the one
that was running runs again and no other does.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agent.core.acting import Actor, acting, working_on
from agent.core.events import MessageNew
from agent.core.hooks import Hook
from agent.core.message import Message
from agent.core.rules import Rule
from agent.core.supervisor import GivenUp, Supervisor
from agent.store import ledger, state
from agent.threads import spawn

if TYPE_CHECKING:
    from agent.core.context import Context

_log = logging.getLogger("agent.events")

_RETRY_S = 5.0  # after an error of our own, such as a full disk
_MOST_STARTS = 3  # a handler that takes the program down with it is not tried for ever


class Bus:
    """The queue of what happened, and the thread that works it off."""

    def __init__(self) -> None:
        self.supervisor = Supervisor()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._asked = self._answered = 0
        self._failed = False
        self._stopping = False
        self._thread: threading.Thread | None = None  # noqa: TID251  # named, not made

    def bind(self, context: Context) -> None:
        """Say whose events these are; app.py does so once."""
        self._context = context
        self.supervisor.bind(context)

    # -- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; arrivals that were due before are handled first."""
        self._thread = spawn("events", self._run)
        self.wake()

    def stop(self) -> None:
        """End after the handler that runs; wait for it a while."""
        self._stopping = True
        if self._thread is not None:
            self._bell.put(None)
            self._thread.join(5)

    def wake(self) -> None:
        """Tell the thread that messages may have arrived; safe on any thread."""
        with self._lock:
            self._asked += 1
        self._bell.put(None)

    @property
    def started(self) -> bool:
        """Whether hooks, rules and timers run in this process."""
        return self._thread is not None

    @property
    def idle(self) -> bool:
        """Whether everything that happened has been handled."""
        return self._thread is None or self._answered == self._asked

    @property
    def running(self) -> tuple[str, float] | None:
        """The handler that runs now and since when (monotonic seconds); None when there is none."""
        return self.supervisor.running

    @property
    def failures(self) -> int:
        """How often a handler failed since the start."""
        return self.supervisor.failures

    def watch(self) -> None:
        """Look after the running handler; called about once a second from another thread."""
        if self.supervisor.watch() and not self._stopping:
            self.start()

    def ensure_served(self) -> None:
        """Raise Abandoned on a thread whose handler was given up on."""
        self.supervisor.ensure_served()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._bell.get(timeout=self._pause())
                while not self._bell.empty():
                    self._bell.get()
            except queue.Empty:
                pass
            asked = self._asked
            try:
                self._handle_arrivals()
                self._handle_timers()
                self._failed = False
            except GivenUp:
                return
            except Exception as error:  # the store, say: what is due stays due
                if self._stopping:
                    return
                self._went_wrong(error)
            self._answered = asked
            self._context.store.changed()

    def _went_wrong(self, error: Exception) -> None:
        self._failed = True
        self.supervisor.failures += 1
        _log.exception("events could not be handled; trying again in %.0f s", _RETRY_S)
        self.supervisor.tell("", f"hooks and rules wait: {error}")

    def _pause(self) -> float:
        if self._failed:
            return _RETRY_S
        due = self._context.timers.next_due()
        return 3600.0 if due is None else min(3600.0, max(0.0, due - self._context.clock.now()))

    # -- what is handled ---------------------------------------------------------------------

    def _handle_arrivals(self) -> None:
        store = self._context.store
        for number in state.due(store.reader):
            message = Message(self._context, number)
            if message.account is None:
                continue  # it waits until its account is back in config.yaml
            if not self._arrival(message):
                return
            store.write(lambda tx, number=number: state.handled(tx, number), durable=True).result()  # type: ignore[misc]

    def _arrival(self, message: Message) -> bool:
        """Call the handlers of a message; return whether all had their turn before the end came."""
        key = message._key()  # now: fetching the rest of a large one must not change it
        event = MessageNew(origin="server", cause="", message=message)
        for hook in self._context.hooks.of(event):
            self._turn("hook", hook, message, key, lambda hook=hook: hook.function(event))  # type: ignore[misc]
        for rule in self._context.rules:
            taken = self._turn("rule", rule, message, key, lambda rule=rule: rule.function(message))  # type: ignore[misc]
            if taken and rule.stop:
                break
        return not self._stopping

    def _turn(
        self, kind: str, handler: Hook | Rule, message: Message, key: str, call: Callable[[], Any]
    ) -> bool:
        """Let a handler have a message once; return whether it wanted it, now or before a crash."""
        account, name, source = message.account, handler.name, handler.source
        if self._stopping or account is None:
            return False
        store, claim = self._context.store, (f"{kind}:{name}", account.id, key)
        known = ledger.state(store.reader, *claim)
        if known == ledger.DONE:
            return True
        # One that had started is not asked again: what it did already may have changed the answer.
        if known is None and not self.supervisor.call(name, source, lambda: handler.wants(message)):
            return False
        if name in self.supervisor.quarantined:
            return False
        now = self._context.clock.now()
        starts = store.write(lambda tx: ledger.begin(tx, *claim, now), durable=True).result()

        def end() -> None:
            store.write(lambda tx: ledger.end(tx, *claim), durable=True)

        if starts > _MOST_STARTS:
            why = f"ended the program {_MOST_STARTS} times with message {message.id} and is taken out"
            self.supervisor.quarantine(name, source, why)
        else:
            with acting(working_on(kind, name, message, key)):
                self.supervisor.call(name, source, call, end)
        store.write(lambda tx: ledger.end(tx, *claim), durable=True).result()
        return True

    def _handle_timers(self) -> None:
        for timer in self._context.timers.take_due():
            if self._stopping:
                return
            with acting(Actor("timer", timer.name)):
                self.supervisor.call(timer.name, timer.source, timer.function)
