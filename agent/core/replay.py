"""Carry out the journal: pending operations become commands on the wire, in groups.

Runs on the in:<account> thread. An operation is `sent` before the wire moves. One that is found
`sent` at the beginning of a session is looked for on the server before it may be done again, so
that nothing is copied or appended twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from agent.clock import Clock
from agent.core import bodies
from agent.core.sync import FolderSync
from agent.core.uidset import chunks, compress
from agent.errors import CommandError, Refused
from agent.mail import flags
from agent.net.base import Backend, FolderState, Moved
from agent.store import folders, journal, messages
from agent.store.contents import Incoming
from agent.store.db import Row, Store, Transaction
from agent.store.folders import FolderRow

T = TypeVar("T")
Op = Row
Group = tuple[object, ...]
_log = logging.getLogger("agent.replay")

_PAUSE_S = (10.0, 600.0)  # before what the server cannot do just now is tried again


class _Renumbered(Refused):
    """The UIDs of a folder mean something else than the store thinks."""


class Replay:
    """The journal of one account, carried out on its connection."""

    def __init__(self, store: Store, clock: Clock, backend: Backend, account: int, sync: FolderSync) -> None:
        self._store = store
        self._clock = clock
        self._backend = backend
        self._account = account
        self._sync = sync
        self.unmapped: set[int] = set()  # folders to be synced: something of ours lies there, or UIDs changed
        self._later: dict[
            Group, tuple[float, float]
        ] = {}  # group -> not before, and the pause that made it so

    def run(self) -> bool:
        """Carry out what can be carried out now; return whether there was anything."""
        groups: dict[Group, list[Op]] = {}
        for op in journal.runnable(self._store.reader, self._account):
            groups.setdefault(_group(op), []).append(op)
        worked = False
        for group, ops in groups.items():
            if self._later.get(group, (0.0, 0.0))[0] <= self._clock.monotonic():
                self._carry_out(group, ops)
                worked = True
        return worked

    @property
    def due_s(self) -> float:
        """Seconds until something that was put off is to be tried again; inf when nothing is."""
        now = self._clock.monotonic()
        return min((max(0.0, when - now) for when, _ in self._later.values()), default=float("inf"))

    def _carry_out(self, group: Group, ops: list[Op]) -> None:
        does = {
            "flags": self._flags, "move": self._move, "delete": self._delete,
            "copy": self._copy, "append": self._append,
        }[ops[0]["kind"]]  # fmt: skip
        try:
            does(ops)
        except (Refused, CommandError) as error:
            if isinstance(error, Refused) and not error.permanent:
                self._put_off(group, ops, error)
                return
            self._failed(ops, error)
        self._later.pop(group, None)

    def _failed(self, ops: Sequence[Op], error: Refused | CommandError) -> None:
        """Give up what the server refuses for good, and say so; what of it is done stays done."""
        _log.info("refused: %s of %d messages: %s", ops[0]["kind"], len(ops), error)
        message = str(error)
        self._write(lambda tx: journal.failed(tx, ops, message, self._clock.now()))

    def _put_off(self, group: Group, ops: list[Op], error: Refused) -> None:
        """Leave what the server cannot do just now for later; the rest of the journal goes on."""
        low, high = _PAUSE_S
        _, before = self._later.get(group, (0.0, 0.0))
        pause = 1.0 if isinstance(error, _Renumbered) else min(high, max(low, before * 2))
        _log.info("%s of %d messages waits %.0f s: %s", ops[0]["kind"], len(ops), pause, error)
        self._write(lambda tx: journal.put_back(tx, [op["id"] for op in ops]))
        self._later[group] = (self._clock.monotonic() + pause, pause)

    # -- in place ----------------------------------------------------------------------------

    def _flags(self, ops: list[Op]) -> None:
        row, server = self._select(ops[0]["s_folder"])
        if not server.writable:
            raise Refused(f"{row.name} is read-only on the server")
        op = ops[0]
        if server.kept is not None and (lost := (op["add_flags"] | op["remove_flags"]) & ~server.kept):
            # Servers answer OK to a STORE of what they do not keep.
            raise Refused(f"{row.name}: the server keeps no change of {', '.join(flags.words(lost))} there")
        add, remove = messages.split_tags(op["add_tags"]), messages.split_tags(op["remove_tags"])
        if not server.keywords and (add or remove):
            self._write(lambda tx: journal.keep_tags_here(tx, ops))
            add = remove = frozenset()
        plus = flags.to_wire(op["add_flags"], add)
        minus = flags.to_wire(op["remove_flags"], remove)
        for uid_set, some in _by_uid(self._take(ops)):
            if plus or minus:
                self._backend.change_flags(uid_set, plus, minus)
            self._done(some)

    def _delete(self, ops: list[Op]) -> None:
        self._select(ops[0]["s_folder"])
        for uid_set, some in _by_uid(self._take(ops)):
            self._backend.expunge(uid_set)
            self._done(some)

    def _done(self, ops: Sequence[Op]) -> None:
        self._write(lambda tx: journal.done(tx, ops, self._clock.now()))

    # -- from place to place -----------------------------------------------------------------

    def _move(self, ops: list[Op]) -> None:
        self._transfer(ops, ops[0]["s_folder"], lambda op: int(op["s_uid"]), self._backend.move)

    def _copy(self, ops: list[Op]) -> None:
        uids: dict[int, int] = {}
        by_folder: dict[int, list[Op]] = {}
        for op in ops:
            sql = "SELECT s_folder, s_uid FROM message WHERE id = ? AND s_uid IS NOT NULL"
            # An operation before this one may have taken the original to where its UID is not known yet.
            for folder, uid in self._store.read(sql, (op["original"],)):
                by_folder.setdefault(folder, []).append(op)
                uids[op["id"]] = uid
        self._lost(op for op in ops if op["id"] not in uids)
        for folder, some in by_folder.items():
            self._transfer(some, folder, lambda op: uids[op["id"]], self._backend.copy)

    def _lost(self, ops: Iterable[Op]) -> None:
        """Give up copies of what somebody removed meanwhile."""
        sql = "SELECT 1 FROM message WHERE id = ? AND gone IS NOT NULL"
        if lost := [op for op in ops if self._store.read(sql, (op["original"],))]:
            self._failed(lost, Refused("the message was removed on the server"))

    def _transfer(
        self, ops: list[Op], source: int, uid_of: Callable[[Op], int], send: Callable[[str, str], Moved]
    ) -> None:
        target = self._target(ops[0]["target"])
        self._select(source)
        by_uid: dict[int, list[Op]] = {}
        for op in self._take(ops):
            by_uid.setdefault(uid_of(op), []).append(op)
        for uid_set, uids in chunks(by_uid):
            moved = send(uid_set, target.name)
            known = moved.uids if moved.uidvalidity == target.uidvalidity else {}
            # The same message copied twice into a folder: the server copies a UID once in one command.
            rounds = [[by_uid[uid][n] for uid in uids if n < len(by_uid[uid])] for n in range(_most(by_uid))]
            self._placed(rounds[0], {op["id"]: known[uid_of(op)] for op in rounds[0] if uid_of(op) in known})
            for again in rounds[1:]:
                self._write(lambda tx, again=again: journal.put_back(tx, [op["id"] for op in again]))  # type: ignore[misc]

    def _append(self, ops: list[Op]) -> None:
        target = self._target(ops[0]["target"])
        for op in ops:
            if not self._take([op]):
                continue
            raw = messages.raw(self._store.reader, op["content"]) or b""
            sql = "SELECT flags, tags, received FROM message WHERE id = ?"
            row = self._store.read(sql, (op["message"],))[0]
            tags = messages.split_tags(row["tags"]) if target.keywords else frozenset()
            words = flags.to_wire(row["flags"], tags)
            try:
                there = self._backend.append(target.name, raw, words, row["received"])
            except Refused as error:
                if not error.permanent:
                    raise
                self._failed([op], error)  # too large, say: the others may still go
                continue
            self._placed([op], {op["id"]: there[1]} if there and there[0] == target.uidvalidity else {})

    def _placed(self, ops: Sequence[Op], uids: dict[int, int]) -> None:
        """Note where operations went; a UID that the server does not tell is found by a sync."""
        self._write(lambda tx: journal.placed(tx, ops, uids, self._clock.now()))
        self.unmapped.update(op["target"] for op in ops if op["id"] not in uids)

    # -- after a lost answer -----------------------------------------------------------------

    def recover(self) -> None:
        """Find out what became of operations whose answer an earlier session did not hear."""
        doubtful = journal.in_doubt(self._store.reader, self._account)
        by_target: dict[int, list[Op]] = {}
        for op in doubtful:
            if op["kind"] in ("move", "copy", "append"):
                by_target.setdefault(op["target"], []).append(op)
        undecided: set[int] = set()
        for target, ops in by_target.items():
            try:
                undecided |= self._look_for(ops, target)
            except Refused as error:
                _log.info("cannot look into folder %d: %s", target, error)
                if error.permanent:
                    self._failed(ops, error)
                else:
                    undecided |= {op["id"] for op in ops}
        # What was looked for and not found has not happened; flags and deletions may be done twice.
        # What could not be looked for stays in doubt until the next session: better late than twice.
        decided = [op["id"] for op in doubtful if op["id"] not in undecided]
        self._write(lambda tx: journal.put_back(tx, decided))

    def _look_for(self, ops: Sequence[Op], target: int) -> set[int]:
        """Find operations in their target; return those whose source could not be looked at."""
        moves = [op for op in ops if op["kind"] == "move"]
        left, unseen = self._moved_away(moves)
        left += [op for op in ops if op["kind"] != "move"]
        row = self._folder(target)
        if self._backend.select(row.name).uidvalidity != row.uidvalidity:
            self._sync.run(target)  # listing it anew finds them
            return unseen
        news = self._news(row)
        for op in left:
            item = _match(op, self._message_id(op), news)
            if item is None:
                continue
            news.remove(item)
            if op["kind"] == "move":
                # Copied and perhaps not removed; removing again does no harm.
                self._select(op["s_folder"])
                self._remove(int(op["s_uid"]))
            self._placed([op], {op["id"]: item.uid or 0})
        return unseen

    def _moved_away(self, ops: Iterable[Op]) -> tuple[list[Op], set[int]]:
        """Take moves whose messages have left as done; return the others, and those that cannot be told."""
        left: list[Op] = []
        unseen: set[int] = set()
        by_source: dict[int, list[Op]] = {}
        for op in ops:
            if op["s_uid"] is not None:
                by_source.setdefault(op["s_folder"], []).append(op)
        for source, some in by_source.items():
            try:
                self._select(source)
            except Refused as error:
                _log.info("cannot look into folder %d: %s", source, error)
                unseen |= {op["id"] for op in some}
                continue
            there: set[int] = set()
            for uid_set, _ in chunks(op["s_uid"] for op in some):
                there.update(self._backend.uids(f"UID {uid_set}"))
            self._placed([op for op in some if op["s_uid"] not in there], {})
            left += [op for op in some if op["s_uid"] in there]
        return left, unseen

    def _news(self, row: FolderRow) -> list[Incoming]:
        """List what came into a folder since it was last synced."""
        known = "SELECT 1 FROM message WHERE s_folder = ? AND s_uid = ?"
        low = row.uidnext or 1
        uids = [uid for uid in self._backend.uids(f"UID {low}:*") if uid >= low]
        uids = [uid for uid in uids if not self._store.read(known, (row.id, uid))]
        return [bodies.listed(one) for one in self._backend.headers(compress(uids))] if uids else []

    def _message_id(self, op: Op) -> str:
        rows = self._store.read("SELECT message_id FROM content WHERE id = ?", (op["content"],))
        return str(rows[0][0]) if rows else ""

    def _remove(self, uid: int) -> None:
        try:
            self._backend.expunge(str(uid))
        except Refused:
            self._backend.change_flags(str(uid), ["\\Deleted"])

    # -- common ------------------------------------------------------------------------------

    def _folder(self, folder: int) -> FolderRow:
        row = folders.get(self._store.reader, folder)
        if row is None or not row.present:
            raise Refused(f"the folder {row.name if row else folder} is not there any more")
        return row

    def _target(self, folder: int) -> FolderRow:
        """Return a folder something is to go to; where it stands is known before."""
        if self._folder(folder).uidvalidity is None:
            self._sync.settle(folder)
        return self._folder(folder)

    def _select(self, folder: int) -> tuple[FolderRow, FolderState]:
        """Select a folder and make sure that its UIDs still mean what the store thinks they mean."""
        row = self._folder(folder)
        # Opening a folder anew for each piece of a bulk verb costs more than the verb.
        server = self._backend.opened if self._backend.selected == row.name else None
        if server is None or server.uidvalidity != row.uidvalidity:
            server = self._backend.select(row.name)
        if row.uidvalidity is not None and server.uidvalidity != row.uidvalidity:
            self.unmapped.add(row.id)
            raise _Renumbered(f"{row.name}: UIDVALIDITY changed; syncing it first", permanent=False)
        return row, server

    def _take(self, ops: Sequence[Op]) -> list[Op]:
        """Note that operations go to the wire now; leaves out what was cancelled meanwhile."""
        ids = [op["id"] for op in ops]
        taken = self._store.write(lambda tx: journal.take(tx, ids), durable=True).result()
        return [op for op in ops if op["id"] in taken]

    def _write(self, work: Callable[[Transaction], T]) -> T:
        return self._store.write(work).result()


def _group(op: Op) -> Group:
    """Operations with the same group go to the wire as one command."""
    if op["kind"] == "flags":
        return (
            "flags", op["s_folder"], op["add_flags"], op["remove_flags"], op["add_tags"], op["remove_tags"],
        )  # fmt: skip
    return (op["kind"], op["s_folder"] if op["kind"] in ("move", "delete") else None, op["target"])


def _by_uid(ops: Sequence[Op]) -> Iterable[tuple[str, list[Op]]]:
    for uid_set, uids in chunks(op["s_uid"] for op in ops):
        wanted = set(uids)
        yield uid_set, [op for op in ops if op["s_uid"] in wanted]


def _most(by_uid: dict[int, list[Op]]) -> int:
    return max(map(len, by_uid.values()))


def _match(op: Op, message_id: str, news: Sequence[Incoming]) -> Incoming | None:
    """Return the new message that the operation made; a server may add lines to what is appended."""
    same = [item for item in news if item.envelope.message_id == message_id]
    exact = next((item for item in same if item.size == op["size"]), None)
    if exact is None and message_id and op["kind"] == "append" and same:
        return same[0]
    return exact
