"""The `in:<account>` thread: owner of one connection to a store of mail.

It serves requests and the journal from the store, syncs by timer and when the server says so, and
rests in IDLE in between, woken by a socketpair. A command on the wire is never cancelled. When
the link is down everything waits in the store.
"""

from __future__ import annotations

import json
import logging
import math
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from agent.clock import Clock
from agent.core import bodies
from agent.core.account import Account
from agent.core.background import Background
from agent.core.replay import Replay
from agent.core.sync import FolderSync
from agent.core.uidset import chunks
from agent.errors import AuthError, NetworkError, Refused, StoreError
from agent.net.base import Backend
from agent.store import contents, folders, journal
from agent.store.db import Row, Store
from agent.store.folders import FolderRow
from agent.threads import spawn

_log = logging.getLogger("agent.inbound")

_REST_S = 24 * 60  # IDLE is renewed well before a server's 30 minutes (RFC 2177)
_BACKOFF_S = (2.0, 80.0)
_REFUSED_LOGIN_S = 600.0  # a wrong password is not tried again soon: accounts get locked
_GLANCE_S = 1.0


@dataclass(slots=True)
class _Wake:
    """A byte on a socketpair ends a wait, also one for the server."""

    far: socket.socket = field(init=False)
    near: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.far, self.near = socket.socketpair()
        self.far.setblocking(False)
        self.near.setblocking(False)

    def ring(self) -> None:
        try:
            self.far.send(b"!")
        except BlockingIOError:
            pass  # it has not heard the last hundred rings yet: one is enough

    def clear(self) -> None:
        try:
            while self.near.recv(4096):
                pass
        except BlockingIOError:
            pass

    def wait(self, timeout: float) -> None:
        self.near.settimeout(max(timeout, 0.001))
        try:
            self.near.recv(4096)
        except TimeoutError:
            pass
        finally:
            self.near.setblocking(False)
        self.clear()

    def close(self) -> None:
        self.far.close()
        self.near.close()


