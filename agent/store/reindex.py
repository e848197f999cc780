"""Make the text index anew, piece by piece; what a cut-off run has done need not be done again."""

from __future__ import annotations

from agent.store import contents
from agent.store.db import Transaction

_RUNNING = "reindexing"


def begin(tx: Transaction) -> bool:
    """Empty the index, unless a run that was cut off has done so; return whether one goes on."""
    if tx.execute("SELECT 1 FROM setting WHERE name = ?", (_RUNNING,)).fetchone():
        return True
    tx.execute("INSERT INTO text (text) VALUES ('delete-all')")
    tx.execute("UPDATE content SET indexed = 0 WHERE indexed <> 0")
    tx.execute("INSERT INTO setting VALUES (?, '1')", (_RUNNING,))
    return False


def step(tx: Transaction, limit: int) -> bool:
    """Index some contents; return whether there may be more."""
    if contents.index_some(tx, limit):
        return True
    tx.execute("DELETE FROM setting WHERE name = ?", (_RUNNING,))
    return False


def left(db: Transaction) -> tuple[int, int]:
    """Return how many contents are still to be indexed, and how many there are."""
    total = int(db.execute("SELECT count(*) FROM content").fetchone()[0])
    return contents.unindexed(db), total
