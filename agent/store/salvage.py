"""Rebuild a damaged store: what can be read and proves to be right goes into a new file.

Proof is the hash of a message's bytes, and that tables and their indexes agree. What servers have
and cannot be proved is left out: the next sync lists it again. The damaged file is kept beside.
Runs before the store is opened, on the thread that starts the agent, under the lock of the wires.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.errors import StoreError
from agent.store import salvage_mail, schema, swap
from agent.store.salvage_rows import BROKEN, Table, rows

Make = salvage_mail.Make
_HEADER = 100
_INTERIOR = 5  # the kind of a page that leads to others
_UNSENT = ("queued", "connecting", "data-sent")
_DOUBT = "the store was damaged, so it may have been sent; look for it in Sent, then retry() or cancel() it"
_SUFFIXES = ("", "-wal", "-shm", "-journal")


@dataclass(slots=True)
class Salvaged:
    """What a rebuild saved, and where the damaged file is kept."""

    kept: Path
    counts: dict[str, int] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        words = {"message": "messages", "outbox": "mails of the outbox", "op": "changes", "claim": "claims of rules",
                 "reply": "notes of who was answered"}  # fmt: skip
        saved = ", ".join(f"{self.counts.get(name, 0)} {word}" for name, word in words.items())
        lost = f"; parts of {', '.join(self.unread)} could not be read" if self.unread else ""
        return f"saved {saved}{lost}; the rest comes from the servers again; the damaged file is kept as {self.kept}"


def rebuild(path: Path, lock: Path, make: Make, stamp: str) -> Salvaged:
    """Put a new store in the place of a damaged one; `make` parses bytes, `stamp` names the damaged file.

    Raises StoreError when another process works on the store, or when there is no room.
    """
    kept = path.with_name(f"{path.name}.damaged-{stamp}")
    with alone(lock, path):
        fresh = path.with_name(path.name + ".rebuilding")
        _remove(fresh)
        result = Salvaged(kept)
        try:
            with contextlib.closing(_new(fresh)) as new, _old(path) as old:
                _fill(old, new, make, result)
            swap.sync(fresh)
        except (*BROKEN, OSError) as error:
            _remove(fresh)
            raise StoreError(
                f"{path} is damaged and cannot be rebuilt: {error}; make room, then start again"
            ) from error
        os.replace(fresh, swap.ready(path))
        swap.swap(path, kept)
    return result


@contextlib.contextmanager
def alone(lock: Path, path: Path) -> Iterator[None]:
    """Hold the lock of the wires; raises StoreError when another process does."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StoreError(
            f"{path} is damaged and another agent works on it; end that one, then start again"
        ) from None
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    for suffix in _SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


# -- the two files ---------------------------------------------------------------------------


