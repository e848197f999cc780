"""Undo of copies and of moves to another account: the copy goes, the original comes back.

A copy (or an append to another account) is followed by a deletion that remembers its original, so
that it can be done again. A move to another account is an append and a deletion after it; its
inverse is one the other way round.
"""

from __future__ import annotations

import sqlite3
from collections import Counter

from agent.store import job_rows, state
from agent.store.db import Transaction

# Whether `e`, a change after `op`, still shows: an undo and its redo, both after `op`, do not.
STANDS = """
e.message = op.message AND e.id > op.id AND e.job <> op.job AND e.undone IS NULL
AND e.state NOT IN ('failed', 'cancelled') AND (j.origin NOT IN ('undo', 'redo') OR
  (WITH RECURSIVE chain (id) AS (SELECT e.job UNION ALL SELECT p.id FROM job p JOIN chain ON p.undone = chain.id
    WHERE p.id > op.job) SELECT count(*) % 2 FROM chain))
"""

# later: 1 when flags were changed since, 2 when the message went somewhere.
_OPS = f"""
SELECT op.*, m.folder AS at, o.folder AS original_at, o.account AS original_account,
  (SELECT f.present FROM folder f WHERE f.id = op.source) AS source_present,
  (SELECT max(1 + (e.kind <> 'flags')) FROM op e JOIN job j ON j.id = e.job WHERE {STANDS}) AS later
FROM op JOIN message m ON m.id = op.message LEFT JOIN message o ON o.id = op.original
WHERE op.job = ? AND op.undone IS NULL AND op.state NOT IN ('failed', 'cancelled')
  AND op.kind IN ('copy', 'append', 'delete') ORDER BY op.id
"""


def undo(tx: Transaction, job: int, new: int, now: float, left: Counter[str]) -> int:
    """Take back the copies and the moves to other accounts of a job; return of how many messages."""
    ops = tx.execute(_OPS, (job,)).fetchall()
    by_id = {op["id"]: op for op in ops}
    pairs = {op["after"]: op for op in ops if op["kind"] == "delete" and op["after"] in by_id}
    second = {op["id"] for op in pairs.values()}
    taken = 0
    for op in ops:
        if op["id"] in second:
            continue
        departure = pairs.get(op["id"])
        why = _why_not(op) if departure is None else _why_not_back(op, departure)
        if why is not None:
            left[why] += 1
            continue
        taken += 1
        if departure is not None:
            _transfer_back(tx, op, departure, new, now)
        elif op["kind"] == "delete":
            _copy_again(tx, op, new)
        else:
            _remove_copy(tx, op, new, now)
    return taken


def _why_not(op: sqlite3.Row) -> str | None:
    """Return why a copy cannot be removed, or made again."""
    if op["original_at"] is None:
        return "the message it was copied from is gone"
    if op["kind"] == "delete":
        if op["at"] is not None:
            return "it is there again"
        return None if op["source_present"] else "the folder it was in is gone"
    return _elsewhere(op) or ("changed again since" if op["later"] else None)


def _why_not_back(arrival: sqlite3.Row, departure: sqlite3.Row) -> str | None:
    """Return why a message cannot come back from another account."""
    if departure["at"] is not None:
        return "it is there again"
    if not departure["source_present"]:
        return "the folder it was in is gone"
    return _elsewhere(arrival) or ("moved elsewhere since" if arrival["later"] == 2 else None)


def _elsewhere(op: sqlite3.Row) -> str | None:
    if op["at"] is None:
        return "gone since"
    return "moved elsewhere since" if op["at"] != op["target"] else None


def _remove_copy(tx: Transaction, op: sqlite3.Row, new: int, now: float) -> None:
    _take_back(tx, op, new)
    _add(tx, new, op, "delete", source=op["target"], original=op["original"])
    if op["state"] == "pending":
        job_rows.never_came(tx, op["message"], now)
    state.refresh(tx, [op["message"]])


def _copy_again(tx: Transaction, op: sqlite3.Row, new: int) -> None:
    _take_back(tx, op, new)
    kind = "copy" if op["original_account"] == op["account"] else "append"
    _add(tx, new, op, kind, target=op["source"], original=op["original"])
    if op["state"] == "done":
        _revive(tx, op["message"], op["original"])
    state.refresh(tx, [op["message"]])


def _transfer_back(
    tx: Transaction, arrival: sqlite3.Row, departure: sqlite3.Row, new: int, now: float
) -> None:
    there, here = arrival["message"], departure["message"]
    _take_back(tx, arrival, new)
    _take_back(tx, departure, new)
    back = _add(tx, new, departure, "append", target=departure["source"], original=there)
    _add(tx, new, arrival, "delete", source=arrival["target"], original=here, after=back)
    if departure["state"] == "done":
        _revive(tx, here, there)
    if arrival["state"] == "pending":
        job_rows.never_came(tx, there, now)
    state.refresh(tx, [there, here])


def _take_back(tx: Transaction, op: sqlite3.Row, new: int) -> None:
    """Cancel an operation that has not gone to the wire; remember what took it back."""
    tx.execute(
        "UPDATE op SET undone = ?, state = CASE state WHEN 'pending' THEN 'cancelled' ELSE state END WHERE id = ?",
        (new, op["id"]),
    )


def _add(
    tx: Transaction, new: int, op: sqlite3.Row, kind: str, *, source: int | None = None,
    target: int | None = None, original: int | None = None, after: int | None = None,
) -> int:  # fmt: skip
    """Add the inverse of an operation, which waits for it when that is on the wire just now."""
    cursor = tx.execute(
        "INSERT INTO op (job, account, message, kind, state, source, target, original, after)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new, op["account"], op["message"], kind, "done" if op["state"] == "pending" else "pending",
            source, target, original, after or (op["id"] if op["state"] == "sent" else None),
        ),
    )  # fmt: skip
    return int(cursor.lastrowid or 0)


def _revive(tx: Transaction, message: int, like: int) -> None:
    """Bring back the row of a message the server does not have, with the flags it has elsewhere."""
    tx.execute(
        "UPDATE message SET gone = NULL, (s_flags, s_tags) = (SELECT flags, tags FROM message WHERE id = ?)"
        " WHERE id = ?",
        (like, message),
    )
