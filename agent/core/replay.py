"""Carry out the journal: pending operations become commands on the wire, in groups.

Runs on the in:<account> thread. Of a bulk job a piece goes at a time, so that what somebody waits
for goes in between.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from agent.clock import Clock
from agent.core import recovery
from agent.core.appends import Appends
from agent.core.carrying import Carrier, Op, Renumbered
from agent.core.sync import FolderSync
from agent.core.uidset import chunks
from agent.errors import CommandError, Refused
from agent.mail import flags
from agent.net.base import Backend, Moved
from agent.store import journal, messages, state
from agent.store.db import Store

Group = tuple[object, ...]
_log = logging.getLogger("agent.replay")

_PIECE = 1000  # operations that go before it is seen whether something is more urgent
_PAUSE_S = (10.0, 600.0)  # before what the server cannot do just now is tried again


class Replay:
    """The journal of one account, carried out on its connection."""

    def __init__(self, store: Store, clock: Clock, backend: Backend, account: int, sync: FolderSync) -> None:
        self._carrier = Carrier(store, clock, backend, account, sync)
        self._appends = Appends(self._carrier)
        self._store = store
        self._clock = clock
        self._backend = backend
        self._account = account
        # group -> not before, and the pause that made it so
        self._later: dict[Group, tuple[float, float]] = {}

    @property
    def unmapped(self) -> set[int]:
        """Folders to be synced: something of ours lies there under a UID nobody told, or UIDs changed."""
        return self._carrier.unmapped

    def recover(self) -> None:
        """Find out what became of operations whose answer an earlier session did not hear."""
        recovery.recover(self._carrier)

    def run(self) -> bool:
        """Carry out a piece of what can be carried out now; return whether there was anything."""
        groups = self._ready(hurried=True) or self._ready(hurried=False)
        for group, ops in groups.items():
            self._carry_out(group, ops)
        return bool(groups)

    def _ready(self, *, hurried: bool) -> dict[Group, list[Op]]:
        """Return operations that need not wait, by group; `hurried` ones only are of no bulk job."""
        limit = _PIECE
        while True:
            ops = journal.runnable(self._store.reader, self._account, limit, hurried=hurried)
            groups: dict[Group, list[Op]] = {}
            for op in ops:
                groups.setdefault(_group(op), []).append(op)
            now = self._clock.monotonic()
            found = {g: some for g, some in groups.items() if self._later.get(g, (0.0, 0.0))[0] <= now}
            if not found and not hurried and len(ops) < limit:
                # What was taken back while it was put off is not to be woken for.
                self._later = {g: later for g, later in self._later.items() if g in groups}
            if found or len(ops) < limit:
                return found
            limit *= 10  # those at the front are put off; there are others behind them

    @property
    def due_s(self) -> float:
        """Seconds until something that was put off is to be tried again; inf when nothing is."""
        now = self._clock.monotonic()
        return min((max(0.0, when - now) for when, _ in self._later.values()), default=float("inf"))

    def _carry_out(self, group: Group, ops: list[Op]) -> None:
        does = {
            "flags": self._flags, "move": self._move, "delete": self._delete,
            "copy": self._copy, "append": self._appends.carry_out,
        }[ops[0]["kind"]]  # fmt: skip
        try:
            does(ops)
        except (Refused, CommandError) as error:
            if isinstance(error, Refused) and not error.permanent:
                self._put_off(group, ops, error)
                return
            self._carrier.failed(ops, error)
        self._later.pop(group, None)

    def _put_off(self, group: Group, ops: list[Op], error: Refused) -> None:
        """Leave what the server cannot do just now for later; the rest of the journal goes on."""
        low, high = _PAUSE_S
        _, before = self._later.get(group, (0.0, 0.0))
        pause = 1.0 if isinstance(error, Renumbered) else min(high, max(low, before * 2))
        _log.info("%s of %d messages waits %.0f s: %s", ops[0]["kind"], len(ops), pause, error)
        self._carrier.write(lambda tx: journal.put_back(tx, [op["id"] for op in ops]))
        self._later[group] = (self._clock.monotonic() + pause, pause)

    # -- in place ----------------------------------------------------------------------------

    def _flags(self, ops: list[Op]) -> None:
        row, server = self._carrier.select(ops[0]["s_folder"])
        if not server.writable:
            raise Refused(f"{row.name} is read-only on the server")
        op = ops[0]
        if server.kept is not None and (lost := (op["add_flags"] | op["remove_flags"]) & ~server.kept):
            # Servers answer OK to a STORE of what they do not keep.
            raise Refused(f"{row.name}: the server keeps no change of {', '.join(flags.words(lost))} there")
        add, remove = messages.split_tags(op["add_tags"]), messages.split_tags(op["remove_tags"])
        taken = self._carrier.take(ops, durable=False)
        if not server.keywords and (add or remove):
            self._carrier.write(lambda tx: journal.keep_tags_here(tx, taken))
            add = remove = frozenset()
        plus = flags.to_wire(op["add_flags"], add)
        minus = flags.to_wire(op["remove_flags"], remove)
        for uid_set, some in _by_uid(taken):
            if plus or minus:
                self._backend.change_flags(uid_set, plus, minus)
            # Servers answer OK for what another client has removed or moved.
            there = self._there(uid_set)
            self._carrier.done([op for op in some if op["s_uid"] in there])
            if lost := [op for op in some if op["s_uid"] not in there]:
                self._carrier.failed(lost, Refused(state.REMOVED))

    def _delete(self, ops: list[Op]) -> None:
        self._carrier.select(ops[0]["s_folder"])
        for uid_set, some in _by_uid(self._carrier.take(ops, durable=False)):
            there = self._there(uid_set)
            self._backend.expunge(uid_set)
            self._carrier.done([op for op in some if op["s_uid"] in there])
            self._carrier.done([op for op in some if op["s_uid"] not in there], state.REMOVED)

    def _there(self, uid_set: str) -> set[int]:
        return set(self._backend.uids(f"UID {uid_set}"))

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
            self._carrier.failed(lost, Refused(state.REMOVED))

    def _transfer(
        self, ops: list[Op], source: int, uid_of: Callable[[Op], int], send: Callable[[str, str], Moved]
    ) -> None:
        target = self._carrier.target(ops[0]["target"])
        self._carrier.select(source)
        by_uid: dict[int, list[Op]] = {}
        for op in self._carrier.take(ops):
            by_uid.setdefault(uid_of(op), []).append(op)
        for uid_set, uids in chunks(by_uid):
            moved = send(uid_set, target.name)
            known = moved.uids if moved.uidvalidity == target.uidvalidity else {}
            # The same message copied twice into a folder: the server copies a UID once in one command.
            rounds = [[by_uid[uid][n] for uid in uids if n < len(by_uid[uid])] for n in range(_most(by_uid))]
            self._carrier.placed(
                rounds[0], {op["id"]: known[uid_of(op)] for op in rounds[0] if uid_of(op) in known}
            )
            for again in rounds[1:]:
                self._carrier.write(lambda tx, again=again: journal.put_back(tx, [op["id"] for op in again]))  # type: ignore[misc]


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
