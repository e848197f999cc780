"""Put many rows into a table at once, off the interpreter's lock: other threads run meanwhile.

Each step of a statement gives the lock away and has to get it back, up to 5 ms later when another
thread computes. So a statement takes a hundred rows in one step.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain

_TOGETHER = 100


def insert(
    tx: sqlite3.Connection,
    table: str,
    columns: tuple[str, ...],
    rows: Sequence[Sequence[object]],
    *,
    replace: bool = False,
) -> None:
    """Insert rows in their order; with `replace` those whose first column is there already are updated."""
    whole = len(rows) - len(rows) % _TOGETHER
    for start in range(0, whole, _TOGETHER):
        some = rows[start : start + _TOGETHER]
        tx.execute(_statement(table, columns, _TOGETHER, replace), [*chain.from_iterable(some)])
    if whole < len(rows):
        tx.executemany(_statement(table, columns, 1, replace), rows[whole:])


@lru_cache(maxsize=32)
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
