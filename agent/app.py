"""The composition root: builds one Agent from a configuration and starts and stops its parts.

ARCHITECTURE. `store` keeps everything in one SQLite file; its thread is the only writer. `net`
speaks to servers; one `in:` and one `out:` thread per account own the connections, and only in the
process that holds the lock of the data folder. `core` has the live objects people program with,
which read the store and write intents into it; `link` tells all processes when it changes. The
`events` thread calls hooks and rules. Front ends (console, headless) hold an Agent and nothing else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from agent import threads
from agent.clock import Clock, SystemClock
from agent.config.paths import Paths
from agent.config.schema import Config
from agent.core import caps, opening
from agent.core.account import Account, Accounts
from agent.core.bus import Bus
from agent.core.commands import Commands
from agent.core.context import Context
from agent.core.hooks import Hooks
from agent.core.keymap import Keymap
from agent.core.link import Link
from agent.core.options import Options
from agent.core.rules import Rules
from agent.core.timers import Timers
from agent.errors import AgentError
from agent.store import accounts, expiry, folders, job_rows, journal, outbox
from agent.store.db import Store

if TYPE_CHECKING:
    from agent.core.inbound import Inbound
    from agent.core.outbound import Outbound
    from agent.core.parsing import Parser
    from agent.net import connect

_log = logging.getLogger("agent.app")

_PRUNE_S = 86_400.0


class Agent:
    """One mail agent on one data folder."""

    def __init__(
        self,
        config: Config,
        paths: Paths,
        *,
        clock: Clock | None = None,
        ask: Callable[[str], str | None] | None = None,
        may_own: bool = True,
        automation: bool = False,
    ) -> None:
        """Build an agent; nothing is opened before `start`.

        `ask` asks a person for a secret. `may_own` lets it own the wires when nobody does;
        `automation` lets it run hooks, rules and timers while it owns.
        """
        self.config = config
        self.paths = paths
        self.clock = clock or SystemClock()
        self.ask = ask  # a front end with a screen of its own puts its own in before `serve`
        self._may_own = may_own
        self._automation = automation
        self._beginning = threading.Lock()  # never released: wires are started once
        self._next_prune = 0.0
        self._shared: connect.Shared | None = None  # made with the first wire
        self._parser: Parser | None = None
        self._inbound: dict[int, Inbound] = {}
        self._outbound: dict[int, Outbound] = {}
        self._asleep: set[int] = set()  # accounts whose wires are made when there is work for them
        self._serving = self._lazy = self._fill = self._started = False
        commands = Commands()
        self.context = Context(
            store=Store(paths.database),
            clock=self.clock,
            accounts=Accounts(),
            bus=Bus(),
            hooks=Hooks(),
            rules=Rules(),
            timers=Timers(self.clock),
            commands=commands,
            keymap=Keymap(commands),
            options=Options(),
        )
        for option in caps.OPTIONS:
            self.context.options.define(option)
        self.context.bus.bind(self.context)

    # -- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the store and take our place among the processes on it; the wires wait for `serve`.

        Raises ConfigError or StoreError.
        """
        threads.take_turns()
        self.paths.ensure()
        opening.allow_files(len(self.config.accounts))
        told = opening.open_store(self.context.store, self.paths.lock_file, self.clock)
        if told:
            self.context.tell(told)
        self._add_accounts()
        self._link = Link(
            self.context.store, self.paths.lock_file, self.paths.socket, may_own=self._may_own,
            became_owner=self._became_owner, dispatch=self._dispatch, tick=self._tick,
        )  # fmt: skip
        self._link.start()
        self._started = True

    def serve(self, *, lazy: bool = False, fill: bool | None = None) -> None:
        """Start the wires and the automation when this process owns; after init.py has been loaded.

        A lazy wire connects when it is asked for something, and does not sync by itself. With `fill`
        (the default unless lazy) it brings bodies here while nobody wants it for something else.
        """
        self._serving, self._lazy, self._fill = True, lazy, not lazy if fill is None else fill
        if self._link.owner:
            self._became_owner()

    def stop(self) -> None:
        """Finish what is on the wire and close everything; what is queued stays in the store."""
        if not self._started:
            return
        self._started = self._serving = False
        self._link.stop()  # first, so that nobody starts or wakes what is being stopped
        self.context.bus.stop()
        wires: list[Inbound | Outbound] = [*self._inbound.values(), *self._outbound.values()]
        for wire in wires:
            wire.ask_to_stop()
        until = time.monotonic() + threads.PATIENCE_S  # for all of them together
        for wire in wires:
            wire.stop(until)
        if self._parser is not None:
            self._parser.close()
        self._link.release()
        self.context.store.stop()

    @property
    def owner(self) -> bool:
        """Whether this process owns the wires."""
        return self._started and self._link.owner

    def _add_accounts(self) -> None:
        for name, config in self.config.accounts.items():
            number = self.context.commit(lambda tx, name=name: folders.ensure_account(tx, name))  # type: ignore[misc]
            self.context.accounts.add(Account(self.context, number, config, name))
        for name in self.context.read(folders.accounts):
            if name not in self.config.accounts:
                found = self.context.read(accounts.census, name)
                if found is not None and accounts.holds_something(found):
                    self.context.tell(opening.left_behind(found))

    def _became_owner(self) -> None:
        # On the link thread after a takeover, else on the caller's of serve; whoever comes first does it.
        if not self._serving or not self._beginning.acquire(blocking=False):
            return
        self._prune()
        asleep: set[int] = set()
        for account in self.context.accounts.values():
            if self._lazy and not self._fill and self._at_rest(account):
                asleep.add(account.id)
            else:
                self._start_account(account)
        self._asleep = asleep  # from now on the link thread makes their wires
        if self._automation:
            self.context.bus.start()
        if self._asleep:
            self.context.store.changed()  # what was asked for just now is looked at again

    def _tick(self) -> None:
        self.context.bus.watch()
        if self._beginning.locked() and self.clock.monotonic() >= self._next_prune:
            self._prune()

    def _prune(self) -> None:
        """Drop what is too old to be undone, step by step, behind whatever else is to be written."""
        now, self._next_prune = self.clock.now(), self.clock.monotonic() + _PRUNE_S

        def step() -> None:
            self.context.store.write(lambda tx: expiry.prune(tx, now), bulk=True).add_done_callback(again)

        def again(done: Future[bool]) -> None:
            if self._serving and done.exception() is None and done.result():
                step()

        step()

    def _at_rest(self, account: Account) -> bool:
        """Tell whether nothing waits for the wires of an account, and nothing was cut off on them."""
        reader = self.context.store.reader
        return not (journal.has_work(reader, account.id) or outbox.is_open(reader, account.id))

    def _start_account(self, account: Account) -> None:
        try:
            self._make_wires(account)
        except AgentError as error:
            account.status = f"offline: {error}"
            self.context.tell(f"{account.name}: {error}")

    def _make_wires(self, account: Account) -> None:
        # Loaded when there is something to do: a script that only reads starts sooner without them.
        from agent.core.inbound import Inbound
        from agent.core.outbound import Outbound
        from agent.core.parsing import Parser
        from agent.net import connect

        context = self.context
        self._shared = shared = self._shared or connect.Shared()
        self._parser = parser = self._parser or Parser()
        backend = connect.backend(account.config, account.name, self.ask, shared)
        if backend is not None:
            inbound = Inbound(
                context.store,
                self.clock,
                account,
                backend,
                context.bus.wake,
                parser,
                lazy=self._lazy,
                fills=self._fill,
            )
            self._inbound[account.id] = inbound
            inbound.start()
        transport = connect.transport(account.config, account.name, self.ask, shared)
        if transport is not None:
            outbound = Outbound(context.store, self.clock, account, transport)
            self._outbound[account.id] = outbound
            outbound.start()

    # -- work --------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Wake the wires that have something to do; on the link thread, after commits."""
        incoming = journal.accounts_with_work(self.context.store.reader)
        rows = self.context.store.read("SELECT DISTINCT account FROM outbox WHERE state = 'queued'")
        outgoing = {account for (account,) in rows}
        for account in (incoming | outgoing) & self._asleep:
            self._start_account(self.context.accounts.by_id(account))
            self._asleep.discard(account)  # not before: until then its wires are as good as there
        for account in incoming & self._inbound.keys():
            self._inbound[account].wake()
        for account in outgoing & self._outbound.keys():
            self._outbound[account].wake()

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Block until nothing more can be done: all jobs ended or their account offline, events handled."""
        return self.context.store.wait_until(lambda: not self.pending(), timeout)

    def wait_filled(self, timeout: float | None = None) -> bool:
        """Block until every body the accounts want offline is here and indexed, or its account is offline."""
        return self.context.store.wait_until(self.filled, timeout)

    def filled(self) -> bool:
        """Tell whether every body the accounts want offline is here and indexed, or its account is offline."""
        wires = [(self.context.accounts.by_id(number), wire) for number, wire in list(self._inbound.items())]
        return all(wire.caught_up or account.status.startswith("offline") for account, wire in wires)

    def pending(self) -> list[str]:
        """Return what is still being worked on, in words; what waits for a lost connection is not."""
        found = [] if self.context.bus.idle else ["events are being handled"]
        alive = {account.id for account in self.context.accounts.values() if self._reachable(account)}
        for job in job_rows.open_jobs(self.context.store.reader):
            accounts = [job["account"]] if job["account"] else self._accounts_of(job["id"])
            if any(account in alive for account in accounts):
                found.append(str(job["label"]))
        return found

    def last_job(self) -> int:
        """Return the number of the newest job."""
        return next(iter(job_rows.recent_jobs(self.context.store.reader, 1)), 0)

    def waiting(self, since: int = 0) -> list[str]:
        """Return what stays queued of the jobs after number `since`, and mail on its way among them."""
        found = job_rows.open_jobs(self.context.store.reader)
        jobs = [str(job["label"]) for job in found if job["kind"] != "send" and job["id"] > since]
        sql = (
            "SELECT subject, state FROM outbox WHERE state NOT IN ('sent', 'cancelled', 'failed') AND job > ?"
        )
        rows = self.context.store.read(sql, (since,))
        return jobs + [f"mail {row['subject']!r}: {row['state']}" for row in rows]

    def _accounts_of(self, job: int) -> list[int]:
        sql = (
            "SELECT DISTINCT account FROM op WHERE job = ?1 AND state IN ('pending', 'sent')"
            " UNION SELECT account FROM outbox WHERE job = ?1 AND state IN ('connecting', 'data-sent')"
            " OR (job = ?1 AND state = 'queued' AND not_before <= ?2)"
        )
        return [row[0] for row in self.context.store.read(sql, (job, self.clock.now()))]

    def _reachable(self, account: Account) -> bool:
        if not self._link.owner:
            status = folders.status(self.context.store.reader, account.id)
            return not status.startswith("offline:")  # the owner answers, unless it is offline
        served = any(account.id in wires for wires in (self._asleep, self._inbound, self._outbound))
        return served and not account.status.startswith("offline:")