def _new(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    db = _connect(path)
    db.execute("PRAGMA journal_mode = OFF")  # nobody needs it before it is complete
    db.execute("PRAGMA synchronous = OFF")
    schema.migrate(db)
    return db


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")
    salvage_mail.prepare(db)
    return db


@contextlib.contextmanager
def _old(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Open a copy of the damaged file, so that it stays as it was found; None when nothing helps."""
    copy = path.with_name(path.name + ".salvaging")
    _remove(copy)
    try:
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(path.with_name(path.name + suffix), copy.with_name(copy.name + suffix))
                copy.with_name(copy.name + suffix).chmod(0o600)
        db = _readable(copy)
        model = _model(copy) if db is None else b""
        for mend in (_mend_header, _mend_schema):
            if db is None:
                mend(copy, model)
                db = _readable(copy)
        if db is None:
            # Perhaps it is the log that misleads.
            copy.with_name(copy.name + "-wal").unlink(missing_ok=True)
            db = _readable(copy)
        try:
            yield db
        finally:
            if db is not None:
                db.close()
    finally:
        _remove(copy)


def _readable(path: Path) -> sqlite3.Connection | None:
    db = _connect(path)
    try:
        db.execute("PRAGMA query_only = ON")
        db.execute("PRAGMA cell_size_check = ON")
        db.execute("SELECT name FROM sqlite_schema").fetchall()
    except BROKEN:
        db.close()
        return None
    return db


def _model(path: Path) -> bytes:
    """Return what an empty store of ours consists of."""
    model = path.with_name(path.name + ".model")
    _remove(model)
    try:
        with contextlib.closing(_new(model)) as db:
            db.execute("PRAGMA journal_mode = WAL")
        return model.read_bytes()
    finally:
        _remove(model)


def _mend_header(path: Path, model: bytes) -> None:
    """Write the first octets as a store of ours has them."""
    header = bytearray(model[:_HEADER])
    page = int.from_bytes(header[16:18], "big")
    header[28:32] = (path.stat().st_size // page).to_bytes(4, "big")
    with path.open("r+b") as file:
        file.write(header)


def _mend_schema(path: Path, model: bytes) -> None:
    """Put back pages on which the tables are declared, if the others are those of an empty store of ours."""
    size = int.from_bytes(model[16:18], "big")
    if model[_HEADER] != _INTERIOR:
        return
    cells = int.from_bytes(model[_HEADER + 3 : _HEADER + 5], "big")
    # The first page leads to the others (SQLite's file format, section 1.6).
    pointers = [
        int.from_bytes(model[at : at + 2], "big") for at in range(_HEADER + 12, _HEADER + 12 + 2 * cells, 2)
    ]
    pages = [int.from_bytes(model[at : at + 4], "big") for at in (*pointers, _HEADER + 8)]
    with path.open("r+b") as file:
        found = {page: os.pread(file.fileno(), size, (page - 1) * size) for page in pages}
        first = os.pread(file.fileno(), size, 0)[_HEADER:] == model[_HEADER:size]
        wrong = [page for page in pages if found[page] != model[(page - 1) * size : page * size]]
        if len(wrong) + (not first) > 1:
            return  # another layout, or too much of it is lost to tell
        for page in wrong:
            file.seek((page - 1) * size)
            file.write(model[(page - 1) * size : page * size])
        if not first:
            file.seek(_HEADER)
            file.write(model[_HEADER:size])


# -- from one to the other -------------------------------------------------------------------


def _fill(old: sqlite3.Connection | None, new: sqlite3.Connection, make: Make, result: Salvaged) -> None:
    if old is None:
        result.unread.append("everything")
        return
    new.execute("BEGIN")
    for name in ("account", "folder", "setting", "claim", "reply", "arrived", "job", "outbox"):
        _copy(old, new, name, result)
    _outgoing(old, new, result)
    _complete_accounts(new)
    new.execute(
        f"UPDATE outbox SET state = 'uncertain', error = ? WHERE state IN ({','.join('?' * len(_UNSENT))})",
        (_DOUBT, *_UNSENT),
    )
    new.execute("COMMIT")
    kept = salvage_mail.messages(old, new, make, result.unread)
    new.execute("BEGIN")
    result.counts["message"] = len(kept)
    result.counts["op"] = salvage_mail.operations(old, new, kept, result.unread)
    salvage_mail.list_again(new)
    _never_reuse_numbers(old, new)
    new.execute("COMMIT")


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, name: str, result: Salvaged) -> None:
    table = Table.of(old, new, name)
    if table is None:
        result.unread.append(name)
        return
    count = 0
    for row in rows(old, table, result.unread):
        count += table.insert(new, row)
    result.counts[name] = count


def _outgoing(old: sqlite3.Connection, new: sqlite3.Connection, result: Salvaged) -> None:
    """Take over the bytes of mail on its way out; older files have them in the outbox itself."""
    table = Table.of(old, new, "outgoing")
    if table is not None:
        for row in rows(old, table, result.unread):
            table.insert(new, row)
        return
    for (item,) in new.execute("SELECT id FROM outbox").fetchall():
        try:
            row = old.execute("SELECT data, copy FROM outbox WHERE id = ?", (item,)).fetchone()
        except BROKEN:
            result.unread.append(f"mail {item} of the outbox")
        else:
            new.execute("INSERT INTO outgoing (item, data, copy) VALUES (?, ?, ?)", (item, *row))


def _complete_accounts(new: sqlite3.Connection) -> None:
    """Give accounts that could not be read a name, so that what belongs to them can be found."""
    sql = "SELECT account FROM folder UNION SELECT account FROM outbox UNION SELECT account FROM claim"
    known = {row[0] for row in new.execute("SELECT id FROM account")}
    for (account,) in new.execute(sql).fetchall():
        if account not in known:
            new.execute("INSERT INTO account (id, name) VALUES (?, ?)", (account, f"lost-{account}"))


def _never_reuse_numbers(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    try:
        known: dict[str, Any] = dict(old.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    except BROKEN:
        known = {}
    for (name,) in new.execute("SELECT name FROM sqlite_schema WHERE sql LIKE '%AUTOINCREMENT%'").fetchall():
        top = new.execute(f"SELECT coalesce(max(id), 0) FROM {name}").fetchone()[0]
        said = known.get(name)
        # What was given out after the last row that could be read may be more than that row's number.
        free = max(top, said if isinstance(said, int) and said < top + (1 << 32) else 0)
        new.execute("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
        new.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (name, free))
