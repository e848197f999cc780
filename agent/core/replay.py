"""Carry out the journal: pending operations become commands on the wire, in groups.

Runs on the in:<account> thread. An operation is `sent` before the wire moves; one that is found
`sent` by a later session is looked for on the server before it is done again, so that nothing is
copied or appended twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from agent.clock import Clock
from agent.core.uidset import chunks
from agent.errors import Refused
from agent.mail import flags
from agent.net.base import Backend, Moved
from agent.store import folders, journal, messages
from agent.store.db import Row, Store, Transaction
from agent.store.folders import FolderRow

T = TypeVar("T")
Op = Row
_log = logging.getLogger("agent.replay")


class Replay:
    """The journal of one account, carried out on its connection."""

    def __init__(self, store: Store, clock: Clock, backend: Backend, account: int) -> None:
        self._store = store
        self._clock = clock
        self._backend = backend
        self._account = account
        self.unmapped: set[int] = set()  # folders where something of ours lies under an unknown UID

    def run(self) -> bool:
        """Carry out what can be carried out now; return whether there was anything."""
        ops = journal.runnable(self._store.reader, self._account)
        groups: dict[tuple[object, ...], list[Op]] = {}
        for op in ops:
            groups.setdefault(_group(op), []).append(op)
        for group in groups.values():
            self._carry_out(group)
        return bool(ops)

    def _carry_out(self, ops: list[Op]) -> None:
        does = {
            "flags": self._flags, "move": self._move, "delete": self._delete,
            "copy": self._copy, "append": self._append,
        }[ops[0]["kind"]]  # fmt: skip
        try:
            does(ops)
        except Refused as error:
            if not error.permanent:
                raise
            _log.info("refused: %s of %d messages: %s", ops[0]["kind"], len(ops), error)
            message = str(error)
            self._write(lambda tx: journal.failed(tx, ops, message, self._clock.now()))

    # -- in place ----------------------------------------------------------------------------

    def _flags(self, ops: list[Op]) -> None:
        folder = self._select(ops[0]["s_folder"])
        op = ops[0]
        add, remove = messages.split_tags(op["add_tags"]), messages.split_tags(op["remove_tags"])
        if not folder.keywords and (add or remove):
            self._write(lambda tx: journal.keep_tags_here(tx, ops))
            add = remove = frozenset()
        plus = flags.to_wire(op["add_flags"], add)
        minus = flags.to_wire(op["remove_flags"], remove)
        for uid_set, uids in chunks(op["s_uid"] for op in ops):
            if plus or minus:
                self._backend.change_flags(uid_set, plus, minus)
            wanted = set(uids)
            done = [op for op in ops if op["s_uid"] in wanted]
            self._write(lambda tx, done=done: journal.done(tx, done, self._clock.now()))  # type: ignore[misc]

    def _delete(self, ops: list[Op]) -> None:
        self._select(ops[0]["s_folder"])
        self._sent(ops)
        for uid_set, uids in chunks(op["s_uid"] for op in ops):
            self._backend.expunge(uid_set)
            wanted = set(uids)
            done = [op for op in ops if op["s_uid"] in wanted]
            self._write(lambda tx, done=done: journal.done(tx, done, self._clock.now()))  # type: ignore[misc]

    # -- from place to place -----------------------------------------------------------------

    def _move(self, ops: list[Op]) -> None:
        self._transfer(ops, ops[0]["s_folder"], lambda op: int(op["s_uid"]), self._backend.move)

    def _copy(self, ops: list[Op]) -> None:
        sources = {op["id"]: self._source(op) for op in ops}
        by_folder: dict[int, list[Op]] = {}
        for op in ops:
            by_folder.setdefault(sources[op["id"]][0], []).append(op)
        for source, some in by_folder.items():
            self._transfer(some, source, lambda op: sources[op["id"]][1], self._backend.copy)

    def _source(self, op: Op) -> tuple[int, int]:
        row = self._store.read("SELECT s_folder, s_uid FROM message WHERE id = ?", (op["original"],))[0]
        return int(row[0]), int(row[1])

    def _transfer(
        self, ops: list[Op], source: int, uid_of: Callable[[Op], int], send: Callable[[str, str], Moved]
    ) -> None:
        target = self._folder(ops[0]["target"])
        ops = self._not_done_before(ops, target)
        if not ops:
            return
        self._select(source)
        self._sent(ops)
        by_uid: dict[int, list[Op]] = {}
        for op in ops:
            by_uid.setdefault(uid_of(op), []).append(op)
        for uid_set, uids in chunks(by_uid):
            moved = send(uid_set, target.name)
            known = moved.uids if moved.uidvalidity == target.uidvalidity else {}
            some = [op for uid in uids for op in by_uid[uid]]
            new = {op["id"]: known[uid_of(op)] for op in some if uid_of(op) in known}
            self._write(lambda tx, some=some, new=new: journal.placed(tx, some, new, self._clock.now()))  # type: ignore[misc]
            if len(new) < len(some):
                self.unmapped.add(target.id)

    def _append(self, ops: list[Op]) -> None:
        target = self._folder(ops[0]["target"])
        for op in self._not_done_before(ops, target):
            raw = messages.raw(self._store.reader, op["content"]) or b""
            row = self._store.read(
                "SELECT flags, tags, received FROM message WHERE id = ?", (op["message"],)
            )[0]
            tags = messages.split_tags(row["tags"]) if target.keywords else frozenset()
            self._sent([op])
            there = self._backend.append(target.name, raw, flags.to_wire(row["flags"], tags), row["received"])
            uids = {op["id"]: there[1]} if there and there[0] == target.uidvalidity else {}
            self._write(lambda tx, op=op, uids=uids: journal.placed(tx, [op], uids, self._clock.now()))  # type: ignore[misc]
            if not uids:
                self.unmapped.add(target.id)

    def _not_done_before(self, ops: list[Op], target: FolderRow) -> list[Op]:
        """Find on the server what an earlier session sent without hearing the answer."""
        left = []
        for op in ops:
            uid = self._find(op, target) if op["state"] == "sent" else None
            if uid is None:
                left.append(op)
                continue
            uids = {op["id"]: uid}
            if op["kind"] == "move" and op["s_uid"] is not None:
                # The server copied and may not have removed; removing again does no harm.
                self._select(op["s_folder"])
                self._backend.expunge(str(op["s_uid"]))
            self._write(lambda tx, op=op, uids=uids: journal.placed(tx, [op], uids, self._clock.now()))  # type: ignore[misc]
        return left

    def _find(self, op: Op, target: FolderRow) -> int | None:
        row = self._store.read("SELECT message_id FROM content WHERE id = ?", (op["content"],))
        if not row or not row[0][0]:
            return None
        self._select(target.id)
        known = "SELECT 1 FROM message WHERE s_folder = ? AND s_uid = ?"
        for uid in reversed(self._backend.find_message_id(row[0][0])):
            if not self._store.read(known, (target.id, uid)):
                return uid
        return None

    # -- common ------------------------------------------------------------------------------

    def _folder(self, folder: int) -> FolderRow:
        row = folders.get(self._store.reader, folder)
        if row is None or not row.present:
            raise Refused(f"the folder {row.name if row else folder} is not there any more")
        return row

    def _select(self, folder: int) -> FolderRow:
        """Select a folder and make sure that its UIDs still mean what the store thinks they mean."""
        row = self._folder(folder)
        server = self._backend.select(row.name)
        if row.uidvalidity is not None and server.uidvalidity != row.uidvalidity:
            self.unmapped.add(row.id)
            raise Refused(f"{row.name}: UIDVALIDITY changed; syncing it first", permanent=False)
        return row

    def _sent(self, ops: Sequence[Op]) -> None:
        ids = [op["id"] for op in ops]
        self._store.write(lambda tx: journal.sent(tx, ids), durable=True).result()

    def _write(self, work: Callable[[Transaction], T]) -> T:
        return self._store.write(work).result()


def _group(op: Op) -> tuple[object, ...]:
    """Operations with the same group go to the wire as one command."""
    if op["kind"] == "flags":
        return (
            "flags", op["s_folder"], op["add_flags"], op["remove_flags"], op["add_tags"], op["remove_tags"],
        )  # fmt: skip
    return (op["kind"], op["s_folder"] if op["kind"] in ("move", "delete") else None, op["target"])
