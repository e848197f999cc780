"""The journal: operations on their way to the server, and what became of them.

An operation goes from `pending` to `sent` (committed before the wire moves) to `done`; `unmapped`
ones are done on the server, which did not tell the new UID.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

from agent.store import job_rows, state
from agent.store.chosen import choose
from agent.store.db import Transaction


def has_work(db: Transaction, account: int) -> bool:
    """Tell whether anything waits for the wire of an account's store of mail, or was cut off on it."""
    return bool(
        job_rows.next_request(db, account)
        or runnable(db, account, 1)
        or wants_bytes(db, account, 1)
        or in_doubt(db, account)
        or unmapped_folders(db, account)
    )


def accounts_with_work(db: Transaction) -> set[int]:
    """Return the accounts whose wires have something to do: requests, operations, bytes for an append."""
    rows = db.execute(
        "SELECT id FROM account WHERE EXISTS (SELECT 1 FROM op WHERE op.account = account.id"
        f"  AND op.state IN {state.OPEN} AND op.state = 'pending') UNION"
        " SELECT account FROM job WHERE state = 'queued' AND kind <> 'verb' AND account IS NOT NULL UNION"
        " SELECT o.account FROM op JOIN message o ON o.id = op.original"
        " WHERE op.original IS NOT NULL AND op.state = 'pending' AND op.kind = 'append'"
    )
    return {row[0] for row in rows}


_OP = "op.*, m.s_folder, m.s_uid, m.s_flags, m.size, m.received, m.content FROM op JOIN message m ON m.id = op.message"


def runnable(db: Transaction, account: int, limit: int = 1000, *, hurried: bool = False) -> list[sqlite3.Row]:
    """Return the operations of an account that can go to the wire now, oldest first.

    An operation on a message waits while an older one on it is open. A copy is of its moment: it waits
    also for what was asked of its original before, and what was asked of that after waits for the copy.
    One whose message has no UID yet waits until it has one; an append waits for the bytes. A copy of
    what is gone can go: to be told. `hurried` leaves out what is part of a bulk job.
    """
    which = f"op.state IN {state.OPEN}"
    if hurried:
        # Written so that an index of the open ones serves: what is done stays for a month.
        which = (
            "op.job IN (SELECT id FROM job WHERE state IN ('queued', 'running') AND NOT bulk)"
            " AND op.state IN ('pending', 'sent')"
        )
    return db.execute(_RUNNABLE.format(which=which), (account, limit)).fetchall()


_RUNNABLE = f"""
SELECT {_OP} LEFT JOIN message o ON o.id = op.original
WHERE op.account = ?1 AND op.state = 'pending' AND {{which}}
  AND (op.after IS NULL OR (SELECT a.state FROM op a WHERE a.id = op.after) IN ('done', 'unmapped'))
  AND CASE op.kind WHEN 'append' THEN EXISTS (SELECT 1 FROM raw JOIN content c ON c.id = raw.content
        WHERE raw.content = m.content AND c.state = 2)
      WHEN 'copy' THEN o.s_uid IS NOT NULL OR o.gone IS NOT NULL ELSE m.s_uid IS NOT NULL END
  AND NOT EXISTS (SELECT 1 FROM op e WHERE e.message = op.message AND e.state IN {state.OPEN} AND e.id < op.id)
  AND (op.kind <> 'copy' OR NOT EXISTS
    (SELECT 1 FROM op e WHERE e.message = op.original AND e.state IN {state.OPEN} AND e.id < op.id))
  AND NOT EXISTS (SELECT 1 FROM op e JOIN message t ON t.id = e.message JOIN content c ON c.id = t.content
    WHERE e.original = op.message AND e.state IN {state.OPEN} AND e.state <> 'unmapped' AND e.id < op.id
      AND (e.kind = 'copy' OR c.state <> 2))
ORDER BY op.id LIMIT ?2
"""


