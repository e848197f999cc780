"""Accounts and folders: what the server lists, and how far each folder has been brought here."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from agent.store.db import Transaction


@dataclass(frozen=True, slots=True)
class FolderRow:
    """A folder as the store knows it; the numbers are as in the table."""

    id: int
    account: int
    name: str
    delimiter: str | None
    role: str
    selectable: bool
    present: bool
    keywords: bool
    uidvalidity: int | None
    uidnext: int | None
    baseline: int | None
    backfill: int | None
    modseq: int | None
    synced: float | None


_COLUMNS = ", ".join(FolderRow.__dataclass_fields__)


def _row(row: sqlite3.Row) -> FolderRow:
    values = dict(row)
    for name in ("selectable", "present", "keywords"):
        values[name] = bool(values[name])
    return FolderRow(**values)


def ensure_account(tx: Transaction, name: str) -> int:
    """Return the id of an account, adding it when it is new."""
    tx.execute("INSERT INTO account (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
    return int(tx.execute("SELECT id FROM account WHERE name = ?", (name,)).fetchone()[0])


def accounts(db: Transaction) -> dict[str, int]:
    """Return every account that ever was configured: name -> id."""
    return {row["name"]: row["id"] for row in db.execute("SELECT name, id FROM account")}


def of_account(db: Transaction, account: int) -> list[FolderRow]:
    """Return the folders the server lists, INBOX first, then by name."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM folder WHERE account = ? AND present"
        " ORDER BY role <> 'inbox', name COLLATE NOCASE",
        (account,),
    )
    return [_row(row) for row in rows]


def get(db: Transaction, folder: int) -> FolderRow | None:
    """Return one folder by id."""
    row = db.execute(f"SELECT {_COLUMNS} FROM folder WHERE id = ?", (folder,)).fetchone()
    return _row(row) if row else None


def find(db: Transaction, account: int, name: str) -> FolderRow | None:
    """Return one folder by name; INBOX in any case (RFC 9051 section 5.1)."""
    if name.upper() == "INBOX":
        name = "INBOX"
    row = db.execute(
        f"SELECT {_COLUMNS} FROM folder WHERE account = ? AND name = ?", (account, name)
    ).fetchone()
    return _row(row) if row else None


def list_folders(tx: Transaction, account: int, listed: Iterable[tuple[str, str | None, str, bool]]) -> None:
    """Take over the server's list of (name, delimiter, role, selectable).

    A folder that is listed no more keeps its messages' rows: they may turn up elsewhere.
    """
    tx.execute("UPDATE folder SET present = 0 WHERE account = ?", (account,))
    tx.executemany(
        "INSERT INTO folder (account, name, delimiter, role, selectable) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (account, name) DO UPDATE SET delimiter = excluded.delimiter, role = excluded.role,"
        " selectable = excluded.selectable, present = 1",
        [(account, *folder) for folder in listed],
    )


def vanished(db: Transaction, account: int) -> list[FolderRow]:
    """Return the folders that can hold no messages any more, and of which the store knows something."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM folder WHERE account = ? AND NOT (present AND selectable)"
        " AND uidvalidity IS NOT NULL",
        (account,),
    )
    return [_row(row) for row in rows]


def forget(tx: Transaction, folder: int) -> None:
    """Forget how far a vanished folder had come: should it come back, it is listed anew."""
    tx.execute(
        "UPDATE folder SET uidvalidity = NULL, uidnext = NULL, baseline = NULL, backfill = NULL, modseq = NULL,"
        " synced = NULL WHERE id = ?",
        (folder,),
    )


def add(tx: Transaction, account: int, name: str, delimiter: str | None, role: str = "") -> int:
    """Add a folder that the server has not listed yet; return its id."""
    tx.execute(
        "INSERT INTO folder (account, name, delimiter, role) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (account, name) DO UPDATE SET present = 1",
        (account, name, delimiter, role),
    )
    row = tx.execute("SELECT id FROM folder WHERE account = ? AND name = ?", (account, name)).fetchone()
    return int(row[0])


def rename(tx: Transaction, folder: int, name: str) -> None:
    """Rename a folder and those below it; nothing happens when the new name is listed already."""
    row = get(tx, folder)
    if row is None or ((known := find(tx, row.account, name)) and known.present):
        return
    # A folder that vanished earlier may have left its row under the new name.
    tx.execute(
        "UPDATE folder SET name = name || char(0) || id WHERE account = ? AND name = ? AND NOT present",
        (row.account, name),
    )
    tx.execute("UPDATE folder SET name = ? WHERE id = ?", (name, folder))
    if row.delimiter:
        below = row.name + row.delimiter
        tx.execute(
            "UPDATE folder SET name = ? || substr(name, ?) WHERE account = ? AND substr(name, 1, ?) = ?",
            (name + row.delimiter, len(below) + 1, row.account, len(below), below),
        )


def progress(tx: Transaction, folder: int, **columns: int | float | None) -> None:
    """Record how far a folder has come: uidvalidity, uidnext, baseline, backfill, modseq, synced, keywords."""
    names = ", ".join(f"{name} = :{name}" for name in columns)
    tx.execute(f"UPDATE folder SET {names} WHERE id = :folder", {**columns, "folder": folder})


def stand(tx: Transaction, ids: Iterable[int], now: float) -> None:
    """Note of folders that they equal the server, as its STATUS shows."""
    tx.executemany("UPDATE folder SET synced = ? WHERE id = ?", [(now, folder) for folder in ids])


def step_down(tx: Transaction, folder: int, high: int, low: int) -> bool:
    """Let the listing newest first go down from one UID to the next; False when it is not at `high`."""
    sql = "UPDATE folder SET backfill = ? WHERE id = ? AND backfill = ?"
    return tx.execute(sql, (low, folder, high)).rowcount == 1


def set_status(tx: Transaction, account: int, status: str) -> None:
    """Tell the other processes how the wire of an account is: online, or offline and why."""
    tx.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (f"status {account}", status))


def status(db: Transaction, account: int) -> str:
    """Return what the owner of the wires last said of an account; empty when nobody did."""
    row = db.execute("SELECT value FROM setting WHERE name = ?", (f"status {account}",)).fetchone()
    return str(row[0]) if row else ""


def roles_named(db: Transaction, names: Collection[str]) -> set[str]:
    """Return the roles of folders with the given case-folded names."""
    rows = db.execute("SELECT name, role FROM folder WHERE role <> ''")
    return {row["role"] for row in rows if row["name"].casefold() in names}
