from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.bodies import of_bytes
from agent.mail.query import Words
from agent.store import folders, messages, search
from agent.store.db import Store, Transaction
from agent.store.numbers import Numbers

HOUR_S = 3600


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "mail.db")
    opened.start()
    opened.write(
        lambda tx: folders.list_folders(tx, folders.ensure_account(tx, "a"), [("INBOX", "/", "inbox", True)])
    ).result()
    yield opened
    opened.stop()


def put(store: Store, word: str, at: int) -> int:
    """Add a message with a word in its body; return its content."""
    raw = f"Subject: s\r\nMessage-ID: <{word}@example.org>\r\n\r\n{word}\r\n".encode()
    item = of_bytes(raw, uid=None, flags=0, tags="", received=at, size=len(raw))
    number = store.write(lambda tx: messages.insert(tx, 1, 1, [item])).result()[0]
    return int(store.read("SELECT content FROM message WHERE id = ?", (number,))[0][0])


def test_younger_mail_has_higher_numbers_in_whatever_order_it_comes(store: Store) -> None:
    hours = [5, 1, 9, 3, 0, 7]
    numbers = {hour: put(store, f"word{hour}", 1_700_000_000 + hour * HOUR_S) for hour in hours}
    assert sorted(numbers, key=lambda hour: numbers[hour]) == sorted(hours)


def test_a_number_is_not_used_again_while_the_text_index_knows_it(store: Store) -> None:
    def lose(tx: Transaction) -> None:
        tx.execute("DELETE FROM message")
        tx.execute("DELETE FROM raw")
        tx.execute("DELETE FROM content")

    first = put(store, "elephant", 1_700_000_000)
    store.write(lose).result()
    second = put(store, "giraffe", 1_700_000_000)
    assert second != first
    assert search.ids(store.reader, Words("any", "elephant")) == []
    assert len(search.ids(store.reader, Words("any", "giraffe"))) == 1


@given(
    dates=st.lists(st.integers(-HOUR_S, 3 * HOUR_S) | st.just(1 << 62), max_size=40), full=st.integers(0, 700)
)
def test_no_number_is_given_twice(dates: list[int], full: int) -> None:

    tx = sqlite3.connect(":memory:")
    tx.execute("CREATE TABLE content (id INTEGER PRIMARY KEY)")
    tx.execute("CREATE TABLE text_docsize (id INTEGER PRIMARY KEY)")
    taken: set[int] = set()
    for batch in ([HOUR_S] * full, dates, dates[::-1]):
        numbers = Numbers(tx)
        fresh = [numbers.take(date) for date in batch]
        tx.executemany("INSERT INTO content VALUES (?)", [(number,) for number in fresh])
        assert len(set(fresh)) == len(fresh)
        assert not taken & set(fresh)
        assert all(0 <= number < 1 << 63 for number in fresh)
        taken |= set(fresh)
    tx.close()