def take(tx: Transaction, ops: Sequence[int]) -> set[int]:
    """Note, before the wire moves, that operations are on their way; return those taken back meanwhile."""
    choose(tx, ops)
    cursor = tx.execute(
        "UPDATE op SET state = 'sent' WHERE id IN (SELECT id FROM chosen) AND state IN ('pending', 'sent')"
    )
    if cursor.rowcount == len(set(ops)):
        return set()
    rows = tx.execute(
        "SELECT id FROM chosen WHERE id NOT IN (SELECT id FROM op WHERE state = 'sent'"
        " AND id IN (SELECT id FROM chosen))"
    )
    return {row[0] for row in rows}


def in_doubt(db: Transaction, account: int) -> list[sqlite3.Row]:
    """Return the operations that were sent and whose answer was never heard."""
    return db.execute(
        f"SELECT {_OP} WHERE op.account = ? AND op.state IN {state.OPEN} AND op.state = 'sent' ORDER BY op.id",
        (account,),
    ).fetchall()


def unmapped_folders(db: Transaction, account: int) -> list[int]:
    """Return the folders where messages of ours lie under a UID that is not known: listing them tells."""
    rows = db.execute(
        "SELECT DISTINCT s_folder FROM message WHERE account = ? AND s_uid IS NULL AND s_folder IS NOT NULL",
        (account,),
    )
    return [row[0] for row in rows]


def put_back(tx: Transaction, ops: Sequence[int]) -> None:
    """Note that sent operations have not happened: they are pending again."""
    choose(tx, ops)
    tx.execute("UPDATE op SET state = 'pending' WHERE id IN (SELECT id FROM chosen) AND state = 'sent'")


def wants_bytes(db: Transaction, account: int, limit: int = 50) -> list[sqlite3.Row]:
    """Return the messages of an account whose bytes are wanted to be appended elsewhere: op, id."""
    return db.execute(
        "SELECT DISTINCT o.id, o.s_folder, o.s_uid FROM op JOIN message o ON o.id = op.original"
        " JOIN message m ON m.id = op.message JOIN content c ON c.id = m.content"
        " WHERE op.original IS NOT NULL AND op.state = 'pending' AND op.kind = 'append'"
        " AND o.account = ? AND c.state <> 2"
        " AND (o.s_uid IS NOT NULL OR o.gone IS NOT NULL)"
        " ORDER BY op.id LIMIT ?",
        (account, limit),
    ).fetchall()


def without_bytes(db: Transaction, original: int) -> list[sqlite3.Row]:
    """Return the pending appends that wait for the bytes of a message."""
    return db.execute(
        f"SELECT {_OP} WHERE op.original = ? AND op.kind = 'append' AND op.state = 'pending'", (original,)
    ).fetchall()


def done(tx: Transaction, ops: Sequence[sqlite3.Row], now: float, error: str = "") -> None:
    """Note that flag changes and deletions happened on the server; `error` when that was not our doing."""
    choose(tx, [op["id"] for op in ops])
    tx.execute(
        "UPDATE message SET s_flags = s_flags & ~o.remove_flags | o.add_flags,"
        " s_tags = CASE WHEN o.add_tags = '' AND o.remove_tags = '' THEN s_tags"
        " ELSE with_tags(s_tags, o.add_tags, o.remove_tags) END"
        " FROM op o WHERE o.id IN (SELECT id FROM chosen) AND o.kind = 'flags' AND message.id = o.message"
    )
    tx.execute(
        "UPDATE message SET s_folder = NULL, s_uid = NULL, gone = ?"
        " FROM op o WHERE o.id IN (SELECT id FROM chosen) AND o.kind = 'delete' AND message.id = o.message",
        (now,),
    )
    tx.execute("UPDATE op SET state = 'done', error = ? WHERE id IN (SELECT id FROM chosen)", (error,))
    _settle(tx, ops, now)


