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


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: `origin` is user, rule, hook, timer or script; `cause` the rule's or hook's name.

    `key` names the content a rule or hook works on; `sends` numbers what it sends, so that a run
    after a crash finds the outbox items the first run made.
    """

    origin: str = "user"
    cause: str = ""
    key: str = ""
    sends: Iterator[int] = field(default_factory=itertools.count, compare=False)

    @property
    def automatic(self) -> bool:
        """Whether no person stands behind this."""
        return self.origin in ("rule", "hook", "timer")


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
