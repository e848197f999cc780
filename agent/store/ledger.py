"""What automation has taken on: claims of rules and hooks, and who was answered when."""

from __future__ import annotations

from agent.store.db import Transaction


def begin(tx: Transaction, rule: str, account: int, key: str, now: float) -> bool:
    """Claim a content for a rule; False when the rule is done with it. A started claim starts again."""
    row = tx.execute(
        "SELECT state FROM claim WHERE rule = ? AND account = ? AND key = ?", (rule, account, key)
    ).fetchone()
    if row is not None:
        return bool(row["state"] == "started")
    tx.execute("INSERT INTO claim VALUES (?, ?, ?, 'started', ?)", (rule, account, key, now))
    return True


def end(tx: Transaction, rule: str, account: int, key: str) -> None:
    """Note that a rule is done with a content."""
    tx.execute(
        "UPDATE claim SET state = 'done' WHERE rule = ? AND account = ? AND key = ?", (rule, account, key)
    )


def answered(db: Transaction, account: int, handle: str, sender: str) -> float | None:
    """Return when a sender was last answered under a handle."""
    row = db.execute(
        "SELECT at FROM reply WHERE account = ? AND handle = ? AND sender = ?", (account, handle, sender)
    ).fetchone()
    return None if row is None else float(row[0])


def answer(tx: Transaction, account: int, handle: str, sender: str, outbox: int, now: float) -> None:
    """Note that a sender is answered."""
    tx.execute(
        "INSERT INTO reply VALUES (?, ?, ?, ?, ?) ON CONFLICT (account, handle, sender)"
        " DO UPDATE SET at = excluded.at, outbox = excluded.outbox",
        (account, handle, sender, now, outbox),
    )
