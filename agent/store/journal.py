"""Jobs and their operations: what is to be done on the wire, and how it is undone.

A verb is one job; each message it changes is one operation. Operations go from `pending` to `sent`
(committed before the wire moves) to `done`; `unmapped` ones are done on the server, which did not
tell the new UID. They are kept for a while after that: they are the inverse of their job.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from agent.store import contents, messages, state
from agent.store.contents import Incoming
from agent.store.db import Transaction


def add_job(
    tx: Transaction,
    kind: str,
    label: str,
    now: float,
    *,
    account: int | None = None,
    args: dict[str, Any] | None = None,
    bulk: bool = False,
    origin: str = "user",
    cause: str = "",
) -> int:
    """Queue a job and return its id. Verbs have no args: their operations say it all."""
    cursor = tx.execute(
        "INSERT INTO job (account, kind, label, args, bulk, created, origin, cause) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (account, kind, label, json.dumps(args or {}), bulk, now, origin, cause),
    )
    return int(cursor.lastrowid or 0)


def get_job(db: Transaction, job: int) -> sqlite3.Row | None:
    """Return one job."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM job WHERE id = ?", (job,)).fetchone()
    return row


def recent_jobs(db: Transaction, limit: int = 100) -> list[int]:
    """Return the newest jobs, newest first."""
    return [row[0] for row in db.execute("SELECT id FROM job ORDER BY id DESC LIMIT ?", (limit,))]


def open_jobs(db: Transaction, account: int | None = None) -> list[sqlite3.Row]:
    """Return the jobs that are queued or running, interactive ones first; all accounts without one."""
    return db.execute(
        "SELECT * FROM job WHERE state IN ('queued', 'running') AND (?1 IS NULL OR account = ?1) ORDER BY bulk, id",
        (account,),
    ).fetchall()


def next_request(db: Transaction, account: int, kind: str | None = None) -> sqlite3.Row | None:
    """Return the next job of an account that is a request to the wire rather than a verb."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM job WHERE state IN ('queued', 'running') AND account = ? AND kind <> 'verb'"
        " AND kind = coalesce(?, kind) ORDER BY bulk, id LIMIT 1",
        (account, kind),
    ).fetchone()
    return row


def newest_request(db: Transaction, account: int) -> int:
    """Return the highest id of an account's open requests; 0 when there is none."""
    row = db.execute(
        "SELECT max(id) FROM job WHERE state IN ('queued', 'running') AND account = ? AND kind <> 'verb'",
        (account,),
    ).fetchone()
    return int(row[0] or 0)


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


def start(tx: Transaction, job: int) -> bool:
    """Note that a request is being carried out; False when it was cancelled meanwhile."""
    sql = "UPDATE job SET state = 'running' WHERE id = ? AND state IN ('queued', 'running')"
    return tx.execute(sql, (job,)).rowcount == 1


def end(tx: Transaction, job: int, error: str, now: float) -> None:
    """Note that a request has been carried out, or why not."""
    tx.execute(
        "UPDATE job SET state = ?, error = ?, finished = ? WHERE id = ? AND state = 'running'",
        ("failed" if error else "done", error, now, job),
    )


def fail_requests(tx: Transaction, account: int, kinds: Sequence[str], error: str, now: float) -> None:
    """End requests of some kinds that cannot be carried out now."""
    for kind in kinds:
        tx.execute(
            "UPDATE job SET state = 'failed', error = ?, finished = ? WHERE account = ? AND kind = ?"
            " AND state IN ('queued', 'running')",
            (error, now, account, kind),
        )


def set_job(tx: Transaction, job: int, **columns: Any) -> None:
    """Change columns of a job: state, error, progress, total, finished, undone."""
    names = ", ".join(f"{name} = :{name}" for name in columns)
    tx.execute(f"UPDATE job SET {names} WHERE id = :job", {**columns, "job": job})


# -- verbs: changes to messages --------------------------------------------------------------


def change_flags(
    tx: Transaction,
    job: int,
    ids: Sequence[int],
    add: int,
    remove: int,
    add_tags: str = "",
    remove_tags: str = "",
) -> int:
    """Add and remove flags and tags where that changes anything; return on how many messages.

    An operation says what it really changes: that is its inverse too.
    """
    _select(tx, ids)
    cursor = tx.execute(
        "INSERT INTO op (job, account, message, kind, add_flags, remove_flags, add_tags, remove_tags)"
        " SELECT ?1, account, id, 'flags', ?2 & ~flags, ?3 & flags,"
        " CASE ?4 WHEN '' THEN '' ELSE other_tags(?4, tags) END,"
        " CASE ?5 WHEN '' THEN '' ELSE common_tags(?5, tags) END FROM message"
        " WHERE id IN (SELECT id FROM chosen) AND folder IS NOT NULL AND (?2 & ~flags OR ?3 & flags"
        " OR (?4 <> '' AND other_tags(?4, tags) <> '') OR (?5 <> '' AND common_tags(?5, tags) <> ''))",
        (job, add, remove, add_tags, remove_tags),
    )
    show(tx, job)
    return cursor.rowcount


