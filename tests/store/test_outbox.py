"""The outbox: frozen messages, found again by key, never doubled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agent.store import outbox
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
