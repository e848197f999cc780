"""What carrying out the journal rests on: the folder that is open, and the notes that are taken.

Runs on the in:<account> thread. An operation is `sent` in the store before the wire moves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from agent.clock import Clock
from agent.core.sync import FolderSync
from agent.errors import CommandError, Refused
from agent.mail import flags
from agent.net.base import Backend, FolderState
from agent.store import folders, journal, messages, outbox
from agent.store.db import Row, Store, Transaction
from agent.store.folders import FolderRow

T = TypeVar("T")
Op = Row
_log = logging.getLogger("agent.replay")


class Renumbered(Refused):
    """The UIDs of a folder mean something else than the store thinks."""


class Carrier:
    """One account's connection, and its journal in the store."""

    def __init__(self, store: Store, clock: Clock, backend: Backend, account: int, sync: FolderSync) -> None:
        self.store = store
        self.clock = clock
        self.backend = backend
        self.account = account
        self.sync = sync
        self.unmapped: set[int] = set()  # folders to be synced: something of ours lies there, or UIDs changed

    # -- folders -----------------------------------------------------------------------------

    def folder(self, folder: int) -> FolderRow:
        """Return a folder that is there; raises Refused."""
        row = folders.get(self.store.reader, folder)
        if row is None or not row.present:
            raise Refused(f"the folder {row.name if row else folder} is not there any more")
        return row

    def target(self, folder: int) -> FolderRow:
        """Return a folder something is to go to; where it stands is known before."""
        if self.folder(folder).uidvalidity is None:
            self.sync.settle(folder)
        return self.folder(folder)

    def select(self, folder: int) -> tuple[FolderRow, FolderState]:
        """Select a folder and make sure that its UIDs still mean what the store thinks they mean."""
        row = self.folder(folder)
        # Opening a folder anew for each piece of a bulk verb costs more than the verb.
        server = self.backend.opened if self.backend.selected == row.name else None
        if server is None or server.uidvalidity != row.uidvalidity:
            server = self.backend.select(row.name)
        if row.uidvalidity is not None and server.uidvalidity != row.uidvalidity:
            self.unmapped.add(row.id)
            raise Renumbered(f"{row.name}: UIDVALIDITY changed; syncing it first", permanent=False)
        return row, server

    # -- notes -------------------------------------------------------------------------------

    def take(self, ops: Sequence[Op], *, durable: bool = True) -> list[Op]:
        """Note that operations go to the wire now; leaves out what was cancelled meanwhile.

        What may happen twice without harm need not be `durable`.
        """
        ids = [op["id"] for op in ops]
        left_out = self.store.write(lambda tx: journal.take(tx, ids), durable=durable).result()
        return [op for op in ops if op["id"] not in left_out] if left_out else list(ops)

    def done(self, ops: Sequence[Op], error: str = "") -> None:
        """Note that flag changes and deletions happened; `error` when that was not our doing."""
        if ops:
            self.write(lambda tx: journal.done(tx, ops, self.clock.now(), error))

    def placed(self, ops: Sequence[Op], uids: dict[int, int]) -> None:
        """Note where operations went; a UID that the server does not tell is found by a sync."""
        self.write(lambda tx: journal.placed(tx, ops, uids, self.clock.now()))
        self.unmapped.update(op["target"] for op in ops if op["id"] not in uids)

    def failed(self, ops: Sequence[Op], error: Refused | CommandError) -> None:
        """Give up what the server refuses for good, and say so; what of it is done stays done."""
        _log.info("refused: %s of %d messages: %s", ops[0]["kind"], len(ops), error)
        drafts = [op for op in ops if _only_here(op)]
        others = [op for op in ops if not _only_here(op)]
        now = self.clock.now()

        def work(tx: Transaction) -> None:
            journal.failed(tx, others, str(error), now)
            for op in drafts:
                self._keep_text(tx, op, str(error), now)

        self.write(work)

    def _keep_text(self, tx: Transaction, op: Op, why: str, now: float) -> None:
        """Put the text of a refused draft where it can be gone on with."""
        if not journal.failed(tx, [op], f"{why}; its text is kept in the outbox, edit() it there", now):
            return  # cancelled meanwhile
        row = tx.execute("SELECT message_id, subject FROM content WHERE id = ?", (op["content"],)).fetchone()
        data = messages.raw(tx, op["content"])
        if data is not None:
            outbox.keep_text(tx, self.account, row["message_id"], row["subject"], data, why, now)

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Run a transaction and return what it returns."""
        return self.store.write(work).result()


def _only_here(op: Op) -> bool:
    """Tell whether an operation is the append of a draft: what it brings is nowhere else."""
    return op["kind"] == "append" and op["original"] is None and bool(op["s_flags"] & flags.DRAFT)