def move(tx: Transaction, job: int, ids: Sequence[int], target: int) -> int:
    """Move messages to a folder of the same account; return how many were elsewhere before."""
    _select(tx, ids)
    cursor = tx.execute(
        "INSERT INTO op (job, account, message, kind, source, target)"
        " SELECT ?1, m.account, m.id, 'move', m.folder, ?2 FROM message m JOIN folder f ON f.id = ?2"
        " WHERE m.id IN (SELECT id FROM chosen) AND m.folder <> ?2 AND m.account = f.account",
        (job, target),
    )
    show(tx, job)
    return cursor.rowcount


def delete(tx: Transaction, job: int, ids: Sequence[int], *, after: dict[int, int] | None = None) -> int:
    """Remove messages for good; `after` names for a message the operation that must be done first."""
    _select(tx, ids)
    cursor = tx.execute(
        "INSERT INTO op (job, account, message, kind, source)"
        " SELECT ?, account, id, 'delete', folder FROM message"
        " WHERE id IN (SELECT id FROM chosen) AND folder IS NOT NULL",
        (job,),
    )
    tx.executemany(
        "UPDATE op SET after = ? WHERE job = ? AND message = ? AND kind = 'delete'",
        [(first, job, message) for message, first in (after or {}).items()],
    )
    show(tx, job)
    return cursor.rowcount


def show(tx: Transaction, job: int) -> None:
    """Show the pending flags, moves and deletions of a job that has just been made."""
    changes = (
        (
            "flags = flags & ~o.remove_flags | o.add_flags",
            "o.kind = 'flags' AND o.add_flags | o.remove_flags",
        ),
        ("tags = with_tags(tags, o.add_tags, o.remove_tags)", "o.add_tags <> '' OR o.remove_tags <> ''"),
        ("folder = o.target", "o.kind = 'move'"),
        ("folder = NULL", "o.kind = 'delete'"),
    )
    for change, which in changes:
        tx.execute(
            f"UPDATE message SET {change} FROM op o WHERE o.job = ? AND o.state = 'pending' AND ({which})"
            " AND message.id = o.message",
            (job,),
        )


def copy(tx: Transaction, job: int, ids: Sequence[int], target: int, account: int) -> dict[int, int]:
    """Copy messages to a folder, of another account too; return for each the operation that does it."""
    made = {}
    for row in messages.get_many(tx, ids):
        twin = messages.insert_local(tx, account, target, row["content"], row)
        kind = "copy" if account == row["account"] else "append"
        made[row["id"]] = _add_op(tx, job, account, twin, kind, target, row["id"])
    return made


def append(tx: Transaction, job: int, account: int, target: int, item: Incoming) -> int:
    """Put a message we wrote into a folder; return its id."""
    message = messages.insert_local(tx, account, target, contents.add(tx, [item])[0], item)
    _add_op(tx, job, account, message, "append", target, None)
    return message


def _add_op(
    tx: Transaction, job: int, account: int, message: int, kind: str, target: int, original: int | None
) -> int:
    cursor = tx.execute(
        "INSERT INTO op (job, account, message, kind, target, original) VALUES (?, ?, ?, ?, ?, ?)",
        (job, account, message, kind, target, original),
    )
    return int(cursor.lastrowid or 0)


def foreign(tx: Transaction, ids: Sequence[int], account: int) -> list[int]:
    """Return those of the messages that lie in other accounts."""
    _select(tx, ids)
    rows = tx.execute(
        "SELECT id FROM message WHERE id IN (SELECT id FROM chosen) AND account <> ?", (account,)
    )
    return [row[0] for row in rows]


def _select(tx: Transaction, ids: Iterable[int]) -> None:
    """Put ids into the temporary table `chosen`: more of them than a statement takes parameters."""
    tx.execute("CREATE TEMP TABLE IF NOT EXISTS chosen (id INTEGER PRIMARY KEY)")
    tx.execute("DELETE FROM chosen")
    tx.executemany("INSERT OR IGNORE INTO chosen VALUES (?)", [(message,) for message in ids])


# -- replay ----------------------------------------------------------------------------------

_OP = "op.*, m.s_folder, m.s_uid, m.s_flags, m.size, m.content FROM op JOIN message m ON m.id = op.message"


