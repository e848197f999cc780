"""What is kept for a while and then dropped: finished jobs, messages that are gone, bytes of sent mail."""

from __future__ import annotations

from agent.store.db import Transaction

_PRUNED = 300  # rows one step of pruning drops


def prune(tx: Transaction, now: float, keep_s: float = 30 * 86_400) -> bool:
    """Drop some of what is too old: finished jobs, messages gone, bytes of sent mail.

    A step of some milliseconds; returns whether there may be more to drop.
    """
    before = tx.total_changes
    since = now - keep_s
    old = "job.state NOT IN ('queued', 'running') AND job.finished < ?"
    # One job may have 100,000 operations: they go before it does, in as many steps as they take.
    tx.execute(
        f"DELETE FROM op WHERE id IN (SELECT op.id FROM job CROSS JOIN op ON op.job = job.id WHERE {old} LIMIT ?)",
        (since, _PRUNED),
    )
    tx.execute(
        f"DELETE FROM job WHERE id IN (SELECT id FROM job WHERE {old}"
        " AND NOT EXISTS (SELECT 1 FROM op WHERE op.job = job.id) LIMIT ?)",
        (since, _PRUNED),
    )
    gone = "SELECT id, content FROM message m WHERE gone < ? AND NOT EXISTS (SELECT 1 FROM op WHERE op.message = m.id)"
    for row in tx.execute(f"{gone} LIMIT ?", (since, _PRUNED)).fetchall():
        tx.execute("DELETE FROM message WHERE id = ?", (row["id"],))
        if not tx.execute("SELECT 1 FROM message WHERE content = ?", (row["content"],)).fetchone():
            tx.execute("DELETE FROM raw WHERE content = ?", (row["content"],))
            tx.execute("DELETE FROM content WHERE id = ?", (row["content"],))
    tx.execute(
        "DELETE FROM outgoing WHERE item IN (SELECT o.item FROM outgoing o JOIN outbox ON outbox.id = o.item"
        " WHERE outbox.state = 'sent' AND outbox.sent < ? LIMIT ?)",
        (since, _PRUNED),
    )
    return tx.total_changes != before
