"""Requests to a wire: jobs that are no verbs. Syncs, fetches of whole messages, folder administration.

Runs on the in:<account> thread. A request is `running` in the store before the wire moves; one that
is found running was interrupted, and what it did before the interruption counts.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

from agent.clock import Clock
from agent.core import bodies
from agent.core.account import Account
from agent.core.sweep import Sweep
from agent.core.uidset import chunks
from agent.errors import CommandError, NotFound, Refused
from agent.net.base import Backend, ShortBody
from agent.store import contents, folders, job_rows, journal, state
from agent.store.contents import Incoming
from agent.store.db import Row, Store

_log = logging.getLogger("agent.requests")
_MESSAGES = 50  # whole messages in one FETCH
_PUBLISHED_S = 0.5
_PAUSE_S = 10.0  # before what cannot be had just now is asked for again


class Requests:
    """Answers the requests of one account on its connection."""

    def __init__(
        self, store: Store, clock: Clock, backend: Backend, account: Account,
        sweep: Sweep, sync_later: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._backend = backend
        self._account = account
        self._sweep = sweep
        self._sync_later = sync_later
        self._syncing: int | None = None  # the job of the sync that is running
        self._published = 0.0
        self._not_before = 0.0  # when bytes for appends are asked for again

    @property
    def due_s(self) -> float:
        """Seconds until something that waits is asked for again; endless when nothing waits."""
        left = self._not_before - self._clock.monotonic()
        return left if left > 0 else math.inf

    def answer(self, request: Row) -> None:
        """Carry out one request and say in its row what became of it."""
        job, args, again = request["id"], json.loads(request["args"]), request["state"] == "running"
        if not self._store.write(lambda tx: job_rows.start(tx, job)).result():
            return  # cancelled meanwhile
        error = ""
        try:
            self._do(job, request["kind"], args, again)
        except (Refused, ShortBody, CommandError) as refused:
            error = str(refused)
        now = self._clock.now()
        self._store.write(lambda tx: job_rows.end(tx, job, error, now)).result()

    def publish(self) -> None:
        """Write into the row of a running sync how far it is: other processes read it there."""
        progress, now = self._account.progress, self._clock.monotonic()
        if self._syncing is None or progress is None or now - self._published < _PUBLISHED_S:
            return
        job, columns = self._syncing, {"progress": progress.done, "total": progress.total or 0}
        self._published = now
        self._store.write(lambda tx: job_rows.set_job(tx, job, **columns), bulk=True)

    def _do(self, job: int, kind: str, args: dict[str, Any], again: bool) -> None:
        if kind == "sync":
            self._syncing = job
            try:
                self._sync(args.get("folders"))
            finally:
                self._syncing = None
        elif kind == "fetch":
            self._fetch_messages(args["messages"])
        elif kind == "search":
            from agent.core.searcher import Searcher  # with all that reads messages: a sync does without

            Searcher(self._store, self._backend, self._account.name, self._sync_later).run(job, args)
        elif kind == "create":
            self._create(args["name"], again)
        elif kind == "rename":
            self._rename(args["name"], args["new"], again)
        elif kind == "delete":
            self._delete(args["name"], again)
        else:
            raise CommandError(f"{self._account.name} does not know how to {kind}")

    def _sync(self, names: Sequence[str] | None) -> None:
        states = self._sweep.survey(lambda name: names is None or name in names)
        rows = folders.of_account(self._store.reader, self._account.id)
        for name in set(names or ()) - {row.name for row in rows}:
            raise NotFound(f"{self._account.name} has no folder {name!r} any more")
        errors = self._sweep.sync([row for row in rows if names is None or row.name in names], states)
        if errors:
            raise CommandError("; ".join(errors))

    # -- whole messages ----------------------------------------------------------------------

    def _fetch_messages(self, ids: Sequence[int]) -> None:
        wanted: dict[int, list[int]] = {}
        for message in ids:
            found = self._store.read("SELECT s_folder, s_uid FROM message WHERE id = ?", (message,))
            if not found or found[0]["s_uid"] is None:
                raise Refused("the message is not on the server (any more, or not yet)")
            wanted.setdefault(found[0]["s_folder"], []).append(found[0]["s_uid"])
        for folder, uids in wanted.items():
            self.fetch(folder, uids)

    def fetch(self, folder: int, uids: Sequence[int]) -> None:
        """Bring whole messages here; raises Refused for those that the server lost."""
        row = folders.get(self._store.reader, folder)
        if row is None:
            return
        # Somebody waits: a folder that is open already is not opened anew.
        opened = self._backend.opened if self._backend.selected == row.name else None
        if (opened or self._backend.select(row.name)).uidvalidity != row.uidvalidity:
            self._sync_later(folder)
            raise Refused(f"{row.name} was replaced on the server; it is synced, try again", permanent=False)
        missing = set(uids)
        for uid_set, _ in chunks(uids, _MESSAGES):
            try:
                for fetched in self._backend.messages(uid_set):
                    if not fetched.raw and self._has_size(folder, fetched.uid):
                        continue  # so Dovecot answers for what is gone and was not told to be
                    missing.discard(fetched.uid)
                    self._keep(folder, bodies.received(fetched))
            except ShortBody as error:
                # What there is can be read, and is never taken for the whole.
                for uid, (_, announced) in error.sizes.items():
                    for fetched in self._backend.heads(str(uid), announced):
                        self._keep(folder, bodies.received(fetched))
                raise
        if missing:
            self._sync_later(folder)
            raise Refused(f"{len(missing)} of the messages were removed on the server")

    def _has_size(self, folder: int, uid: int) -> bool:
        sql = "SELECT size > 0 FROM message WHERE s_folder = ? AND s_uid = ?"
        found = self._store.read(sql, (folder, uid))
        return bool(found and found[0][0])

    def _keep(self, folder: int, item: Incoming) -> None:
        sql = "SELECT id FROM message WHERE s_folder = ? AND s_uid = ?"
        found = self._store.read(sql, (folder, item.uid))
        if found and item.body is not None:
            known = [(found[0][0], item.envelope, item.body)]
            self._store.write(lambda tx: contents.add_bodies(tx, known)).result()

    def fetch_for_appends(self) -> bool:
        """Bring here what is to be copied to another account; return whether there was anything."""
        if self._clock.monotonic() < self._not_before:
            return False
        wanted = journal.wants_bytes(self._store.reader, self._account.id)
        for row in wanted:
            try:
                if row["s_uid"] is None:
                    raise Refused(state.REMOVED)
                self.fetch(row["s_folder"], [row["s_uid"]])
            except (Refused, ShortBody) as error:
                if isinstance(error, Refused) and not error.permanent:
                    _log.info("what is to be copied waits %.0f s: %s", _PAUSE_S, error)
                    self._not_before = self._clock.monotonic() + _PAUSE_S
                    continue
                why, original, now = str(error), row["id"], self._clock.now()
                self._store.write(
                    lambda tx, why=why, original=original, now=now: journal.failed(  # type: ignore[misc]
                        tx, journal.without_bytes(tx, original), why, now
                    )
                ).result()
        return bool(wanted)

    # -- folders -----------------------------------------------------------------------------

    def _create(self, name: str, again: bool) -> None:
        if not (again and self._exists(name)):
            self._backend.create_folder(name)
        self._sweep.survey()

    def _rename(self, name: str, new: str, again: bool) -> None:
        if not (again and self._exists(new) and not self._exists(name)):
            self._backend.rename_folder(name, new)
        row = folders.find(self._store.reader, self._account.id, name)
        if row is not None:
            self._store.write(lambda tx: folders.rename(tx, row.id, new)).result()
        self._sweep.survey()

    def _delete(self, name: str, again: bool) -> None:
        if not again or self._exists(name):
            self._backend.delete_folder(name)
        self._sweep.survey()

    def _exists(self, name: str) -> bool:
        return any(info.name == name for info in self._backend.folders())
