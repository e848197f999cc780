"""The care of the store's file: is it whole, why did it fail, a copy of it, its text index made anew.

What costs nothing is looked at whenever the file is opened. A whole look follows only where there
is a reason: the machine went down while the file was open, or an earlier run met damage. Any thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import struct
import time
from collections.abc import Callable
from pathlib import Path

from agent.errors import Damaged, StoreError

_log = logging.getLogger("agent.care")

_MAGIC = b"SQLite format 3\0"
_PAGES = 2000  # copied at a time
_HINTS = {
    sqlite3.SQLITE_FULL: "the disk is full; nothing of this was stored, make room and it goes on",
    sqlite3.SQLITE_IOERR: "the disk does not take or give data; nothing of this was stored, look at the disk",
    sqlite3.SQLITE_READONLY: "the file or its folder may not be written; see to its permissions",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; see to the folder, its permissions and the room in it",
    sqlite3.SQLITE_BUSY: "another program has held the file for too long; end it",
}
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

Report = Callable[[int, int], None]  # done, total


def failure(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
    """Return the error to raise for one of SQLite; damage is remembered for the next start."""
    code = getattr(error, "sqlite_errorcode", None)
    # What is no text under a column of text has no code of its own.
    if (code is not None and code & 0xFF in _BROKEN) or "decode" in str(error):
        suspect(path)
        return Damaged(f"{path} is damaged ({error}); end all agents and start one: it is rebuilt then")
    hint = _HINTS.get(code & 0xFF) if code is not None else None
    return StoreError(f"{path}: {error}" + (f": {hint}" if hint else ""))


def while_opening(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
    """Return the error to raise when the tables are not what they should be: that is damage too."""
    if isinstance(error, UnicodeDecodeError):
        return Damaged(f"{path} is damaged (its tables have no readable names)")
    if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF == sqlite3.SQLITE_ERROR:
        return Damaged(f"{path} is damaged ({error})")
    return failure(path, error)


def suspect(path: Path) -> None:
    """Have the file looked at as a whole when it is opened next."""
    with contextlib.suppress(OSError):
        _marker(path).touch(mode=0o600)


def path_of(db: sqlite3.Connection) -> Path:
    """Return the file of a connection."""
    return Path(db.execute("PRAGMA database_list").fetchone()[2])


def _marker(path: Path) -> Path:
    return path.with_name(path.name + ".suspect")


# -- before it is opened ---------------------------------------------------------------------


def before_open(path: Path) -> None:
    """Look at the file before anything is built on it; raises Damaged. Microseconds without a reason to doubt."""
    problem = _header_problem(path)
    if problem:
        raise Damaged(f"{path} is damaged ({problem})")
    reason, full = _reason_to_doubt(path)
    if not reason:
        return
    _log.info("%s: %s; looking at all of it", path, reason)
    problems = examine(path, full=full)
    if problems:
        raise Damaged(f"{path} is damaged ({problems[0]})")
    _marker(path).unlink(missing_ok=True)


def _header_problem(path: Path) -> str:
    """Return what is wrong with the first page, as far as it can be seen without SQLite (file format, section 1.3)."""
    try:
        with path.open("rb") as file:
            header = file.read(100)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; see to its permissions") from None
    if not header:
        return ""
    if len(header) < 100 or not header.startswith(_MAGIC):
        return "it does not begin as a store does"
    page = struct.unpack(">H", header[16:18])[0]
    page = 65536 if page == 1 else page
    if page < 512 or page & (page - 1):
        return "its first page is not readable"
    changes, pages = struct.unpack(">II", header[24:32])
    valid_for = struct.unpack(">I", header[92:96])[0]
    # While a log is there its pages may not have come into the file yet.
    if changes == valid_for and size < pages * page and not _has_log(path):
        return f"it is cut off: {size} of {pages * page} octets are there"
    return ""


def _reason_to_doubt(path: Path) -> tuple[str, bool]:
    """Return why the file should be looked at as a whole, and whether its indexes too."""
    if _marker(path).exists():
        return "damage was met in it", True
    # SQLite removes the log when the last one closes the file. One older than the machine's start means
    # that the power went; one of a program that was killed does no harm.
    if _has_log(path) and _log_of(path).stat().st_mtime < _booted():
        return "the machine went down while it was open", False
    return "", False


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _has_log(path: Path) -> bool:
    try:
        return _log_of(path).stat().st_size > 0
    except OSError:
        return False


def _booted() -> float:
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.time() - time.clock_gettime(clock)


# -- a whole look ----------------------------------------------------------------------------


def examine(path: Path, *, full: bool = True) -> list[str]:
    """Return what is wrong with a store; with `full` its indexes and the bytes of each message too."""
    try:
        with contextlib.closing(_open(path)) as db:
            check = "integrity_check" if full else "quick_check"
            found = [str(row[0]) for row in db.execute(f"PRAGMA {check}(20)")]
            problems = [] if found == ["ok"] else found
            if full and not problems:
                problems = _wrong_bytes(db)
    except UnicodeDecodeError:
        problems = ["its tables have no readable names"]
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if code & 0xFF not in (*_BROKEN, sqlite3.SQLITE_ERROR):
            raise failure(path, error) from error
        problems = [str(error)]
    return problems


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    db.execute("PRAGMA query_only = ON")
    return db


def _wrong_bytes(db: sqlite3.Connection) -> list[str]:
    rows = db.execute(
        "SELECT c.hash, r.bytes FROM raw r JOIN content c ON c.id = r.content WHERE c.state = 2"
    )
    wrong = sum(not is_whole(key, data) for key, data in rows)
    orphans = db.execute(
        "SELECT count(*) FROM message m WHERE NOT EXISTS (SELECT 1 FROM content c WHERE c.id = m.content)"
    ).fetchone()[0]
    found = [f"the bytes of {wrong} messages are not what came from the server"] if wrong else []
    return found + ([f"{orphans} messages have lost what they consist of"] if orphans else [])


def is_whole(key: object, data: object) -> bool:
    """Tell whether bytes are those that a content's hash was made of."""
    return isinstance(data, bytes) and hashlib.sha256(data).hexdigest() == key


# -- a copy of it ----------------------------------------------------------------------------


def backup(path: Path, target: Path, report: Report) -> int:
    """Copy the store as it is now into a new file, 0600, and look at the copy; return its octets.

    Others may go on working meanwhile. Raises StoreError; what is not whole is removed again.
    """
    if not path.exists():
        raise StoreError(f"{path} is not there: there is nothing to back up yet")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        os.close(os.open(target, flags, 0o600))
    except FileExistsError:
        raise StoreError(f"{target} is there already; name a new file") from None
    except OSError as error:
        raise StoreError(f"{target}: {error.strerror}; name another place") from None
    try:
        _copy(path, target, report)
        problems = examine(target)
        if problems:
            raise Damaged(
                f"the copy {target} is not whole ({problems[0]}); run `agent doctor` to look at the store"
            )
    except sqlite3.Error as error:
        _remove(target)
        raise failure(target, error) from error
    except BaseException:
        _remove(target)
        raise
    return target.stat().st_size


def _copy(path: Path, target: Path, report: Report) -> None:
    with contextlib.closing(_open(path)) as source, contextlib.closing(sqlite3.connect(target)) as copy:
        # One snapshot: otherwise each commit of another process would begin the copy anew.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM account").fetchone()
        source.backup(copy, pages=_PAGES, progress=lambda _, left, total: report(total - left, total))
        source.execute("COMMIT")
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, complete in itself
    for each in (target, target.parent):
        handle = os.open(each, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove(target: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm", ".suspect"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
