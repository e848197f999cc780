"""On whose behalf code runs: the user, a rule, a hook, a timer or a script.

Bound to the running code by a ContextVar, never to the program: a key acts for the user even while
a rule runs. Jobs, sends and events carry it, so that loops can be stopped and questions answered.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.core.message import Message


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: `origin` is user, rule, hook, timer or script; `cause` the rule's or hook's name.

    `message` is what a rule or hook works on and `key` names its content; `sends` numbers what is
    sent, so that a run after a crash finds the outbox items the first run made.
    """

    origin: str = "user"
    cause: str = ""
    key: str = ""
    message: Message | None = field(default=None, compare=False)
    sends: Iterator[int] = field(default_factory=itertools.count, compare=False)

    @property
    def automatic(self) -> bool:
        """Whether no person stands behind this."""
        return self.origin in ("rule", "hook", "timer", "thread")

    def next_send(self) -> str | None:
        """Return the key of the next send: the same one again when a run is repeated after a crash.

        None where nothing is repeated: a person acts, or a timer.
        """
        return f"{self.origin}:{self.cause}\n{self.key}\n{next(self.sends)}" if self.key else None


def working_on(origin: str, cause: str, message: Message, key: str = "") -> Actor:
    """Return the actor for a rule or hook that works on a message; `key` names its content."""
    account = message.account
    return Actor(origin, cause, f"{account.id if account else 0} {key or message._key()}", message)


_USER = Actor()
_actor: ContextVar[Actor] = ContextVar("actor", default=_USER)


def actor() -> Actor:
    """Return on whose behalf the running code acts."""
    return _actor.get()


@contextmanager
def acting(who: Actor) -> Iterator[None]:
    """Run code on behalf of somebody."""
    token = _actor.set(who)
    try:
        yield
    finally:
        _actor.reset(token)
