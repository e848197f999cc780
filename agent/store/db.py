"""The store: the process's one write connection, owned by the `store` thread, and readers for all.

Writes are functions put on a queue, interactive ones before bulk ones; each runs in a transaction
of its own. Other threads read on connections of their own and see every commit at once.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from agent.errors import StoreError
from agent.store import care, functions, schema
from agent.threads import spawn

T = TypeVar("T")
_log = logging.getLogger("agent.store")
Transaction = sqlite3.Connection
Row = sqlite3.Row
# Without these nothing can be done; they are looked for when the file is opened.
_NEEDED = ("account", "folder", "party", "content", "raw", "message", "job", "op", "outbox", "outgoing", "claim",
           "reply", "arrived", "setting")  # fmt: skip
_BUSY_S = 30.0
_STOP = 9  # sorts behind all work, so that what was asked for is still written


class Store:
    """One SQLite file in WAL mode, shared with other processes."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.revision = 0
        self._queue: queue.PriorityQueue[tuple[int, int, Callable[[], None] | None]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._subscribers: tuple[Callable[[], None], ...] = ()
        self._changed = threading.Condition()
        self._door = threading.Lock()
        self.announce: Callable[[], None] = lambda: None  # called after commits of this process only
        self._open = False

    def start(self) -> None:
        """Open the file, bring its tables up to date and start the writer; raises StoreError, Damaged."""
        care.before_open(self.path)
        self._make_private()
        with contextlib.ExitStack() as opened:
            try:
                self._writer = self._connect()
                opened.callback(self._writer.close)
                self._writer.execute("PRAGMA cache_size = -32000")
                schema.migrate(self._writer)
                self._readable()
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise care.while_opening(self.path, error) from error
            opened.pop_all()
        self._open = True
        self._thread = spawn("store", self._run)

    def stop(self) -> None:
        """Write what is queued, then close every connection."""
        if not self._open:
            return
        with self._door:
            self._open = False
            self._queue.put((_STOP, next(self._order), None))
        self._thread.join()
        for reader in self._readers:
            reader.close()
        self._writer.close()

    def write(
        self, work: Callable[[Transaction], T], *, bulk: bool = False, durable: bool = False
    ) -> Future[T]:
        """Queue a transaction and return its future at once.

        `durable` waits for the disk (synchronous=FULL): for intents that must survive a power cut.
        A bulk transaction should take at most 20 ms.
        """
        future: Future[T] = Future()
        job = lambda: self._commit(work, durable, future)  # noqa: E731
        with self._door:  # what is queued after the end would never be answered
            if self._open:
                self._queue.put((1 if bulk else 0, next(self._order), job))
                return future
        future.set_exception(StoreError(f"{self.path} is closed"))
        return future

    def read(self, sql: str, parameters: Any = ()) -> list[Any]:
        """Run one SELECT on this thread's own connection and return all rows; raises StoreError."""
        return self.look(lambda db: db.execute(sql, parameters).fetchall())

    def look(self, look: Callable[..., T], *args: object) -> T:
        """Call a reading function with this thread's own connection; raises StoreError."""
        try:
            return look(self.reader, *args)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise care.failure(self.path, error) from error

    @property
    def reader(self) -> sqlite3.Connection:
        """This thread's read connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            if not self._open:
                raise StoreError(f"{self.path} is closed")
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
            self._local.connection = connection
            self._readers.append(connection)
        return connection

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` after each commit here or elsewhere, on whatever thread knows it first.

        The callback must not block. Returns a function that ends the subscription.
        """
        self._subscribers = (*self._subscribers, callback)

        def unsubscribe() -> None:
            self._subscribers = tuple(known for known in self._subscribers if known is not callback)

        return unsubscribe

    def changed(self) -> None:
        """Tell everybody in this process that the store has changed."""
        with self._changed:
            self.revision += 1
            self._changed.notify_all()
        for callback in self._subscribers:
            _call(callback)

    def wait_until(self, condition: Callable[[], bool], timeout: float | None = None) -> bool:
        """Block until the condition holds after some commit; return whether it does.

        Commits of other processes are seen at the latest after half a second.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            revision = self.revision
            if condition():
                return True
            left = 0.5 if end is None else min(0.5, end - time.monotonic())
            if left <= 0:
                return False
            with self._changed:
                self._changed.wait_for(lambda seen=revision: self.revision != seen, left)  # type: ignore[misc]

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        connection.row_factory = sqlite3.Row
        for pragma in (
            "journal_mode = WAL",
            "synchronous = NORMAL",
            "foreign_keys = OFF",
            "temp_store = MEMORY",
            "cache_size = -8000",
            "wal_autocheckpoint = 16000",  # pages, 64 MB: in bulk work many are written again and again
            "journal_size_limit = 16777216",
        ):
            connection.execute(f"PRAGMA {pragma}")
        functions.register(connection)
        return connection

    def _make_private(self) -> None:
        """Make the file readable by nobody else; its -wal and -shm take over the mode."""
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}; the store must be writable") from error

    def _readable(self) -> None:
        """Refuse a damaged file before anything is built on it."""
        for table in _NEEDED:
            self._writer.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()

    def _run(self) -> None:
        while True:
            _, _, job = self._queue.get()
            if job is None:
                return
            job()

    def _commit(self, work: Callable[[Transaction], T], durable: bool, future: Future[T]) -> None:
        tx = self._writer
        try:
            tx.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            tx.execute("BEGIN IMMEDIATE")
            before = tx.total_changes
            try:
                result = work(tx)
                tx.execute("COMMIT")
            except BaseException:
                if tx.in_transaction:
                    tx.execute("ROLLBACK")
                raise
            changed = tx.total_changes != before
        except sqlite3.Error as error:
            future.set_exception(care.failure(self.path, error))
        except BaseException as error:  # handed to whoever asked; the store thread goes on
            future.set_exception(error)
        else:
            if changed:  # before the future: who waited for it must not trust what it read before
                with self._changed:
                    self.revision += 1
            future.set_result(result)
            if changed:
                _call(self.announce)
                self.changed()


def _call(callback: Callable[[], None]) -> None:
    """Tell a listener of a commit; one that fails must not end the thread that commits for all."""
    try:
        callback()
    except Exception:
        _log.exception("a listener of the store failed")
