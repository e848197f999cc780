"""Read the rows of a damaged table: from both ends, stepping over what cannot be read; only what fits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Its messages may quote what is no text.
BROKEN = (sqlite3.Error, UnicodeDecodeError)
_STEPS = 200_000  # row numbers that are tried one by one between two readable ends
_TYPES: dict[str, tuple[type, ...]] = {
    "INTEGER": (int,), "TEXT": (str,), "BLOB": (bytes,), "REAL": (float, int),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column that both files have."""

    name: str
    types: tuple[type, ...]
    null: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table of both files: the columns they share, and how its rows are numbered."""

    name: str
    columns: tuple[Column, ...]
    key: str  # what its rows are ordered by

    @classmethod
    def of(cls, old: sqlite3.Connection, new: sqlite3.Connection, name: str) -> Table | None:
        """Return the table as it is in both files; None when the old one has none."""
        try:
            has = {row[1] for row in old.execute(f"PRAGMA table_info({name})")}
        except BROKEN:
            return None
        info = new.execute(f"PRAGMA table_info({name})").fetchall()
        columns = tuple(
            Column(row[1], _TYPES[row[2]], not row[3] and not (row[5] and row[2] == "INTEGER"))
            for row in info
            if row[1] in has
        )
        keys = [row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]]
        return cls(name, columns, ", ".join(keys)) if columns else None

    @property
    def names(self) -> str:
        """The names of the columns, for SQL."""
        return ", ".join(column.name for column in self.columns)

    def fits(self, row: sqlite3.Row) -> bool:
        """Tell whether the values of a row are of the kinds the columns want."""
        return all(
            column.null if (value := row[column.name]) is None else isinstance(value, column.types)
            for column in self.columns
        )

    def insert(self, new: sqlite3.Connection, row: sqlite3.Row, **other: object) -> bool:
        """Put a row into the new file, some values replaced; return whether it fitted."""
        values = {column.name: row[column.name] for column in self.columns} | other
        marks = ", ".join(f":{name}" for name in values)
        try:
            new.execute(f"INSERT INTO {self.name} ({', '.join(values)}) VALUES ({marks})", values)
        except sqlite3.IntegrityError:
            return False
        return True


def rows(old: sqlite3.Connection, table: Table, unread: list[str]) -> Iterator[sqlite3.Row]:
    """Yield the rows that can be read and fit; a table of which something could not be read is noted."""
    if ", " in table.key or table.key in ("name",):
        yield from _both_ends(old, table, unread)
    else:
        yield from _numbered(old, table, unread)


def _both_ends(old: sqlite3.Connection, table: Table, unread: list[str]) -> Iterator[sqlite3.Row]:
    seen = set()
    keys = table.key.split(", ")
    for order in (table.key, ", ".join(f"{key} DESC" for key in keys)):
        found, whole = _some(old, f"SELECT {table.names} FROM {table.name} ORDER BY {order}", ())
        for row in found:
            key = tuple(row[name] for name in keys)
            if key not in seen and table.fits(row):
                seen.add(key)
                yield row
        if whole:
            return
    unread.append(table.name)


def _numbered(old: sqlite3.Connection, table: Table, unread: list[str]) -> Iterator[sqlite3.Row]:
    """Read a table by its row numbers: forwards, backwards, and one by one in between."""
    select, key = f"SELECT {table.names} FROM {table.name} NOT INDEXED", table.key
    low, high, whole = 0, None, False
    for row, ends in _pieces(old, f"{select} WHERE {key} > ? ORDER BY {key} LIMIT 500", low, 1, key):
        if row is None:
            whole = ends
        else:
            low = row[key]
            if table.fits(row):
                yield row
    if whole:
        return
    unread.append(table.name)
    for row, _ in _pieces(old, f"{select} WHERE {key} < ? ORDER BY {key} DESC LIMIT 500", 1 << 62, -1, key):
        if row is not None and row[key] > low:
            high = row[key]
            if table.fits(row):
                yield row
        elif row is not None:
            break
    for number in range(low + 1, min(high or low + _STEPS, low + _STEPS)):
        found, _ = _some(old, f"{select} WHERE {key} = ?", (number,))
        for row in found:
            if row[key] == number and table.fits(row):
                yield row


def _pieces(
    old: sqlite3.Connection, sql: str, start: int, way: int, key: str
) -> Iterator[tuple[sqlite3.Row | None, bool]]:
    """Yield rows in the order of their numbers, and in the end None and whether that was the real end."""
    at = start
    while True:
        found, whole = _some(old, sql, (at,))
        for row in found:
            # Damaged pointers lead back to where we have been: numbers must go on in one direction.
            if not isinstance(row[key], int) or (row[key] - at) * way <= 0:
                yield None, False
                return
            at = row[key]
            yield row, False
        if not whole or not found:
            yield None, whole
            return


def _some(old: sqlite3.Connection, sql: str, parameters: Sequence[object]) -> tuple[list[sqlite3.Row], bool]:
    """Return the rows that come before an error, and whether there was none."""
    found: list[sqlite3.Row] = []
    try:
        found.extend(old.execute(sql, parameters))
    except (*BROKEN, OverflowError, MemoryError):
        return found, False
    return found, True
