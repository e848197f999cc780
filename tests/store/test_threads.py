"""Threads kept at insert: the same as all at once, whatever the order, the batches and the history."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.mail import query
from agent.mail.conversation import Entry, partition
from agent.mail.header import Envelope
from agent.store import contents, messages, schema, search, threads
from agent.store.contents import Body, Incoming
from agent.store.db import Store, Transaction

START = 1_500_000_000
IDS = st.integers(0, 9).map(lambda n: f"{n}@x")
ENTRIES = st.lists(
    st.builds(
        Entry,
        IDS | st.just(""),
        st.lists(IDS, max_size=3).map(tuple),
        st.lists(IDS, max_size=1).map(tuple),
        st.integers(START, START + 4),
        st.sampled_from(["", "a", "b", "Re: a", "Re: b", "c", "[l] Re: c"]),
    ),
    max_size=14,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "mail.db")
    made.start()
    yield made
    made.stop()


def incoming(entry: Entry, uid: int = 1, body: Body | None = None) -> Incoming:
    envelope = Envelope(
        subject=entry.subject,
        date=entry.date,
        message_id=entry.message_id,
        in_reply_to=entry.in_reply_to,
        references=entry.references,
    )
    return Incoming(uid, 0, "", entry.date, 100, envelope, body)


def insert(tx: Transaction, entries: Sequence[Entry], first: int = 1, account: int = 1) -> list[int]:
    items = [incoming(entry, first + n) for n, entry in enumerate(entries)]
    ids = messages.insert(tx, account, account, items)
    threads.join_some(tx, len(items))
    return ids


def names(groups: Sequence[object]) -> set[frozenset[int]]:
    """Return the groups as sets of positions."""
    found: dict[object, set[int]] = {}
    for number, group in enumerate(groups):
        found.setdefault(group, set()).add(number)
    return {frozenset(members) for members in found.values()}


def thread_of(db: Transaction, message: int) -> int:
    sql, wanted = threads.named(str(message))
    return int(db.execute(sql, (wanted,)).fetchone()[0])


def stored(db: Transaction, ids: Sequence[int]) -> set[frozenset[int]]:
    return names([thread_of(db, message) for message in ids])


def clear(tx: Transaction) -> None:
    for table in ("message", "content", "mention", "family"):
        tx.execute(f"DELETE FROM {table}")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ENTRIES, st.randoms(use_true_random=False))
def test_any_order_in_any_batches_gives_the_threads_of_all_at_once(
    store: Store, rows: list[Entry], rng: random.Random
) -> None:
    order = [*range(len(rows))]
    rng.shuffle(order)

    def work(tx: Transaction) -> tuple[set[frozenset[int]], set[frozenset[int]]]:
        clear(tx)
        ids: dict[int, int] = {}
        rest = order
        while rest:
            some, rest = rest[: (size := rng.randrange(1, 5))], rest[size:]
            ids |= zip(some, insert(tx, [rows[n] for n in some], len(ids) + 1), strict=True)
        listed = [ids[n] for n in range(len(rows))]
        kept = stored(tx, listed)
        threads.rebuild(tx)
        return kept, stored(tx, listed)

    kept, rebuilt = store.write(work).result()
    assert kept == names(partition(rows))
    assert rebuilt == kept


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ENTRIES)
def test_every_member_of_a_thread_names_it(store: Store, rows: list[Entry]) -> None:
    ids = store.write(lambda tx: (clear(tx), insert(tx, rows))[1]).result()
    for members in stored(store.reader, ids):
        thread = {ids[n] for n in members}
        one = thread_of(store.reader, min(thread))
        for value in (str(min(thread)), threads.name_of(one)):
            assert set(search.ids(store.reader, query.ThreadOf(value))) == thread
        for n in members:
            for name in filter(None, (rows[n].own, *rows[n].ancestors)):
                assert set(search.ids(store.reader, query.ThreadOf(name))) == thread


def entry(name: str, *references: str, subject: str = "", date: int = 0) -> Entry:
    return Entry(f"{name}@x", tuple(f"{one}@x" for one in references), (), START + date, subject)


def test_a_thread_keeps_its_name_when_answers_and_missing_messages_come(store: Store) -> None:
    rows = [entry("c", "a", "b", subject="Re: hi", date=9), entry("d", "c", subject="Re: hi", date=10)]
    first = store.write(lambda tx: insert(tx, rows[:1])).result()[0]
    name = thread_of(store.reader, first)
    late = [rows[1], entry("b", "a", subject="Re: hi", date=5), entry("a", subject="hi")]
    ids = store.write(lambda tx: insert(tx, late, 2)).result()
    assert {thread_of(store.reader, message) for message in [first, *ids]} == {name}


def test_a_thread_without_subject_keeps_the_older_name_when_two_join(store: Store) -> None:
    one = store.write(lambda tx: insert(tx, [entry("a")])).result()[0]
    two = store.write(lambda tx: insert(tx, [entry("b")], 2)).result()[0]
    older = thread_of(store.reader, one)
    assert thread_of(store.reader, two) != older
    store.write(lambda tx: insert(tx, [entry("c", "b", "a", date=3)], 3)).result()
    assert {thread_of(store.reader, message) for message in (one, two, 3)} == {older}


def test_a_thread_spans_accounts(store: Store) -> None:
    one = store.write(lambda tx: insert(tx, [entry("a", subject="x")], account=1)).result()
    two = store.write(lambda tx: insert(tx, [entry("b", "a", subject="y")], account=2)).result()
    assert len(stored(store.reader, one + two)) == 1


def test_a_body_with_the_whole_header_may_join_what_a_listing_left_apart(store: Store) -> None:
    rows = [entry("a", subject="x"), entry("b", subject="y", date=1)]
    ids = store.write(lambda tx: insert(tx, rows)).result()
    assert len(stored(store.reader, ids)) == 2
    whole = incoming(entry("b", "a", subject="y", date=1)).envelope
    body = Body("hash", b"bytes", 0, "", "text", ())
    store.write(lambda tx: contents.add_bodies(tx, [(ids[1], whole, body)])).result()
    assert len(stored(store.reader, ids)) == 1


def test_the_listing_of_threads_is_newest_first_and_counts_each_once(store: Store) -> None:
    rows = [entry("a", subject="one"), entry("b", subject="two", date=1), entry("c", "a", date=2)]
    ids = store.write(lambda tx: insert(tx, rows)).result()
    one, two = (thread_of(store.reader, message) for message in ids[:2])
    assert search.threads(store.reader, query.All()) == [one, two]
    assert search.threads(store.reader, query.All(), 1, 1) == [two]
    assert search.count_threads(store.reader, query.All()) == 2
    assert search.threads(store.reader, query.Words("subject", "two", "word")) == []  # not indexed yet
    assert search.threads(store.reader, query.Ids((ids[1],))) == [two]


def test_a_store_of_version_1_gets_threads_for_what_it_has(tmp_path: Path) -> None:
    rows = [entry("a", subject="x"), entry("b", "a", date=1), entry("c", subject="Re: x", date=2), entry("d")]
    old = sqlite3.connect(tmp_path / "mail.db")
    old.executescript(schema.MIGRATIONS[0])
    for number, row in enumerate(rows, 1):
        content = (number, row.message_id, " ".join(row.references), row.subject)
        old.execute("INSERT INTO content (id, message_id, refs, subject) VALUES (?, ?, ?, ?)", content)
        old.execute(
            "INSERT INTO message (id, account, folder, content, date, received, size)"
            " VALUES (?1, 1, 1, ?1, ?2, ?2, 9)",
            (number, row.date),
        )
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    store = Store(tmp_path / "mail.db")
    store.start()
    assert store.read("PRAGMA user_version")[0][0] == len(schema.MIGRATIONS)
    assert stored(store.reader, [1, 2, 3, 4]) == {frozenset({0, 1, 2}), frozenset({3})}
    store.stop()


def test_a_mailbox_takes_microseconds_a_message(store: Store) -> None:
    """A hundred thousand are measured by the benchmarks; here only that it is linear and not absurd."""
    rng = random.Random(5)
    rows = [entry("0", subject="subject 0")]
    for n in range(1, 20_000):
        parent = rows[rng.randrange(max(0, n - 300), n)] if rng.random() < 0.6 else None
        above = (*parent.references[-8:], parent.message_id) if parent else ()
        subject = f"Re: {parent.subject}" if parent else f"subject {n}"
        rows.append(Entry(f"{n}@x", above, (), START + n, subject[:80]))
    rows.reverse()
    start = time.perf_counter()
    for some in range(0, len(rows), 500):
        store.write(lambda tx, at=some: threads.join(tx, rows[at : at + 500])).result()  # type: ignore[misc]
    assert (time.perf_counter() - start) / len(rows) < 300e-6
