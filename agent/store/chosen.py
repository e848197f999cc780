"""Ids in a temporary table: more of them than a statement takes parameters."""

from __future__ import annotations

from collections.abc import Iterable

from agent.store.db import Transaction


def choose(tx: Transaction, ids: Iterable[int]) -> None:
    """Put ids into the temporary table `chosen`, whatever it held before."""
    tx.execute("CREATE TEMP TABLE IF NOT EXISTS chosen (id INTEGER PRIMARY KEY)")
    tx.execute("DELETE FROM chosen")
    tx.executemany("INSERT OR IGNORE INTO chosen VALUES (?)", [(message,) for message in ids])