class Inbound:
    """One account's connection and the thread that owns it."""

    def __init__(
        self, store: Store, clock: Clock, account: Account, connect: Callable[[], Backend],
        arrived: Callable[[], None], *, lazy: bool = False, fills: bool = True,
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._account = account
        self._connect = connect
        self._arrived = arrived  # called after a commit that may hold arrivals
        self._fills = fills  # brings bodies here when nobody wants the wire
        self.caught_up = False  # nothing is left to bring here
        self._next_glance = 0.0
        self._lazy = lazy  # connects when asked for something, and syncs only then
        self._wake = _Wake()
        self._stopping = False
        self._failures = 0
        self._next_sync = 0.0

    def start(self) -> None:
        """Start the thread."""
        fetch = self._account.config.fetch
        self._next_sync = 0.0 if fetch.on_start else self._clock.monotonic() + fetch.every_s
        if self._lazy:
            self._next_sync = math.inf
        self._thread = spawn(f"in:{self._account.name}", self._run)

    def stop(self) -> None:
        """Ask the thread to end after the command on the wire, and wait for it a while."""
        self._stopping = True
        self._wake.ring()
        self._thread.join(5)
        if not self._thread.is_alive():
            self._wake.close()

    def wake(self) -> None:
        """Tell the thread that there may be work; safe on any thread."""
        self._wake.ring()

    # -- the life of the connection ----------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            pause = 0.0
            try:
                if self._lazy:
                    self._wait_for_work()
                self._session()
            except AuthError as error:
                self._offline(f"login refused: {error}")
                pause = _REFUSED_LOGIN_S
            except (NetworkError, OSError) as error:
                self._offline(str(error))
                pause = self._backoff()
            except StoreError as error:
                if not self._stopping:
                    self._offline(str(error))
                pause = self._backoff()
            except Exception:  # a bug must not end the mail of this account
                _log.exception("%s: internal error", self._account.name)
                self._offline("internal error; see the log")
                pause = self._backoff()
            if not self._stopping and pause:
                self._wait_offline(pause)
        self._account.status = "offline"

    def _offline(self, why: str) -> None:
        self._account.status = f"offline: {why}"
        _log.info("%s: %s", self._account.name, why)
        if not self._stopping:
            self._fail_hopeless(why)
            self._store.changed()

    def _fail_hopeless(self, why: str) -> None:
        """Answer those who asked for something that cannot be had now; verbs wait in the journal."""
        now = self._clock.now()
        for job in journal.open_jobs(self._store.reader, self._account.id):
            if job["kind"] in ("sync", "fetch"):
                job_id = job["id"]
                self._store.write(
                    lambda tx, job_id=job_id: journal.set_job(
                        tx, job_id, state="failed", error=why, finished=now
                    )  # type: ignore[misc]
                )

    def _backoff(self) -> float:
        self._failures += 1
        low, high = _BACKOFF_S
        return float(min(high, low * 2 ** min(self._failures - 1, 10)) * random.uniform(0.7, 1.3))

    def _wait_offline(self, pause: float) -> None:
        """Wait before the next attempt; somebody who asks for the wire ends the wait."""
        end = self._clock.monotonic() + pause
        while not self._stopping and (left := end - self._clock.monotonic()) > 0:
            self._wake.wait(left)
            if journal.next_request(self._store.reader, self._account.id) is not None:
                return

    def _wait_for_work(self) -> None:
        while not self._stopping and not self._has_work():
            self._wake.wait(_REST_S)

    def _has_work(self) -> bool:
        reader, account = self._store.reader, self._account.id
        return journal.next_request(reader, account) is not None or bool(journal.runnable(reader, account, 1))

    def _session(self) -> None:
        if self._stopping:
            return
        self._account.status = "connecting"
        backend = self._connect()
        backend.connect()
        try:
            self._account.status = "online"
            self._failures = 0
            self._store.changed()
            self._backend = backend
            self._replay = Replay(self._store, self._clock, backend, self._account.id)
            self._sync = FolderSync(
                self._store, self._clock, backend, self._account.role_of, self._serve_interactive
            )
            self._background = Background(self._store, self._clock, backend, self._account)
            self._list_folders()
            self._serve()
        finally:
            backend.close()

    def _serve(self) -> None:
        while not self._stopping:
            self._wake.clear()
            if self._step():
                continue
            if self._clock.monotonic() >= self._next_sync:
                self._sync_folders(self._wanted())
                self._next_sync = self._clock.monotonic() + self._account.config.fetch.every_s
                continue
            if self._fills and not self.caught_up:
                self._fill()
                continue
            self._rest()

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
        inbox = self._inbox()
        if inbox is None:
            return
        if self._backend.selected == inbox.name:
            new = self._backend.noop().arrivals
        else:
            new = (self._backend.status(inbox.name).uidnext or 0) > (inbox.uidnext or 0)
        if new:
            self._sync_folders([inbox])

    def _step(self) -> bool:
        """Do one piece of what is asked for; return whether there was any."""
        request = journal.next_request(self._store.reader, self._account.id)
        if request is not None:
            self._answer(request)
            return True
        if self._replay.run():
            self._find_unmapped()
            return True
        return False

    def _serve_interactive(self) -> None:
        """Between two commands of a long sync: fetches and verbs go first."""
        request = journal.next_request(self._store.reader, self._account.id)
        if request is not None and request["kind"] == "fetch":
            self._answer(request)
        self._replay.run()
        if self._stopping:
            raise NetworkError("stopping")

    def _rest(self) -> None:
        """Sleep until the server, the timer or somebody here has something."""
        left = min(_REST_S, max(0.0, self._next_sync - self._clock.monotonic()))
        inbox = self._inbox() if self._account.config.fetch.idle and self._backend.can_idle else None
        if inbox is None:
            self._wake.wait(left)
            return
        if self._backend.selected != inbox.name:
            server = self._backend.select(inbox.name)
            if server.uidvalidity != inbox.uidvalidity or (server.uidnext or 0) > (inbox.uidnext or 0):
                self._sync_folders([inbox])
                return
        pushed = self._backend.rest(left, self._wake.near.fileno())
        if pushed.arrivals or pushed.flags or pushed.removals:
            self._sync_folders([inbox])

    # -- requests ----------------------------------------------------------------------------

    def _answer(self, request: Row) -> None:
        job, args = request["id"], json.loads(request["args"])
        self._store.write(lambda tx: journal.set_job(tx, job, state="running")).result()
        does: dict[str, Callable[[dict[str, Any]], None]] = {
            "sync": self._do_sync, "fetch": self._do_fetch, "create": self._do_create,
            "rename": self._do_rename, "delete": self._do_delete,
        }  # fmt: skip
        error = ""
        try:
            does[request["kind"]](args)
        except Refused as refused:
            error = str(refused)
        finished = {"state": "failed" if error else "done", "error": error, "finished": self._clock.now()}
        self._store.write(lambda tx: journal.set_job(tx, job, **finished)).result()

    def _do_sync(self, args: dict[str, Any]) -> None:
        self._list_folders()
        rows = folders.of_account(self._store.reader, self._account.id)
        names = args.get("folders")
        self._sync_folders([row for row in rows if names is None or row.name in names])

    def _do_fetch(self, args: dict[str, Any]) -> None:
        wanted: dict[int, list[int]] = {}
        for message in args["messages"]:
            sql = "SELECT s_folder, s_uid, state FROM message m JOIN content c ON c.id = m.content WHERE m.id = ?"
            found = self._store.read(sql, (message,))
            if not found or found[0]["s_uid"] is None:
                raise Refused("the message is not on the server (any more, or not yet)")
            wanted.setdefault(found[0]["s_folder"], []).append(found[0]["s_uid"])
        for folder, uids in wanted.items():
            self.fetch(folder, uids)

    def fetch(self, folder: int, uids: Sequence[int]) -> None:
        """Bring whole messages here; one that the server lost is noticed."""
        row = folders.get(self._store.reader, folder)
        if row is None:
            return
        server = self._backend.select(row.name)
        if server.uidvalidity != row.uidvalidity:
            self._sync_folders([row])
            raise Refused(
                f"{row.name} was replaced on the server; it has been synced, try again", permanent=False
            )
        missing = set(uids)
        for uid_set, _ in chunks(uids, 50):
            for fetched in self._backend.messages(uid_set):
                item = bodies.received(fetched)
                missing.discard(fetched.uid)
                row_id = self._store.read(
                    "SELECT id FROM message WHERE s_folder = ? AND s_uid = ?", (folder, fetched.uid)
                )
                if row_id and item.body is not None:
                    message, envelope, body = row_id[0][0], item.envelope, item.body
                    self._store.write(
                        lambda tx, message=message, envelope=envelope, body=body: contents.add_bodies(  # type: ignore[misc]
                            tx, [(message, envelope, body)]
                        )
                    ).result()
        if missing:
            self._sync_folders([row])
            raise Refused(f"{len(missing)} of the messages were removed on the server")

    def _do_create(self, args: dict[str, Any]) -> None:
        self._backend.create_folder(args["name"])
        self._list_folders()

    def _do_rename(self, args: dict[str, Any]) -> None:
        self._backend.rename_folder(args["name"], args["new"])
        row = folders.find(self._store.reader, self._account.id, args["name"])
        if row is not None:
            self._store.write(lambda tx: folders.rename(tx, row.id, args["new"])).result()
        self._list_folders()

    def _do_delete(self, args: dict[str, Any]) -> None:
        self._backend.delete_folder(args["name"])
        self._list_folders()

    # -- syncing -----------------------------------------------------------------------------

    def _list_folders(self) -> None:
        listed = [(info.name, info.delimiter, info.role, info.selectable) for info in self._backend.folders()]
        self._store.write(lambda tx: folders.list_folders(tx, self._account.id, listed)).result()

    def _wanted(self) -> list[FolderRow]:
        """Return the folders the account's configuration fetches."""
        patterns = self._account.config.fetch.folders
        rows = folders.of_account(self._store.reader, self._account.id)
        return [row for row in rows if any(fnmatchcase(row.name, pattern) for pattern in patterns)]

    def _sync_folders(self, rows: Sequence[FolderRow]) -> None:
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
            except Refused as error:
                # One folder that cannot be opened does not stop the others.
                _log.info("%s/%s: %s", self._account.name, row.name, error)
        self._settle_jobs()

    def _find_unmapped(self) -> None:
        """Where the server did not tell a new UID, listing the folder does."""
        wanted, self._replay.unmapped = self._replay.unmapped, set()
        rows = [folders.get(self._store.reader, folder) for folder in wanted]
        self._sync_folders([row for row in rows if row is not None])

    def _settle_jobs(self) -> None:
        """End jobs whose operations the server's own changes have settled."""
        now = self._clock.now()
        self._store.write(lambda tx: journal.finish_all(tx, now)).result()

    def _inbox(self) -> FolderRow | None:
        return folders.find(self._store.reader, self._account.id, "INBOX")