def runnable(db: Transaction, account: int, limit: int = 2000) -> list[sqlite3.Row]:
    """Return the operations of an account that can go to the wire now, oldest first.

    An operation on a message waits while an older one on it is open. A copy is of its moment: it waits
    also for what was asked of its original before, and what was asked of that after waits for the copy.
    One whose message has no UID yet waits until it has one; an append waits for the bytes. What is part
    of a bulk job waits for all that is not.
    """
    small = "op.job IN (SELECT id FROM job WHERE state IN ('queued', 'running') AND NOT bulk)"
    # Written so that an index of the open ones serves: what is done stays for a month.
    for which in (f"{small} AND op.state IN ('pending', 'sent')", f"op.state IN {state.OPEN}"):
        found = db.execute(_RUNNABLE.format(which=which), (account, limit)).fetchall()
        if found:
            return found
    return []


_RUNNABLE = f"""
SELECT {_OP} LEFT JOIN message o ON o.id = op.original
WHERE op.account = ?1 AND op.state = 'pending' AND {{which}}
  AND (op.after IS NULL OR (SELECT a.state FROM op a WHERE a.id = op.after) IN ('done', 'unmapped'))
  AND CASE op.kind WHEN 'append' THEN EXISTS (SELECT 1 FROM raw JOIN content c ON c.id = raw.content
        WHERE raw.content = m.content AND c.state = 2)
      WHEN 'copy' THEN o.s_uid IS NOT NULL ELSE m.s_uid IS NOT NULL END
  AND NOT EXISTS (SELECT 1 FROM op e WHERE e.message = op.message AND e.state IN {state.OPEN} AND e.id < op.id)
  AND (op.kind <> 'copy' OR NOT EXISTS
    (SELECT 1 FROM op e WHERE e.message = op.original AND e.state IN {state.OPEN} AND e.id < op.id))
  AND NOT EXISTS (SELECT 1 FROM op e JOIN message t ON t.id = e.message JOIN content c ON c.id = t.content
    WHERE e.original = op.message AND e.state IN {state.OPEN} AND e.state <> 'unmapped' AND e.id < op.id
      AND (e.kind = 'copy' OR c.state <> 2))
ORDER BY op.id LIMIT ?2
"""


def take(tx: Transaction, ops: Sequence[int]) -> set[int]:
    """Note, before the wire moves, that operations are on their way; return those not taken back meanwhile."""
    _select(tx, ops)
    rows = tx.execute(
        "UPDATE op SET state = 'sent' WHERE id IN (SELECT id FROM chosen) AND state IN ('pending', 'sent')"
        " RETURNING id"
    )
    return {row[0] for row in rows.fetchall()}


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
    _select(tx, ops)
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


def done(tx: Transaction, ops: Sequence[sqlite3.Row], now: float) -> None:
    """Note that flag changes and deletions happened on the server."""
    _select(tx, [op["id"] for op in ops])
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
    tx.execute("UPDATE op SET state = 'done' WHERE id IN (SELECT id FROM chosen)")
    _settle(tx, ops, now)


def keep_tags_here(tx: Transaction, ops: Sequence[sqlite3.Row]) -> None:
    """Turn the tags of operations into local ones: the server stores no keywords of ours."""
    _select(tx, [op["id"] for op in ops])
    tx.execute(
        "UPDATE message SET local_tags = with_tags(local_tags, o.add_tags, o.remove_tags)"
        " FROM op o WHERE o.id IN (SELECT id FROM chosen) AND message.id = o.message"
    )


def placed(tx: Transaction, ops: Sequence[sqlite3.Row], uids: dict[int, int], now: float) -> None:
    """Note that moves, copies and appends happened; `uids` gives the new UID by operation, where known."""
    tx.executemany(
        "UPDATE message SET s_folder = ?, s_uid = ?, gone = NULL WHERE id = ?",
        [(op["target"], uids.get(op["id"]), op["message"]) for op in ops],
    )
    tx.executemany(
        "UPDATE op SET state = ? WHERE id = ?",
        [("done" if op["id"] in uids else "unmapped", op["id"]) for op in ops],
    )
    _settle(tx, ops, now)


def failed(tx: Transaction, ops: Sequence[sqlite3.Row], error: str, now: float) -> None:
    """Note that the server refused operations: what is shown falls back to what the server has."""
    _select(tx, [op["id"] for op in ops])
    # Those of a group that are done already stay done.
    refused = tx.execute(
        "UPDATE op SET state = 'failed', error = ? WHERE id IN (SELECT id FROM chosen)"
        " AND state IN ('pending', 'sent') RETURNING id, job, message, kind",
        (error,),
    ).fetchall()
    settled = list(refused)
    while refused:
        refused = _refuse_what_follows(tx, [op["id"] for op in refused], error, now)
        settled += refused
    _settle(tx, settled, now)


