"""What the live objects of one agent share. Built by app.py, held by every live object."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from agent import threads
from agent.clock import Clock
from agent.core.caps import Caps
from agent.core.current import Current
from agent.store.db import Store, Transaction

if TYPE_CHECKING:
    from agent.core.account import Accounts
    from agent.core.bus import Bus
    from agent.core.commands import Commands
    from agent.core.hooks import Hooks
    from agent.core.keymap import Keymap
    from agent.core.options import Options
    from agent.core.rules import Rules
    from agent.core.timers import Timers

T = TypeVar("T")


@dataclass(slots=True)
class Context:
    """The store, the clock and the registries of one agent."""

    store: Store
    clock: Clock
    accounts: Accounts
    bus: Bus
    hooks: Hooks
    rules: Rules
    timers: Timers
    commands: Commands
    keymap: Keymap
    options: Options
    caps: Caps = field(default_factory=Caps)
    current: Current = field(default_factory=Current)
    messages: deque[str] = field(default_factory=lambda: deque(maxlen=500))  # what the user was told
    told: int = 0  # how often

    def submit(
        self, work: Callable[[Transaction], T], *, durable: bool = False, bulk: bool = False
    ) -> Future[T]:
        """Queue a transaction; raises Abandoned in a handler that was given up on."""
        self.bus.ensure_served()
        return self.store.write(work, durable=durable, bulk=bulk)

    def commit(self, work: Callable[[Transaction], T], *, durable: bool = False) -> T:
        """Run a transaction and wait for it; raises WouldDeadlock on the ui and store threads."""
        threads.ensure_may_commit()
        return self.submit(work, durable=durable).result()

    def tell(self, text: str) -> None:
        """Tell the user something in one line: the status bar shows it, `:messages` keeps it."""
        self.messages.append(text)
        self.told += 1
        self.store.changed()

    def read(self, look: Callable[..., T], *args: object) -> T:
        """Call a reading function of the store on this thread's connection; raises StoreError."""
        return self.store.look(look, *args)
