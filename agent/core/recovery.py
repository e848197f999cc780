"""After a lost answer: find out what became of operations that were sent, so that nothing happens twice.

Runs on the in:<account> thread at the beginning of a session.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from agent.core import bodies
from agent.core.carrying import Carrier, Op
from agent.core.uidset import chunks, compress
from agent.errors import Refused
from agent.store import journal
from agent.store.contents import Incoming
from agent.store.folders import FolderRow

_log = logging.getLogger("agent.replay")

# What was put into a folder under a UID the server did not tell.
_PLACED = """
SELECT m.size, m.received, c.message_id, (SELECT max(kind) FROM op WHERE message = m.id AND state = 'unmapped') AS kind
FROM message m JOIN content c ON c.id = m.content WHERE m.s_folder = ? AND m.s_uid IS NULL
"""


def recover(carrier: Carrier) -> None:
    """Find out what became of operations whose answer an earlier session did not hear."""
    _Recovery(carrier).run()


class _Recovery:
    """The operations of an account that are in doubt, and a look at the server."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    def run(self) -> None:
        """Settle or put back each of them; what could not be looked for stays in doubt."""
        doubtful = journal.in_doubt(self._carrier.store.reader, self._carrier.account)
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
                    self._carrier.failed(ops, error)
                else:
                    undecided |= {op["id"] for op in ops}
        # What was looked for and not found has not happened; flags and deletions may be done twice.
        # What could not be looked for stays in doubt until the next session: better late than twice.
        decided = [op["id"] for op in doubtful if op["id"] not in undecided]
        self._carrier.write(lambda tx: journal.put_back(tx, decided))

    def _look_for(self, ops: Sequence[Op], target: int) -> set[int]:
        """Find operations in their target; return those whose source could not be looked at."""
        moves = [op for op in ops if op["kind"] == "move"]
        left, unseen = self._moved_away(moves)
        left += [op for op in ops if op["kind"] != "move"]
        row = self._carrier.folder(target)
        if self._carrier.backend.select(row.name).uidvalidity != row.uidvalidity:
            self._carrier.sync.run(target)  # listing it anew finds them
            return unseen
        news = self._news(row)
        for op in left:
            item = _match(op, self._message_id(op), news)
            if item is None:
                continue
            news.remove(item)
            if op["kind"] == "move":
                # Copied and perhaps not removed; removing again does no harm.
                self._carrier.select(op["s_folder"])
                self._remove(int(op["s_uid"]))
            self._carrier.placed([op], {op["id"]: item.uid or 0})
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
                self._carrier.select(source)
            except Refused as error:
                _log.info("cannot look into folder %d: %s", source, error)
                unseen |= {op["id"] for op in some}
                continue
            there: set[int] = set()
            for uid_set, _ in chunks(op["s_uid"] for op in some):
                there.update(self._carrier.backend.uids(f"UID {uid_set}"))
            self._carrier.placed([op for op in some if op["s_uid"] not in there], {})
            left += [op for op in some if op["s_uid"] in there]
        return left, unseen

    def _news(self, row: FolderRow) -> list[Incoming]:
        """List what came into a folder since it was last synced and is not what came of finished operations."""
        known = "SELECT 1 FROM message WHERE s_folder = ? AND s_uid = ?"
        low = row.uidnext or 1
        uids = [uid for uid in self._carrier.backend.uids(f"UID {low}:*") if uid >= low]
        uids = [uid for uid in uids if not self._carrier.store.read(known, (row.id, uid))]
        news = [bodies.listed(one) for one in self._carrier.backend.headers(compress(uids))] if uids else []
        for placed in self._carrier.store.read(_PLACED, (row.id,)):
            if (item := _match(placed, placed["message_id"], news)) is not None:
                news.remove(item)
        return news

    def _message_id(self, op: Op) -> str:
        rows = self._carrier.store.read("SELECT message_id FROM content WHERE id = ?", (op["content"],))
        return str(rows[0][0]) if rows else ""

    def _remove(self, uid: int) -> None:
        try:
            self._carrier.backend.expunge(str(uid))
        except Refused:
            self._carrier.backend.change_flags(str(uid), ["\\Deleted"])


def _match(op: Op, message_id: str, news: Sequence[Incoming]) -> Incoming | None:
    """Return the new message that the operation made; a server may add lines to what is appended."""
    same = [item for item in news if item.envelope.message_id == message_id]
    exact = [item for item in same if item.size == op["size"]]
    found = next((item for item in exact if item.received == op["received"]), None)
    # A copy keeps the internal date (RFC 9051 section 6.4.7). What is moved is removed after it: nothing
    # less will do, for senders choose the rest. Nor does less tell messages without a Message-ID apart.
    if found is not None or not message_id or op["kind"] == "move":
        return found
    return next(iter(exact), next(iter(same), None) if op["kind"] == "append" else None)
