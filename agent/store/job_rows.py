"""Jobs: whatever was asked for, a request to a wire or a verb; any process may wait for one.

A verb is one job; what it does to each message is an operation of its own (changes.py, journal.py).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from agent.store import state
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


def cancel(tx: Transaction, job: int, now: float) -> None:
    """Take back what a job has not brought to the wire: operations, and mail that still waits."""
    ops = tx.execute(
        "UPDATE op SET state = 'cancelled' WHERE job = ? AND state = 'pending' RETURNING message, kind",
        (job,),
    ).fetchall()
    for op in ops:
        if op["kind"] in ("copy", "append"):
            never_came(tx, op["message"], now)
    state.refresh(tx, [op["message"] for op in ops])
    tx.execute("UPDATE outbox SET state = 'cancelled' WHERE job = ? AND state = 'queued'", (job,))
    tx.execute(
        "UPDATE job SET state = 'cancelled', finished = ?1 WHERE id = ?2 AND state IN ('queued', 'running')"
        " AND NOT EXISTS (SELECT 1 FROM op WHERE job = ?2 AND state = 'sent')"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE job = ?2 AND state IN ('connecting', 'data-sent'))",
        (now, job),
    )


def never_came(tx: Transaction, message: int, now: float) -> None:
    """Note that a copy was taken back before it came to be: what was to be done to it ends with it."""
    tx.execute("UPDATE message SET gone = ? WHERE id = ?", (now, message))
    ended = tx.execute(
        "UPDATE op SET state = 'cancelled' WHERE message = ? AND state = 'pending' RETURNING job", (message,)
    ).fetchall()
    for row in ended:
        cancelled(tx, row["job"], now)


def cancelled(tx: Transaction, job: int, now: float) -> None:
    """End a verb's job whose operations have been cancelled: all of them, or all that were left to do."""
    tx.execute(
        "UPDATE job SET state = 'cancelled', finished = ?2 WHERE id = ?1 AND state IN ('queued', 'running')"
        " AND NOT EXISTS (SELECT 1 FROM op WHERE job = ?1 AND state <> 'cancelled')",
        (job, now),
    )
    finish(tx, job, now)
