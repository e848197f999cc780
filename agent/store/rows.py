"""Put many rows into a table at once, off the interpreter's lock: other threads run meanwhile.

Each step of a statement gives the lock away and has to win it back from a thread that computes. So
one step takes up to a thousand rows, and what is looked up for many comes in one row, as JSON.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain

_TOGETHER = (1000, 100, 10, 1)  # rows in one step
_PARAMETERS = 32_000  # SQLite takes 32,766


def insert(
    tx: sqlite3.Connection,
    table: str,
    columns: tuple[str, ...],
    rows: Sequence[Sequence[object]],
    *,
    replace: bool = False,
) -> None:
    """Insert rows in their order; with `replace` those whose first column is there already are updated."""
    start = 0
    for count in _TOGETHER:
        if count * len(columns) > _PARAMETERS:
            continue
        statement = _statement(table, columns, count, replace)
        while len(rows) - start >= count:
            tx.execute(statement, [*chain.from_iterable(rows[start : start + count])])
            start += count


@lru_cache(maxsize=64)
def _statement(table: str, columns: tuple[str, ...], count: int, replace: bool) -> str:
    row = f"({', '.join('?' * len(columns))})"
    sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * count)}"
    if replace:
        new = ", ".join(f"{name} = excluded.{name}" for name in columns[1:])
        sql += f" ON CONFLICT ({columns[0]}) DO UPDATE SET {new}"
    return sql


def listed(values: Iterable[object]) -> str:
    """Return values as one parameter, to be read with json_each."""
    return json.dumps([*values])
