"""Message rows: put in in order, found again, told apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from agent.store import messages, state
from tests.store.store_case import Case, case, listed, raw, whole


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Case]:
    with case(tmp_path) as made:
        yield made


def test_a_row_has_envelope_and_place(one: Case) -> None:
    [message] = one.place(whole(7, 1))
    row = messages.get(one.store.reader, message)
    assert row is not None
    assert (row["subject"], row["from_"], row["uid"], row["folder"]) == (
        "number 1", "Bob <bob@example.com>", 7, one.inbox,
    )  # fmt: skip
    assert messages.raw(one.store.reader, row["content"]) == raw(1)
    assert messages.get(one.store.reader, message + 1) is None


def test_a_listed_message_has_no_bytes_yet(one: Case) -> None:
    [message] = one.place(listed(7, 1))
    row = messages.get(one.store.reader, message)
    assert row is not None
    assert messages.raw(one.store.reader, row["content"]) is None


def test_rows_come_in_the_order_asked_for_and_unknown_ids_are_left_out(one: Case) -> None:
    ids = one.place(*(listed(number, number) for number in range(1, 1201)))
    wanted = [ids[900], 999_999, ids[3], *reversed(ids)]
    found = [row["id"] for row in messages.get_many(one.store.reader, wanted)]
    assert found == [ids[900], ids[3], *reversed(ids)]


def test_the_uid_is_told_only_for_the_folder_it_is_shown_in(one: Case) -> None:
    [message] = one.place(listed(7, 1))
    sql = "UPDATE message SET folder = ? WHERE id = ?"
    one.store.write(lambda tx: tx.execute(sql, (one.archive, message))).result()
    row = messages.get(one.store.reader, message)
    assert row is not None
    assert row["uid"] is None


def test_a_date_from_the_future_does_not_stick_to_the_top(one: Case) -> None:
    item = listed(1, 1)
    ahead = structs.replace(
        item, envelope=structs.replace(item.envelope, date=item.received + 10 * 365 * 86_400)
    )
    [message] = one.place(ahead)
    row = messages.get(one.store.reader, message)
    assert row is not None
    assert row["date"] == item.received + 86_400


def test_the_same_bytes_are_kept_once(one: Case) -> None:
    first, second = one.place(whole(1, 1), whole(2, 1))
    rows = messages.get_many(one.store.reader, [first, second])
    assert rows[0]["content"] == rows[1]["content"]
    assert one.store.read("SELECT count(*) FROM raw")[0][0] == 1


def test_copies_are_the_same_content_elsewhere_and_shown(one: Case) -> None:
    [here] = one.place(whole(1, 1))
    [there, other] = one.place(whole(2, 1), whole(3, 2), folder=one.archive)
    assert messages.copies(one.store.reader, here) == [there]
    assert messages.copies(one.store.reader, other) == []
    one.store.write(lambda tx: state.vanish(tx, one.archive, [2], 1.0)).result()
    assert messages.copies(one.store.reader, here) == []


def test_ids_are_never_used_twice(one: Case) -> None:
    [first] = one.place(listed(1, 1))
    one.store.write(lambda tx: tx.execute("DELETE FROM message")).result()
    assert one.place(listed(2, 2))[0] > first