def keep_tags_here(tx: Transaction, ops: Sequence[sqlite3.Row]) -> None:
    """Turn the tags of operations into local ones: the server stores no keywords of ours."""
    choose(tx, [op["id"] for op in ops])
    tx.execute(
        "UPDATE message SET local_tags = with_tags(local_tags, o.add_tags, o.remove_tags)"
        " FROM op o WHERE o.id IN (SELECT id FROM chosen) AND message.id = o.message"
    )


def placed(tx: Transaction, ops: Sequence[sqlite3.Row], uids: dict[int, int], now: float) -> None:
    """Note that moves, copies and appends happened; `uids` gives the new UID by operation, where known."""
    tx.execute("CREATE TEMP TABLE IF NOT EXISTS placing (op INTEGER PRIMARY KEY, message, target, uid)")
    tx.execute("DELETE FROM placing")
    tx.executemany(
        "INSERT INTO placing VALUES (?, ?, ?, ?)",
        [(op["id"], op["message"], op["target"], uids.get(op["id"])) for op in ops],
    )
    tx.execute(
        "UPDATE message SET s_folder = p.target, s_uid = p.uid, gone = NULL FROM placing p"
        " WHERE message.id = p.message"
    )
    for which, where in (("done", "NOT NULL"), ("unmapped", "NULL")):
        tx.execute(
            f"UPDATE op SET state = ? WHERE id IN (SELECT op FROM placing WHERE uid IS {where})", (which,)
        )
    _settle(tx, ops, now)


def failed(tx: Transaction, ops: Sequence[sqlite3.Row], error: str, now: float) -> int:
    """Note that the server refused operations: what is shown falls back to what the server has.

    Returns how many were still to be done.
    """
    choose(tx, [op["id"] for op in ops])
    # Those of a group that are done already stay done.
    refused = tx.execute(
        "UPDATE op SET state = 'failed', error = ? WHERE id IN (SELECT id FROM chosen)"
        " AND state IN ('pending', 'sent') RETURNING id, job, message, kind",
        (error,),
    ).fetchall()
    settled, count = list(refused), len(refused)
    while refused:
        refused = _refuse_what_follows(tx, [op["id"] for op in refused], error, now)
        settled += refused
    _settle(tx, settled, now)
    return count


def _refuse_what_follows(tx: Transaction, ops: Sequence[int], error: str, now: float) -> list[sqlite3.Row]:
    """End what was to be done after operations that are not done, or to copies that never came to be.

    The source of a failed transfer stays; what was to undo a failed operation has nothing to do.
    """
    choose(tx, ops)
    tx.execute(
        "UPDATE message SET gone = ? WHERE id IN (SELECT message FROM op WHERE id IN (SELECT id FROM chosen)"
        " AND kind IN ('copy', 'append'))",
        (now,),
    )
    following = tx.execute(
        "UPDATE op SET error = ?, state ="
        " CASE (SELECT p.job FROM op p WHERE p.id = op.after) WHEN job THEN 'failed' ELSE 'cancelled' END"
        f" WHERE after IN (SELECT id FROM chosen) AND state IN {state.OPEN} RETURNING id, job, message, kind",
        (error,),
    ).fetchall()
    return (
        following
        + tx.execute(
            "UPDATE op SET error = ?, state = CASE kind WHEN 'delete' THEN 'done' ELSE 'failed' END"
            " WHERE message IN (SELECT message FROM op WHERE id IN (SELECT id FROM chosen)"
            f" AND kind IN ('copy', 'append')) AND state IN {state.OPEN} RETURNING id, job, message, kind",
            (error,),
        ).fetchall()
    )


def _settle(tx: Transaction, ops: Sequence[sqlite3.Row], now: float) -> None:
    state.refresh(tx, [op["message"] for op in ops])
    for job, count in Counter(op["job"] for op in ops).items():
        tx.execute("UPDATE job SET progress = min(total, progress + ?) WHERE id = ? AND total", (count, job))
        job_rows.finish(tx, job, now)
