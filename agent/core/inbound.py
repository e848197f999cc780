"""The `in:<account>` thread: owner of one connection to a store of mail.

It serves requests and the journal from the store, syncs by timer and when the server says so, and
rests in IDLE in between, woken by a bell. A command on the wire is never cancelled. When the link
is down everything waits in the store.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from agent.clock import Clock
from agent.core.account import Account
from agent.core.background import Background
from agent.core.bell import Bell
from agent.core.parsing import Parser
from agent.core.patience import BACKOFF_S, Patience
from agent.core.replay import Replay
from agent.core.requests import Requests
from agent.core.sweep import States, Sweep
from agent.core.sync import FolderSync
from agent.errors import AgentError, AuthError, NetworkError, Refused
from agent.net.base import Backend, FolderState, Pushed
from agent.store import folders, job_rows, journal
from agent.store.db import Store
from agent.store.folders import FolderRow
from agent.threads import end, spawn

_log = logging.getLogger("agent.inbound")

# IDLE is renewed so often that a link that died unnoticed, as in a suspend, is found before long.
_REST_S = 300.0
_REFUSED_S = 60.0  # before a refused inbox is tried again
_GLANCE_S = 1.0
_HASTY = ("fetch", "search")  # somebody waits for the answer
_REQUESTS = (*_HASTY, "sync", "create", "rename", "delete")


class Inbound:
    """One account's connection and the thread that owns it."""

    def __init__(
        self, store: Store, clock: Clock, account: Account, connect: Callable[[], Backend],
        arrived: Callable[[], None], parser: Parser, *, lazy: bool = False, fills: bool = False,
    ) -> None:  # fmt: skip
        self._store = store
        self._parser = parser
        self._clock = clock
        self._account = account
        self._connect = connect
        self._arrived = arrived  # called after a commit that may hold arrivals
        self._lazy = lazy  # connects when asked for something, and syncs only then
        self._fills = fills  # brings bodies here while nobody wants the wire for something else
        self.caught_up = False  # nothing is left to bring here
        self._bell = Bell()
        self._stopping = False
        self._backend: Backend | None = None
        self._patience = Patience(clock)
        self._next_sync = self._next_glance = self._next_attempt = 0.0
        self._asked = False  # whether new mail was looked for in this session
        self._may_idle = True
        self._looked_at: FolderState | None = None  # what the selected folder was told with, when compared
        self._is_told = False  # the server tells of all folders by itself
        self._stale: set[int] = set()  # folders to be synced soon

    # -- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        fetch = self._account.config.fetch
        self._next_sync = 0.0 if fetch.on_start else self._clock.monotonic() + fetch.every_s
        if self._lazy:
            self._next_sync = math.inf
        self._thread = spawn(f"in:{self._account.name}", self._run)

    def ask_to_stop(self) -> None:
        """Ask the thread to end after the command on the wire; a login under way is given up."""
        self._stopping = True
        self._bell.ring()
        if not self._patience.up:
            self._abort()

    def stop(self, until: float | None = None) -> None:
        """End the thread; a server that does not answer until then (in 5 seconds) is hung up on."""
        self.ask_to_stop()
        end(self._thread, self._abort, until)
        if not self._thread.is_alive():
            self._bell.close()

    def _abort(self) -> None:
        if (backend := self._backend) is not None:
            backend.abort()

    def wake(self) -> None:
        """Tell the thread that there may be work; safe on any thread."""
        self._bell.ring()

    def _run(self) -> None:
        while not self._stopping:
            try:
                if self._lazy:
                    self._wait_for_work()
                self._session()
            except Exception as error:  # a bug must not end the mail of this account
                if not self._stopping:
                    self._survive(error)
        self._account.status = "offline"

    # -- without a connection ----------------------------------------------------------------

    def _survive(self, error: Exception) -> None:
        try:
            self._lost(error)
        except Exception:  # a full disk, say: it may be over in a while
            if not self._stopping:
                _log.exception("%s: cannot note that the connection is lost", self._account.name)
                self._bell.wait(BACKOFF_S[1])

    def _lost(self, error: Exception) -> None:
        """Tell why there is no connection, and wait before the next attempt."""
        why = f"login refused: {error}" if isinstance(error, AuthError) else str(error)
        if not isinstance(error, (AgentError, OSError)):
            _log.error("%s: internal error", self._account.name, exc_info=error)
            why = "internal error; see the log"
        patience = self._patience
        patience.lost(isinstance(error, AuthError))
        if patience.given_up:
            why = f"{why} (given up after several refusals; sync the account to try again)"
        self._say(f"offline: {why}")
        _log.info("%s: %s", self._account.name, why)
        newest = job_rows.newest_request(self._store.reader, self._account.id)
        if patience.passing:
            # It worked a moment ago: who asked for something need not hear of it.
            self._wait_offline(patience.pause_s(), newest)
            return
        # Verbs wait in the journal, but nobody should wait long for what cannot be had now.
        now, account = self._clock.now(), self._account.id
        # A request that we stumble over ourselves would make us stumble for ever.
        kinds = (*_HASTY, "sync") if isinstance(error, (NetworkError, OSError)) else _REQUESTS
        self._store.write(lambda tx: job_rows.fail_requests(tx, account, kinds, why, now)).result()
        self._wait_offline(patience.pause_s(), newest)

    def _wait_offline(self, pause: float, newest: int) -> None:
        """Wait before the next attempt; a request that is newer than the failure ends the wait."""
        self._next_attempt = self._clock.monotonic() + pause
        while not self._stopping and (left := self._next_attempt - self._clock.monotonic()) > 0:
            if job_rows.newest_request(self._store.reader, self._account.id) > newest:
                return
            self._bell.wait(min(left, _REST_S))

    def _wait_for_work(self) -> None:
        while not self._stopping and not journal.has_work(self._store.reader, self._account.id):
            self._bell.wait(_REST_S)

    def _say(self, status: str) -> None:
        self._account.status = status
        account = self._account.id
        self._store.write(lambda tx: folders.set_status(tx, account, status)).result()
        self._store.changed()

    # -- a session ---------------------------------------------------------------------------

    def _session(self) -> None:
        if self._stopping:
            return
        self._account.status = "connecting"
        backend = self._connect()
        self._backend = backend
        try:
            self._patience.connecting()
            backend.connect()
            self._patience.connected()
            self._build(backend)
            # Asked for before the states are: what happens in between is told.
            self._is_told = self._account.config.fetch.idle and not self._lazy and backend.watch_all()
            states = self._sweep.survey()
            self._say("online")
            self._replay.recover()
            self._stale.update(journal.unmapped_folders(self._store.reader, self._account.id))
            self._serve(states)
        finally:
            backend.close()

    def _build(self, backend: Backend) -> None:
        store, clock, account = self._store, self._clock, self._account
        self._wire = backend
        self._may_idle = account.config.fetch.idle
        self._sync = FolderSync(store, clock, backend, account, self._serve_interactive)
        self._replay = Replay(store, clock, backend, account.id, self._sync)
        self._sweep = Sweep(store, clock, backend, account, self._sync, self._arrived, self._listed)
        self._requests = Requests(store, clock, backend, account, self._sweep, self._stale.add)
        self._background = Background(store, clock, backend, account, self._parser)

    def _listed(self) -> None:
        self._background.restart()
        self.caught_up = False

    def _serve(self, states: States) -> None:
        """Work until the end; `states` is how the folders just stood."""
        self._next_glance, self._asked = self._clock.monotonic() + _GLANCE_S, False
        while not self._stopping:
            # First cleared, then looked at: what is asked for in between rings again.
            self._bell.clear()
            if self._step():
                states = {}
                self._glance_in_time()
                continue
            if self._clock.monotonic() >= self._next_sync:
                states = states or self._sweep.survey()
                self._sweep.sync(self._sweep.wanted(), states)
                states = {}
                self._next_sync = self._clock.monotonic() + self._account.config.fetch.every_s
            elif self._fills and not self.caught_up:
                self._fill()
            else:
                self._rest()
                self._next_glance = self._clock.monotonic() + _GLANCE_S

    def _step(self) -> bool:
        """Do one piece of what is asked for; return whether there was any."""
        request = job_rows.next_request(self._store.reader, self._account.id)
        if request is not None:
            self._requests.answer(request)
            return True
        return self._replay.run() or self._sync_stale() or self._requests.fetch_for_appends()

    def _serve_interactive(self) -> None:
        """Between two commands of a long sync: fetches, searches and verbs go first."""
        if self._stopping:
            raise NetworkError("stopping")
        self._requests.publish()
        for kind in _HASTY:
            request = job_rows.next_request(self._store.reader, self._account.id, kind)
            if request is not None:
                self._requests.answer(request)
        self._replay.run()

    def _fill(self) -> None:
        """Do one piece of the background's work, and look for new mail about once a second."""
        if not self._background.step():
            self.caught_up = True
            self._store.changed()
            return
        self._look_at_opened()
        self._take_news(self._wire.pushed())
        self._glance_in_time()

    def _glance_in_time(self) -> None:
        """Look for new mail about once a second while there is no rest."""
        if self._clock.monotonic() < self._next_glance:
            return
        try:
            self._glance(ask=not self._asked)
        except Refused as error:
            _log.info("%s: cannot look into the inbox: %s", self._account.name, error)
        self._asked = True
        self._next_glance = self._clock.monotonic() + _GLANCE_S

    def _glance(self, *, ask: bool) -> None:
        """See without resting whether there is new mail; `ask` when what came before we were told counts."""
        inbox = self._watched()
        if (self._is_told and not ask) or (inbox is not None and self._wire.selected == inbox.name):
            self._take_news(self._wire.noop())
        elif inbox is not None and (self._wire.status(inbox.name).uidnext or 0) > (inbox.uidnext or 0):
            self._sweep.sync([inbox])

    # -- resting -----------------------------------------------------------------------------

    def _rest(self) -> None:
        """Sleep until the server, the timer or somebody here has something."""
        if self._look_at_opened():
            return
        until_sync = max(0.0, self._next_sync - self._clock.monotonic())
        left = min(_REST_S, self._replay.due_s, self._requests.due_s, until_sync)
        inbox = self._watched()
        try:
            if inbox is not None and self._wire.selected != inbox.name:
                if self._sweep.differs(inbox, self._wire.select(inbox.name)) and self._sweep.sync([inbox]):
                    self._bell.wait(min(left, _REFUSED_S))
            elif (inbox is not None or self._is_told) and self._may_idle and self._wire.can_idle:
                self._take_news(self._idle(left))
            elif not self._bell.wait(left):
                # A server hangs up on who says nothing for half an hour.
                self._take_news(self._wire.noop())
        except Refused as error:
            _log.info("%s: no rest in the inbox: %s", self._account.name, error)
            self._bell.wait(min(left, _REFUSED_S))

    def _idle(self, left: float) -> Pushed:
        try:
            return self._wire.rest(left, self._bell.fd)
        except Refused:
            self._may_idle = False  # offered and not granted: it is asked no more in this session
            raise

    def _look_at_opened(self) -> bool:
        """Sync a folder that was opened for something else and has changed; return whether it was."""
        opened, before = self._wire.opened, self._looked_at
        self._looked_at = opened
        if opened is None or opened is before or not self._account.config.fetch.idle:
            return False
        row = self._sweep.opened()
        if row is None or not self._sweep.differs(row, opened):
            return False
        self._sweep.sync([row])
        self._looked_at = self._wire.opened  # once is enough, also where the server contradicts itself
        return True

    def _take_news(self, pushed: Pushed) -> None:
        """Sync the folders in which something happened, when that is wanted as it comes."""
        if not self._account.config.fetch.idle:
            return
        if pushed.overflow:
            self._next_sync = self._clock.monotonic()
            self._is_told = self._wire.watch_all()
        rows = self._sweep.touched(pushed)
        if rows:
            self._sweep.sync(rows)

    def _watched(self) -> FolderRow | None:
        """Return the inbox, when news in it are wanted as they come."""
        if not self._account.config.fetch.idle or not self._sweep.wants("INBOX"):
            return None
        inbox = folders.find(self._store.reader, self._account.id, "INBOX")
        return inbox if inbox is not None and inbox.present and inbox.selectable else None

    def _sync_stale(self) -> bool:
        """Sync folders where UIDs have to be learnt: the server did not tell them, or changed them."""
        wanted = self._stale | self._replay.unmapped
        self._stale.clear()
        self._replay.unmapped.clear()
        rows = [folders.get(self._store.reader, folder) for folder in wanted]
        self._sweep.sync([row for row in rows if row is not None])
        return bool(wanted)
