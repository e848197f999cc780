"""What automation has taken on: claims of rules and hooks, and who was answered when."""

from __future__ import annotations

from agent.store.db import Transaction

STARTED, DONE = "started", "done"


def state(db: Transaction, rule: str, account: int, key: str) -> str | None:
    """Return how far a rule is with a content: None, STARTED or DONE."""
    row = db.execute(
        "SELECT state FROM claim WHERE rule = ? AND account = ? AND key = ?", (rule, account, key)
    ).fetchone()
    return None if row is None else str(row[0])


def begin(tx: Transaction, rule: str, account: int, key: str, now: float) -> int:
    """Claim a content for a rule; return how often it has started on it, this time included."""
    row = tx.execute(
        "INSERT INTO claim (rule, account, key, state, at) VALUES (?, ?, ?, 'started', ?)"
        " ON CONFLICT (rule, account, key) DO UPDATE SET starts = starts + 1 RETURNING starts",
        (rule, account, key, now),
    ).fetchone()
    return int(row[0])


def end(tx: Transaction, rule: str, account: int, key: str) -> None:
    """Note that a rule is done with a content."""
    tx.execute(
        "UPDATE claim SET state = 'done' WHERE rule = ? AND account = ? AND key = ?", (rule, account, key)
    )


def answered(db: Transaction, handle: str, sender: str) -> float | None:
    """Return when a sender was last answered under a handle, by whichever of our accounts."""
    row = db.execute("SELECT max(at) FROM reply WHERE handle = ? AND sender = ?", (handle, sender)).fetchone()
    return None if row[0] is None else float(row[0])


def answer(tx: Transaction, account: int, handle: str, sender: str, outbox: int, now: float) -> None:
    """Note that a sender is answered."""
    tx.execute(
        "INSERT INTO reply VALUES (?, ?, ?, ?, ?) ON CONFLICT (account, handle, sender)"
        " DO UPDATE SET at = excluded.at, outbox = excluded.outbox",
        (account, handle, sender, now, outbox),
    )
