"""Undo: a job that takes back what another job really changed, message by message.

What has not gone to the wire is cancelled, what has gone there is followed by its inverse. Each
operation of the new job is that inverse, `done` when nothing was left to do for it: undoing the new
job is redoing the old one. A message that was changed again since is left out and told.
"""

from __future__ import annotations

import sqlite3
from collections import Counter

from agent.errors import CommandError
from agent.store import changes, job_rows, state, undo_copies
from agent.store.db import Transaction

# Whose jobs `undo()` picks: not those of rules, hooks and the program itself.
_OURS = "('user', 'script', 'redo')"
_CHANGED = "state NOT IN ('failed', 'cancelled') AND undone IS NULL"
_UNDOABLE = f"{_CHANGED} AND (kind IN ('flags', 'move') OR original IS NOT NULL)"


def last(db: Transaction) -> int | None:
    """Return the newest job of the user that can be undone; mail counts while it is held back."""
    row = db.execute(
        f"SELECT id FROM job WHERE undone IS NULL AND origin IN {_OURS} AND CASE kind"
        f" WHEN 'verb' THEN EXISTS (SELECT 1 FROM op WHERE op.job = job.id AND {_UNDOABLE})"
        " WHEN 'send' THEN EXISTS (SELECT 1 FROM outbox WHERE outbox.job = job.id AND state = 'queued') END"
        " ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return None if row is None else int(row[0])


def last_undone(db: Transaction) -> int | None:
    """Return the newest undo that can be taken back: the user has changed nothing since."""
    row = db.execute(
        "SELECT id FROM job WHERE undone IS NULL AND origin = 'undo'"
        f" AND EXISTS (SELECT 1 FROM op WHERE op.job = job.id AND {_UNDOABLE})"
        " AND NOT EXISTS (SELECT 1 FROM job j WHERE j.id > job.id AND j.kind = 'verb'"
        "  AND j.origin IN ('user', 'script') AND EXISTS (SELECT 1 FROM op WHERE op.job = j.id))"
        " ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return None if row is None else int(row[0])


def undo(tx: Transaction, job: int, now: float, *, cause: str = "") -> int:
    """Undo a job and return the new job that does so; undoing an undo is a redo.

    Raises CommandError when it has been undone already, cannot be undone, or nothing of it is as it
    left it.
    """
    row = _applied(tx, job)
    new = _new_job(tx, row, now, cause)
    left: Counter[str] = Counter()
    if row["kind"] == "send":
        _cancel_mail(tx, row, now)
        taken = 1
    else:
        _ensure_undoable(tx, row)
        taken = _flags_and_moves(tx, row["id"], new, left)
        taken += undo_copies.undo(tx, row["id"], new, now, left)
    told = "; ".join(f"{count} left out: {why}" for why, count in left.items())
    if not taken:
        raise CommandError(f"cannot undo {row['label']!r}: {told or 'it changed nothing that is still here'}")
    tx.execute("UPDATE job SET undone = ? WHERE id = ?", (new, row["id"]))
    if told:
        tx.execute("UPDATE job SET label = label || ?, error = ? WHERE id = ?", (f" ({told})", told, new))
    if row["bulk"]:
        sql = "UPDATE job SET total = (SELECT count(*) FROM op WHERE job = ?1 AND state = 'pending') WHERE id = ?1"
        tx.execute(sql, (new,))
    job_rows.cancelled(tx, row["id"], now)
    job_rows.finish(tx, new, now)
    return new


def _applied(tx: Transaction, job: int) -> sqlite3.Row:
    """Return the job to be undone: of one that was undone and redone, the redo."""
    row = job_rows.get_job(tx, job)
    while row is not None and row["undone"] is not None:
        undone = job_rows.get_job(tx, row["undone"])
        if undone is None or undone["undone"] is None:
            raise CommandError(f"{row['label']!r} has been undone already; redo() does it again")
        row = job_rows.get_job(tx, undone["undone"])
    if row is None:
        raise CommandError("this job is too old to be undone")
    return row


def _new_job(tx: Transaction, row: sqlite3.Row, now: float, cause: str) -> int:
    """Add the job that undoes or redoes; its label is that of the first job."""
    first, redo = row, row["origin"] == "undo"
    while before := tx.execute("SELECT * FROM job WHERE undone = ?", (first["id"],)).fetchone():
        first = before
    label = f"{'redid' if redo else 'undid'}: {first['label']}"
    origin = "redo" if redo else "undo"
    return job_rows.add_job(
        tx, "verb", label, now, bulk=bool(row["bulk"]), origin=origin, cause=cause or row["cause"]
    )


def _ensure_undoable(tx: Transaction, row: sqlite3.Row) -> None:
    if row["kind"] != "verb":
        raise CommandError(f"{row['label']!r} cannot be undone: it is a request, not a change to messages")
    final = tx.execute(
        f"SELECT kind FROM op WHERE job = ? AND {_CHANGED} AND original IS NULL AND after IS NULL"
        " AND kind IN ('append', 'delete') ORDER BY kind LIMIT 1",
        (row["id"],),
    ).fetchone()
    if final is not None and final["kind"] == "delete":
        raise CommandError(f"{row['label']!r} cannot be undone: what is deleted is gone for good")
    if final is not None:
        raise CommandError(f"{row['label']!r} cannot be undone; trash() the message")


def _cancel_mail(tx: Transaction, row: sqlite3.Row, now: float) -> None:
    """Take back mail that is still held in the outbox."""
    item = tx.execute("SELECT id, state FROM outbox WHERE job = ?", (row["id"],)).fetchone()
    if item is None or item["state"] != "queued":
        what = item["state"] if item else "gone"
        raise CommandError(f"{row['label']!r} cannot be undone: the mail is {what}, not held in the outbox")
    tx.execute("UPDATE outbox SET state = 'cancelled' WHERE id = ?", (item["id"],))
    job_rows.set_job(tx, row["id"], state="cancelled", finished=now)


# -- flags, tags and moves: any number of them at once ---------------------------------------

# A later change to the same thing.
_LATER = f"""
EXISTS (SELECT 1 FROM op e JOIN job j ON j.id = e.job WHERE {undo_copies.STANDS}
  AND CASE WHEN op.kind = 'move' THEN e.kind <> 'flags' ELSE e.kind = 'flags' AND
    ((e.add_flags | e.remove_flags) & (op.add_flags | op.remove_flags) <> 0
     OR common_tags(e.add_tags || e.remove_tags, op.add_tags || op.remove_tags) <> '') END)
"""

_WHY = f"""
CASE
  WHEN m.folder IS NULL THEN 'gone since'
  WHEN op.kind = 'move' AND m.folder <> op.target THEN 'moved elsewhere since'
  WHEN op.kind = 'move' AND NOT EXISTS (SELECT 1 FROM folder f WHERE f.id = op.source AND f.present)
    THEN 'the folder it was in is gone'
  WHEN op.kind = 'flags' AND (m.flags & op.add_flags <> op.add_flags OR m.flags & op.remove_flags
    OR (op.add_tags <> '' AND other_tags(op.add_tags, m.tags) <> '')
    OR (op.remove_tags <> '' AND common_tags(op.remove_tags, m.tags) <> '')) THEN 'changed again since'
  WHEN {_LATER} THEN 'changed again since'
END
"""


def _flags_and_moves(tx: Transaction, job: int, new: int, left: Counter[str]) -> int:
    """Take back flags, tags and moves; return of how many messages."""
    tx.execute("CREATE TEMP TABLE IF NOT EXISTS undoing (op INTEGER PRIMARY KEY, message, was, why)")
    tx.execute("DELETE FROM undoing")
    tx.execute(
        f"INSERT INTO undoing SELECT op.id, op.message, op.state, {_WHY} FROM op JOIN message m"
        " ON m.id = op.message WHERE op.job = ? AND op.undone IS NULL"
        " AND op.state NOT IN ('failed', 'cancelled') AND op.kind IN ('flags', 'move')",
        (job,),
    )
    for row in tx.execute("SELECT why, count(*) FROM undoing WHERE why IS NOT NULL GROUP BY why"):
        left[row[0]] += row[1]
    tx.execute("DELETE FROM undoing WHERE why IS NOT NULL")
    tx.execute(
        "INSERT INTO op (job, account, message, kind, state, after, add_flags, remove_flags, add_tags,"
        " remove_tags, source, target) SELECT ?, o.account, o.message, o.kind,"
        " CASE was WHEN 'pending' THEN 'done' ELSE 'pending' END, CASE was WHEN 'sent' THEN o.id END,"
        " remove_flags, add_flags, remove_tags, add_tags, target, source"
        " FROM undoing JOIN op o ON o.id = undoing.op ORDER BY o.id",
        (new,),
    )
    for change, which in (("undone = ?", "<>"), ("undone = ?, state = 'cancelled'", "=")):
        tx.execute(
            f"UPDATE op SET {change} WHERE id IN (SELECT op FROM undoing WHERE was {which} 'pending')", (new,)
        )
    state.refresh(tx, [row[0] for row in tx.execute("SELECT message FROM undoing WHERE was = 'pending'")])
    changes.show(tx, new)
    return int(tx.execute("SELECT count(*) FROM undoing").fetchone()[0])
