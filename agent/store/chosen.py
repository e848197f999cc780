"""Ids in a temporary table: more of them than a statement takes parameters."""

from __future__ import annotations

import json
from collections.abc import Iterable

from agent.store.db import Transaction


def choose(tx: Transaction, ids: Iterable[int]) -> None:
    """Put ids into the temporary table `chosen`, whatever it held before."""
    tx.execute("CREATE TEMP TABLE IF NOT EXISTS chosen (id INTEGER PRIMARY KEY)")
    tx.execute("DELETE FROM chosen")
    # One statement for all of them: 100,000 one by one take longer than what is done to them.
    tx.execute(
        "INSERT OR IGNORE INTO chosen SELECT value FROM json_each(?) ORDER BY 1", (json.dumps(list(ids)),)
    )