def _refuse_what_follows(tx: Transaction, ops: Sequence[int], error: str, now: float) -> list[sqlite3.Row]:
    """End what was to be done after operations that are not done, or to copies that never came to be.

    The source of a failed transfer stays; what was to undo a failed operation has nothing to do.
    """
    _select(tx, ops)
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
        finish(tx, job, now)


def finish(tx: Transaction, job: int, now: float) -> None:
    """End a verb's job when nothing of it is left to do."""
    tx.execute(
        "UPDATE job SET state = CASE WHEN EXISTS (SELECT 1 FROM op WHERE job = ?1 AND state = 'failed')"
        " THEN 'failed' ELSE 'done' END,"
        " error = coalesce((SELECT error FROM op WHERE job = ?1 AND state = 'failed' LIMIT 1), error), finished = ?2"
        " WHERE id = ?1 AND state IN ('queued', 'running')"
        " AND NOT EXISTS (SELECT 1 FROM op WHERE job = ?1 AND state IN ('pending', 'sent'))",
        (job, now),
    )


def finish_all(tx: Transaction, now: float) -> None:
    """End every verb's job whose operations were settled by what the server did."""
    for row in tx.execute(
        "SELECT id FROM job WHERE kind = 'verb' AND state IN ('queued', 'running')"
    ).fetchall():
        finish(tx, row[0], now)


_PRUNED = 300  # rows one step of pruning drops


def prune(tx: Transaction, now: float, keep_s: float = 30 * 86_400) -> bool:
    """Drop some of what is too old: finished jobs, messages gone, bytes of sent mail.

    A step of some milliseconds; returns whether there may be more to drop.
    """
    before = tx.total_changes
    since = now - keep_s
    old = "SELECT id FROM job WHERE state NOT IN ('queued', 'running') AND finished < ? LIMIT ?"
    jobs = [row[0] for row in tx.execute(old, (since, _PRUNED))]
    for job in jobs:
        tx.execute("DELETE FROM op WHERE job = ?", (job,))
        tx.execute("DELETE FROM job WHERE id = ?", (job,))
    gone = "SELECT id, content FROM message m WHERE gone < ? AND NOT EXISTS (SELECT 1 FROM op WHERE op.message = m.id)"
    for row in tx.execute(f"{gone} LIMIT ?", (since, _PRUNED)).fetchall():
        tx.execute("DELETE FROM message WHERE id = ?", (row["id"],))
        if not tx.execute("SELECT 1 FROM message WHERE content = ?", (row["content"],)).fetchone():
            tx.execute("DELETE FROM raw WHERE content = ?", (row["content"],))
            tx.execute("DELETE FROM content WHERE id = ?", (row["content"],))
    tx.execute(
        "UPDATE outbox SET data = x'', copy = NULL WHERE id IN"
        " (SELECT id FROM outbox WHERE state = 'sent' AND sent < ? AND data <> x'' LIMIT ?)",
        (since, _PRUNED),
    )
    return tx.total_changes != before


def cancel(tx: Transaction, job: int, now: float) -> None:
    """Take back what a job has not brought to the wire: operations, and mail that still waits."""
    ops = tx.execute(
        "UPDATE op SET state = 'cancelled' WHERE job = ? AND state = 'pending' RETURNING message, kind",
        (job,),
    ).fetchall()
    never = [(now, op["message"]) for op in ops if op["kind"] in ("copy", "append")]
    tx.executemany("UPDATE message SET gone = ? WHERE id = ?", never)
    state.refresh(tx, [op["message"] for op in ops])
    tx.execute("UPDATE outbox SET state = 'cancelled' WHERE job = ? AND state = 'queued'", (job,))
    tx.execute(
        "UPDATE job SET state = 'cancelled', finished = ?1 WHERE id = ?2 AND state IN ('queued', 'running')"
        " AND NOT EXISTS (SELECT 1 FROM op WHERE job = ?2 AND state = 'sent')"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE job = ?2 AND state IN ('connecting', 'data-sent'))",
        (now, job),
    )


def cancelled(tx: Transaction, job: int, now: float) -> None:
    """End a verb's job whose operations have been cancelled: all of them, or all that were left to do."""
    tx.execute(
        "UPDATE job SET state = 'cancelled', finished = ?2 WHERE id = ?1 AND state IN ('queued', 'running')"
        " AND NOT EXISTS (SELECT 1 FROM op WHERE job = ?1 AND state <> 'cancelled')",
        (job, now),
    )
    finish(tx, job, now)
