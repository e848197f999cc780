"""The `in:<account>` thread: owner of one connection to a store of mail.

It serves requests and the journal from the store, syncs by timer and when the server says so, and
rests in IDLE in between, woken by a bell. A command on the wire is never cancelled. When the link
is down everything waits in the store.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from agent.clock import Clock
from agent.core import filing
from agent.core.account import Account
from agent.core.background import Background
from agent.core.bell import Bell
from agent.core.replay import Replay
from agent.core.requests import Requests
from agent.core.sync import FolderSync
from agent.errors import AgentError, AuthError, CommandError, NetworkError, Refused
from agent.net.base import Backend, FolderState, Pushed
from agent.store import folders, job_rows, journal, state
from agent.store.db import Store
from agent.store.folders import FolderRow
from agent.threads import spawn

_log = logging.getLogger("agent.inbound")

# IDLE is renewed so often that a link that died unnoticed, as in a suspend, is found before long.
_REST_S = 300.0
_STEADY_S = 60.0  # a connection that held this long was a good one
_BACKOFF_S = (2.0, 80.0)
_AT_ONCE_S = 0.2
_REFUSED_LOGIN_S = 600.0  # a wrong password is not tried again soon: accounts get locked
_REFUSED_S = 60.0  # before a refused inbox is tried again
_GLANCE_S = 1.0
_HASTY = ("fetch", "search")  # somebody waits for the answer
_REQUESTS = (*_HASTY, "sync", "create", "rename", "delete")
_GONE = 500  # messages of a vanished folder taken out in one transaction


class Inbound:
    """One account's connection and the thread that owns it."""

    def __init__(
        self, store: Store, clock: Clock, account: Account, connect: Callable[[], Backend],
        arrived: Callable[[], None], *, lazy: bool = False, fills: bool = False,
    ) -> None:  # fmt: skip
        self._store = store
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
        self._up_since: float | None = None
        self._failures = 0
        self._next_sync = self._next_glance = 0.0
        self._may_idle = True
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
        """Ask the thread to end after the command on the wire."""
        self._stopping = True
        self._bell.ring()

    def stop(self) -> None:
        """End the thread; a server that does not answer for 5 seconds is hung up on."""
        self.ask_to_stop()
        self._thread.join(5)
        if self._thread.is_alive() and (backend := self._backend) is not None:
            backend.abort()
            self._thread.join(5)
        if not self._thread.is_alive():
            self._bell.close()

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
                self._bell.wait(_BACKOFF_S[1])

    def _lost(self, error: Exception) -> None:
        """Tell why there is no connection, and wait before the next attempt."""
        why = f"login refused: {error}" if isinstance(error, AuthError) else str(error)
        if not isinstance(error, (AgentError, OSError)):
            _log.error("%s: internal error", self._account.name, exc_info=error)
            why = "internal error; see the log"
        was_up = self._up_since is not None
        if was_up and self._clock.monotonic() - (self._up_since or 0.0) >= _STEADY_S:
            self._failures = 0
        self._failures += 1
        self._up_since = None
        self._say(f"offline: {why}")
        _log.info("%s: %s", self._account.name, why)
        newest = job_rows.newest_request(self._store.reader, self._account.id)
        if was_up and self._failures == 1:
            # It worked a moment ago: who asked for something need not hear of it.
            self._wait_offline(_AT_ONCE_S, newest)
            return
        # Verbs wait in the journal, but nobody should wait long for what cannot be had now.
        now, account = self._clock.now(), self._account.id
        # A request that we stumble over ourselves would make us stumble for ever.
        kinds = (*_HASTY, "sync") if isinstance(error, (NetworkError, OSError)) else _REQUESTS
        self._store.write(lambda tx: job_rows.fail_requests(tx, account, kinds, why, now)).result()
        self._wait_offline(_REFUSED_LOGIN_S if isinstance(error, AuthError) else self._pause(), newest)

    def _pause(self) -> float:
        low, high = _BACKOFF_S
        return float(min(high, low * 2 ** min(self._failures - 1, 10)) * random.uniform(0.7, 1.3))

    def _wait_offline(self, pause: float, newest: int) -> None:
        """Wait before the next attempt; a request that is newer than the failure ends the wait."""
        end = self._clock.monotonic() + pause
        while not self._stopping and (left := end - self._clock.monotonic()) > 0:
            if job_rows.newest_request(self._store.reader, self._account.id) > newest:
                return
            self._bell.wait(left)

    def _wait_for_work(self) -> None:
        while not self._stopping and not self._has_work():
            self._bell.wait(_REST_S)

    def _has_work(self) -> bool:
        reader, account = self._store.reader, self._account.id
        return bool(
            job_rows.next_request(reader, account)
            or journal.runnable(reader, account, 1)
            or journal.wants_bytes(reader, account, 1)
            or journal.in_doubt(reader, account)
            or journal.unmapped_folders(reader, account)
        )

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
            backend.connect()
            self._up_since = self._clock.monotonic()
            self._build(backend)
            self._list_folders()
            self._say("online")
            self._replay.recover()
            self._stale.update(journal.unmapped_folders(self._store.reader, self._account.id))
            self._serve()
        finally:
            backend.close()

    def _build(self, backend: Backend) -> None:
        store, clock, account = self._store, self._clock, self._account
        self._wire = backend
        self._may_idle = account.config.fetch.idle
        self._sync = FolderSync(store, clock, backend, account, self._serve_interactive)
        self._replay = Replay(store, clock, backend, account.id, self._sync)
        self._requests = Requests(
            store, clock, backend, account, self._list_folders, self._sync_folders, self._stale.add
        )
        self._background = Background(store, clock, backend, account)

    def _serve(self) -> None:
        while not self._stopping:
            # First cleared, then looked at: what is asked for in between rings again.
            self._bell.clear()
            if self._step():
                continue
            if self._clock.monotonic() >= self._next_sync:
                self._sync_folders(self._wanted())
                self._next_sync = self._clock.monotonic() + self._account.config.fetch.every_s
            elif self._fills and not self.caught_up:
                self._fill()
            else:
                self._rest()

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
        elif self._clock.monotonic() >= self._next_glance:
            self._glance()
            self._next_glance = self._clock.monotonic() + _GLANCE_S

    def _glance(self) -> None:
        """See without resting whether there is new mail in the inbox."""
        inbox = self._watched()
        if inbox is None:
            return
        if self._wire.selected == inbox.name:
            self._take_news(inbox, self._wire.noop())
        elif (self._wire.status(inbox.name).uidnext or 0) > (inbox.uidnext or 0):
            self._sync_folders([inbox])

    # -- resting -----------------------------------------------------------------------------

    def _rest(self) -> None:
        """Sleep until the server, the timer or somebody here has something."""
        left = min(_REST_S, self._replay.due_s, max(0.0, self._next_sync - self._clock.monotonic()))
        inbox = self._watched()
        try:
            if inbox is not None and self._wire.selected != inbox.name:
                if self._differs(inbox, self._wire.select(inbox.name)) and self._sync_folders([inbox]):
                    self._bell.wait(min(left, _REFUSED_S))
            elif inbox is not None and self._may_idle and self._wire.can_idle:
                self._take_news(inbox, self._idle(left))
            elif not self._bell.wait(left):
                # A server hangs up on who says nothing for half an hour.
                self._take_news(inbox, self._wire.noop())
        except Refused as error:
            _log.info("%s: no rest in the inbox: %s", self._account.name, error)
            self._bell.wait(min(left, _REFUSED_S))

    def _idle(self, left: float) -> Pushed:
        try:
            return self._wire.rest(left, self._bell.fd)
        except Refused:
            self._may_idle = False  # offered and not granted: it is asked no more in this session
            raise

    def _take_news(self, inbox: FolderRow | None, pushed: Pushed) -> None:
        if inbox is not None and (pushed.arrivals or pushed.flags or pushed.removals):
            self._sync_folders([inbox])

    def _watched(self) -> FolderRow | None:
        """Return the inbox, when news in it are wanted as they come."""
        if not self._account.config.fetch.idle:
            return None
        return next((row for row in self._wanted() if row.name == "INBOX" and row.selectable), None)

    def _differs(self, row: FolderRow, server: FolderState) -> bool:
        """Tell whether a folder just selected has changed since its last sync."""
        if server.uidvalidity != row.uidvalidity or server.uidnext != row.uidnext:
            return True
        if server.modseq is not None:
            return server.modseq != row.modseq
        return server.exists != state.count(self._store.reader, row.id)

    # -- syncing -----------------------------------------------------------------------------

    def _list_folders(self) -> None:
        role = self._account.role_of  # config.yaml's word before the server's, in searches too
        listed = [(info.name, info.delimiter, role(info), info.selectable) for info in self._wire.folders()]
        if not any(name.upper() == "INBOX" for name, *_ in listed):
            # Every account has one (RFC 9051 section 5.1): a list without it proves nothing.
            raise NetworkError(f"{self._account.name}: the server's list of folders lacks INBOX")
        self._store.write(lambda tx: folders.list_folders(tx, self._account.id, listed)).result()
        for row in folders.vanished(self._store.reader, self._account.id):
            self._forget(row)
        filing.file_waiting(self._store, self._account, self._clock.now())

    def _forget(self, row: FolderRow) -> None:
        """Take out the messages of a folder that the server has no more."""
        now, more = self._clock.now(), True
        while more:
            more = self._store.write(
                lambda tx: state.vanish_folder(tx, row.id, now, _GONE), bulk=True
            ).result()
        self._store.write(lambda tx: folders.forget(tx, row.id)).result()
        self._settle_jobs()

    def _wanted(self) -> list[FolderRow]:
        """Return the folders the account's configuration fetches."""
        patterns = self._account.config.fetch.folders
        rows = folders.of_account(self._store.reader, self._account.id)
        return [row for row in rows if any(fnmatchcase(row.name, pattern) for pattern in patterns)]

    def _sync_folders(self, rows: Sequence[FolderRow]) -> list[str]:
        """Sync folders one after the other; return what went wrong."""
        errors = []
        for row in rows:
            if not row.selectable:
                continue
            try:
                arrived, listed = self._sync.run(row.id)
                if arrived:
                    self._arrived()
                if listed:
                    self._background.restart()
                    self.caught_up = False
            except (Refused, CommandError) as error:
                # One folder that cannot be opened does not stop the others.
                _log.info("%s/%s: %s", self._account.name, row.name, error)
                errors.append(str(error))
            except NetworkError:
                self._arrived()  # what came before the line broke is not to wait for the next mail
                raise
        self._settle_jobs()
        return errors

    def _sync_stale(self) -> bool:
        """Sync folders where UIDs have to be learnt: the server did not tell them, or changed them."""
        wanted = self._stale | self._replay.unmapped
        self._stale.clear()
        self._replay.unmapped.clear()
        rows = [folders.get(self._store.reader, folder) for folder in wanted]
        self._sync_folders([row for row in rows if row is not None])
        return bool(wanted)

    def _settle_jobs(self) -> None:
        """End jobs whose operations the server's own changes have settled."""
        now = self._clock.now()
        self._store.write(lambda tx: job_rows.finish_all(tx, now)).result()
