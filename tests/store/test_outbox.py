"""The outbox: frozen messages, found again by key, never doubled."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

from agent.core import bodies
from agent.store import expiry, job_rows, outbox, salvage, schema
from agent.store.db import Store, Transaction
from agent.store.outbox import Sending
from tests.store.store_case import Case, case


def sending(c: Case, **more: object) -> Sending:
    made = Sending(
        c.account, "id@x.org", "ann@x.org", ("bob@x.org",), "Hello", b"Subject: Hello\r\n\r\n.\r\n"
    )
    return replace(made, **more)  # type: ignore[arg-type]


def add(c: Case, item: Sending, now: float = 100.0) -> int:
    return c.store.write(lambda tx: outbox.add(tx, item, None, now)).result()


def test_an_item_with_a_known_key_is_found_again(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        assert add(c, sending(c, key="rule x 0")) == add(c, sending(c, key="rule x 0"))
        assert add(c, sending(c, key="rule x 1")) != add(c, sending(c, key="rule x 0"))


def test_what_is_held_is_not_due_before_its_time(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        held = add(c, sending(c, not_before=500.0))
        assert outbox.next_due(c.store.reader, c.account, 499.0) is None
        assert outbox.next_time(c.store.reader, c.account, 100.0) == 500.0
        due = outbox.next_due(c.store.reader, c.account, 500.0)
        assert due is not None
        assert due["id"] == held


def test_what_was_between_the_data_and_the_answer_is_uncertain(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        cut, waiting = add(c, sending(c)), add(c, sending(c))
        c.store.write(lambda tx: outbox.change(tx, cut, state="data-sent")).result()
        assert c.store.write(lambda tx: outbox.interrupted(tx, c.account, 200.0)).result() == [cut]
        row = outbox.get(c.store.reader, cut)
        assert row is not None
        assert row["state"] == "uncertain"
        due = outbox.next_due(c.store.reader, c.account, 1000.0)
        assert due is not None
        assert due["id"] == waiting


def test_automatic_mail_is_counted_for_the_caps(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        add(c, sending(c, automatic=True), now=100.0)
        add(c, sending(c, automatic=True), now=200.0)
        add(c, sending(c), now=200.0)
        assert outbox.automatic_since(c.store.reader, c.account, 150.0) == 1
        assert outbox.automatic_since(c.store.reader, c.account, 0.0) == 2


def test_what_some_recipients_get_later_counts_once_for_the_caps(tmp_path: Path) -> None:
    with case(tmp_path) as c:

        def work(tx: Transaction) -> None:
            for _ in range(2):
                job = job_rows.add_job(tx, "send", "sent", 100.0)
                row = outbox.get(tx, outbox.add(tx, sending(c, automatic=True), job, 100.0))
                assert row is not None
                outbox.defer(tx, row, ["eve@x.org"], 500.0, "450 later")

        c.store.write(work).result()
        assert outbox.automatic_since(c.store.reader, c.account, 0.0) == 2


def of_version_3(path: Path) -> None:
    """Write a store as it was when the outbox held the bytes itself, with two mails in it."""
    old = sqlite3.connect(path)
    for script in schema.MIGRATIONS[:3]:
        old.executescript(script)
    old.execute("INSERT INTO account (id, name) VALUES (1, 'work')")
    rows = [("queued", b"data", b"copy"), ("sent", b"", None)]
    for number, (state, data, copy) in enumerate(rows, 1):
        old.execute(
            "INSERT INTO outbox (id, account, state, message_id, sender, recipients, subject, data, copy,"
            " not_before, created, error) VALUES (?, 1, ?, 'x', 'a@b', '[]', 'Hello', ?, ?, 5.0, 4.0, 'why')",
            (number, state, data, copy),
        )
    old.execute("PRAGMA user_version = 3")
    old.commit()
    old.close()


def test_an_outbox_of_version_3_keeps_its_bytes(tmp_path: Path) -> None:
    of_version_3(tmp_path / "mail.db")
    store = Store(tmp_path / "mail.db")
    store.start()
    try:
        assert outbox.bytes_of(store.reader, 1) == (b"data", b"copy")
        assert outbox.bytes_of(store.reader, 2) is None
        row = outbox.get(store.reader, 1)
        assert row is not None
        assert (row["state"], row["subject"], row["created"], row["error"]) == ("queued", "Hello", 4.0, "why")
        assert {"data", "copy"}.isdisjoint(row.keys())
    finally:
        store.stop()


def test_a_damaged_outbox_of_version_3_keeps_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "mail.db"
    of_version_3(path)
    salvage.rebuild(path, tmp_path / "lock", bodies.of_bytes, "now")
    store = Store(path)
    store.start()
    try:
        assert outbox.bytes_of(store.reader, 1) == (b"data", b"copy")
    finally:
        store.stop()


def test_the_rest_of_the_recipients_get_the_same_bytes_and_no_copy(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        item = outbox.get(c.store.reader, add(c, sending(c, copy=b"mine")))
        assert item is not None
        c.store.write(lambda tx: outbox.defer(tx, item, ["eve@x.org"], 500.0, "450 later")).result()
        later = outbox.next_due(c.store.reader, c.account, 600.0)
        assert later is not None
        found = [outbox.bytes_of(c.store.reader, number) for number in outbox.unfinished(c.store.reader)]
        assert found == [(sending(c).data, b"mine"), (sending(c).data, None)]


def test_the_bytes_of_what_was_sent_long_ago_are_dropped(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        old, waiting = add(c, sending(c)), add(c, sending(c))
        c.store.write(lambda tx: outbox.change(tx, old, state="sent", sent=100.0)).result()
        assert c.store.write(lambda tx: expiry.prune(tx, 100.0 + 31 * 86_400)).result()
        assert outbox.bytes_of(c.store.reader, old) is None
        assert outbox.bytes_of(c.store.reader, waiting) is not None
