"""Appends: what we wrote, imported or brought from another account goes to a folder, many at a time.

Runs on the in:<account> thread. What goes with one command is `sent` in the store with one commit
before it; after a lost answer all of it is looked for (recovery.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.core.carrying import Carrier, Op
from agent.errors import CommandError, Refused
from agent.mail import flags
from agent.net.base import Letter
from agent.store import job_rows, journal, messages
from agent.store.folders import FolderRow

_MOST = 200  # messages in one command
_OCTETS = (64 << 10, 4 << 20)  # of one command: what takes about _COMMAND_S at the rate seen so far
_COMMAND_S = 0.5


class Appends:
    """Appends of one account, in commands that are as large as the line is quick."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._octets = 4 * _OCTETS[0]

    def carry_out(self, ops: Sequence[Op]) -> None:
        """Append messages to one folder; returns early when something more urgent waits, or after a while.

        Raises Refused for what may pass; what is refused for good is told message by message.
        """
        target = self._carrier.target(ops[0]["target"])
        begun = self._carrier.clock.monotonic()
        for some in self._pieces(ops):
            if taken := self._carrier.take(some):
                self._append(target, taken)
            if self._is_hurried() or self._carrier.clock.monotonic() - begun > _COMMAND_S:
                return

    def _pieces(self, ops: Sequence[Op]) -> Iterator[list[Op]]:
        piece: list[Op] = []
        octets = 0
        for op in ops:
            if piece and (octets + op["size"] > self._octets or len(piece) >= _MOST):
                yield piece
                piece, octets = [], 0
            piece.append(op)
            octets += op["size"]
        if piece:
            yield piece

    def _is_hurried(self) -> bool:
        reader, account = self._carrier.store.reader, self._carrier.account
        request = job_rows.next_request(reader, account)
        return request is not None or bool(journal.runnable(reader, account, 1, hurried=True))

    def _append(self, target: FolderRow, ops: list[Op]) -> None:
        letters = [self._letter(op, target) for op in ops]
        if len(ops) == 1 or not self._carrier.backend.appends_many:
            self._one_by_one(target, ops, letters)
            return
        begun = self._carrier.clock.monotonic()
        try:
            there = self._carrier.backend.append_all(target.name, letters)
        except (Refused, CommandError) as error:
            if isinstance(error, Refused) and not error.permanent:
                raise
            self._one_by_one(target, ops, letters)  # which of them it is
            return
        uids = there[1] if there is not None and there[0] == target.uidvalidity else []
        self._carrier.placed(ops, {op["id"]: uid for op, uid in zip(ops, uids, strict=False)})
        self._learn(sum(len(letter.raw) for letter in letters), self._carrier.clock.monotonic() - begun)

    def _one_by_one(self, target: FolderRow, ops: Sequence[Op], letters: Sequence[Letter]) -> None:
        for op, letter in zip(ops, letters, strict=True):
            try:
                there = self._carrier.backend.append_all(target.name, [letter])
            except (Refused, CommandError) as error:
                if isinstance(error, Refused) and not error.permanent:
                    raise
                self._carrier.failed([op], error)  # too large, say: the others may still go
                continue
            known = there is not None and there[0] == target.uidvalidity
            self._carrier.placed([op], {op["id"]: there[1][0]} if there is not None and known else {})

    def _learn(self, octets: int, seconds: float) -> None:
        """Let the next command be of the size that takes _COMMAND_S."""
        low, high = _OCTETS
        rate = octets / max(seconds, 0.001)
        self._octets = int(min(high, max(low, rate * _COMMAND_S)))

    def _letter(self, op: Op, target: FolderRow) -> Letter:
        raw = messages.raw(self._carrier.store.reader, op["content"]) or b""
        sql = "SELECT flags, tags, received FROM message WHERE id = ?"
        row = self._carrier.store.read(sql, (op["message"],))[0]
        tags = messages.split_tags(row["tags"]) if target.keywords else frozenset()
        return Letter(raw, tuple(flags.to_wire(row["flags"], tags)), row["received"])
