"""The store: one writer, readers for all, and nothing that waits for ever."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from agent.errors import StoreError
from agent.store.db import Store, Transaction
from tests.harness.conditions import eventually


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "mail.db")
    made.start()
    yield made
    made.stop()


def put(tx: Transaction, name: str, value: str = "") -> None:
    tx.execute("INSERT INTO setting VALUES (?, ?)", (name, value))


def names(store: Store) -> list[str]:
    return [row[0] for row in store.read(_NAMES)]


_NAMES = "SELECT name FROM setting WHERE name NOT LIKE '-%' ORDER BY name"


def test_what_is_written_is_read_on_any_thread_at_once(store: Store) -> None:
    store.write(lambda tx: put(tx, "a")).result()
    found: list[list[str]] = []
    thread = threading.Thread(target=lambda: found.append(names(store)))
    thread.start()
    thread.join()
    assert found == [["a"]] == [names(store)]


def test_a_transaction_that_fails_leaves_nothing_and_harms_no_other(store: Store) -> None:
    def work(tx: Transaction) -> None:
        put(tx, "half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.write(work).result()
    with pytest.raises(StoreError, match="UNIQUE"):
        store.write(lambda tx: (put(tx, "a"), put(tx, "a"))).result()
    store.write(lambda tx: put(tx, "b")).result()
    assert names(store) == ["b"]


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError, match="readonly"):
        store.read("DELETE FROM setting")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        store.reader.execute("DELETE FROM setting")


def test_interactive_writes_go_before_bulk_ones(store: Store) -> None:
    gate, order = threading.Event(), list[str]()
    first = store.write(lambda tx: gate.wait(10))
    bulk = [store.write(lambda tx, n=n: order.append(f"bulk{n}"), bulk=True) for n in range(3)]
    urgent = store.write(lambda tx: order.append("urgent"))
    gate.set()
    for future in (first, urgent, *bulk):
        future.result(10)
    assert order == ["urgent", "bulk0", "bulk1", "bulk2"]


def test_what_is_queued_at_the_end_is_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "mail.db")
    store.start()
    gate = threading.Event()
    store.write(lambda tx: gate.wait(10))
    left = [store.write(lambda tx, n=n: put(tx, str(n)), bulk=True) for n in range(5)]
    gate.set()
    store.stop()
    assert all(future.done() and future.exception() is None for future in left)
    with sqlite3.connect(tmp_path / "mail.db") as db:
        assert db.execute("SELECT count(*) FROM setting WHERE name IN ('0','1','2','3','4')").fetchone() == (
            5,
        )
    db.close()


def test_each_write_is_answered_whenever_the_store_is_stopped(tmp_path: Path) -> None:
    for number in range(20):
        store = Store(tmp_path / f"{number}.db")
        store.start()
        futures: list[Future[None]] = []

        def write(store: Store = store, futures: list[Future[None]] = futures) -> None:
            for n in range(300):
                futures.append(store.write(lambda tx, n=n: put(tx, str(n))))

        writer = threading.Thread(target=write)
        writer.start()
        eventually(lambda: len(futures) > 5, interval_s=0.0005)  # noqa: B023
        store.stop()
        writer.join()
        for future in futures:
            assert isinstance(future.exception(timeout=5), StoreError | None)
        with pytest.raises(StoreError, match="closed"):
            store.write(lambda tx: None).result()


def test_listeners_hear_of_commits_that_changed_something(store: Store) -> None:
    heard: list[int] = []
    forget = store.subscribe(lambda: heard.append(store.revision))
    store.write(lambda tx: tx.execute("SELECT 1").fetchall()).result()
    store.write(lambda tx: put(tx, "a")).result()
    eventually(lambda: len(heard) == 1)
    forget()
    store.write(lambda tx: put(tx, "b")).result()
    assert len(heard) == 1


@pytest.mark.logs("a listener of the store failed")
def test_a_listener_that_fails_stops_nothing(store: Store) -> None:
    heard: list[int] = []

    def fail() -> None:
        raise RuntimeError("a bug")

    store.subscribe(fail)
    store.subscribe(lambda: heard.append(1))
    store.write(lambda tx: put(tx, "a")).result()
    store.write(lambda tx: put(tx, "b")).result()
    eventually(lambda: len(heard) == 2)


def test_who_waits_is_woken_by_the_commit_and_by_the_end_of_the_time(store: Store) -> None:
    assert not store.wait_until(lambda: False, 0.05)
    done: list[bool] = []
    waiter = threading.Thread(target=lambda: done.append(store.wait_until(lambda: names(store) == ["a"], 10)))
    waiter.start()
    store.write(lambda tx: put(tx, "a")).result()
    waiter.join(10)
    assert done == [True]


def test_two_processes_write_to_one_file(store: Store) -> None:
    code = (
        "import sys; from agent.store.db import Store\n"
        "store = Store(sys.argv[1]); store.start()\n"
        "for n in range(100):\n"
        "    store.write(lambda tx: tx.execute('INSERT INTO setting VALUES (?, ?)', (f'x{n}', ''))).result()\n"
        "store.stop()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(store.path)])
    for n in range(100):
        store.write(lambda tx, n=n: put(tx, f"y{n}")).result()
    assert child.wait(30) == 0
    assert len([name for name in names(store) if name[0] in "xy"]) == 200


def test_a_store_can_be_stopped_twice_and_never_started(tmp_path: Path) -> None:
    store = Store(tmp_path / "mail.db")
    store.stop()
    store.start()
    store.stop()
    store.stop()
    with pytest.raises(StoreError, match="closed"):
        store.read("SELECT 1")
