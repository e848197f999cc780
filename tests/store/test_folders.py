"""Accounts and folders as the store knows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.store import folders
from tests.store.store_case import Case, case, listed

Listed = tuple[str, str | None, str, bool]


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Case]:
    with case(tmp_path) as made:
        yield made


def list_(one: Case, *names: str) -> None:
    rows: list[Listed] = [(name, "/", "inbox" if name == "INBOX" else "", True) for name in names]
    one.store.write(lambda tx: folders.list_folders(tx, one.account, rows)).result()


def names(one: Case) -> list[str]:
    return [row.name for row in folders.of_account(one.store.reader, one.account)]


def test_the_inbox_comes_first_then_the_names_in_any_case(one: Case) -> None:
    list_(one, "b", "INBOX", "C", "a")
    assert names(one) == ["INBOX", "a", "b", "C"]


def test_the_inbox_is_found_in_any_case_and_others_as_they_are(one: Case) -> None:
    list_(one, "INBOX", "Work")
    inbox, work = (folders.find(one.store.reader, one.account, name) for name in ("inBox", "Work"))
    assert inbox is not None
    assert inbox.name == "INBOX"
    assert work is not None
    assert folders.find(one.store.reader, one.account, "work") is None


def test_a_folder_that_is_listed_no_more_keeps_its_row_and_comes_back_under_it(one: Case) -> None:
    list_(one, "INBOX", "Work")
    before = folders.find(one.store.reader, one.account, "Work")
    list_(one, "INBOX")
    assert names(one) == ["INBOX"]
    list_(one, "INBOX", "Work")
    assert folders.find(one.store.reader, one.account, "Work") == before


def test_only_folders_with_something_known_count_as_vanished(one: Case) -> None:
    list_(one, "INBOX", "Known", "Unknown")
    known = folders.find(one.store.reader, one.account, "Known")
    assert known is not None
    one.store.write(lambda tx: folders.progress(tx, known.id, uidvalidity=7, uidnext=5)).result()
    list_(one, "INBOX")
    assert [row.name for row in folders.vanished(one.store.reader, one.account)] == ["Known"]
    one.store.write(lambda tx: folders.forget(tx, known.id)).result()
    assert folders.vanished(one.store.reader, one.account) == []


def test_a_folder_that_cannot_be_selected_any_more_counts_as_vanished(one: Case) -> None:
    list_(one, "INBOX", "Parent")
    parent = folders.find(one.store.reader, one.account, "Parent")
    assert parent is not None
    one.store.write(lambda tx: folders.progress(tx, parent.id, uidvalidity=7)).result()
    rows: list[Listed] = [("INBOX", "/", "inbox", True), ("Parent", "/", "", False)]
    one.store.write(lambda tx: folders.list_folders(tx, one.account, rows)).result()
    assert [row.name for row in folders.vanished(one.store.reader, one.account)] == ["Parent"]


def test_a_renamed_folder_takes_those_below_it_along_and_nothing_else(one: Case) -> None:
    list_(one, "INBOX", "Work", "Work/2026", "Work/2026/May", "Workshop")
    work = folders.find(one.store.reader, one.account, "Work")
    assert work is not None
    one.store.write(lambda tx: folders.rename(tx, work.id, "Jobs")).result()
    assert names(one) == ["INBOX", "Jobs", "Jobs/2026", "Jobs/2026/May", "Workshop"]


def test_a_folder_can_be_renamed_to_a_name_that_was_in_use_once(one: Case) -> None:
    list_(one, "INBOX", "Old", "New")
    list_(one, "INBOX", "Old")
    old = folders.find(one.store.reader, one.account, "Old")
    assert old is not None
    one.store.write(lambda tx: folders.rename(tx, old.id, "New")).result()
    assert names(one) == ["INBOX", "New"]
    list_(one, "INBOX", "New")
    found = folders.find(one.store.reader, one.account, "New")
    assert found is not None
    assert found.id == old.id


def test_a_rename_to_a_name_that_is_listed_already_changes_nothing(one: Case) -> None:
    list_(one, "INBOX", "Old", "New")
    old = folders.find(one.store.reader, one.account, "Old")
    assert old is not None
    one.store.write(lambda tx: folders.rename(tx, old.id, "New")).result()
    assert names(one) == ["INBOX", "New", "Old"]


def test_the_listing_goes_down_step_by_step_only(one: Case) -> None:
    one.store.write(lambda tx: folders.progress(tx, one.inbox, backfill=100)).result()
    steps = [(100, 80), (60, 40), (80, 60), (80, 60)]
    done = [
        one.store.write(lambda tx, a=a, b=b: folders.step_down(tx, one.inbox, a, b)).result()
        for a, b in steps
    ]
    assert done == [True, False, True, False]


def test_accounts_keep_their_number_and_tell_how_their_wire_is(one: Case) -> None:
    again = one.store.write(lambda tx: folders.ensure_account(tx, "work")).result()
    other = one.store.write(lambda tx: folders.ensure_account(tx, "home")).result()
    assert again == one.account != other
    assert folders.accounts(one.store.reader) == {"work": again, "home": other}
    assert folders.status(one.store.reader, other) == ""
    for status in ("online", "offline: no route"):
        one.store.write(lambda tx, status=status: folders.set_status(tx, other, status)).result()
    assert folders.status(one.store.reader, other) == "offline: no route"


def test_messages_stay_where_they_are_when_their_folder_is_renamed(one: Case) -> None:
    list_(one, "INBOX", "Old")
    old = folders.find(one.store.reader, one.account, "Old")
    assert old is not None
    [message] = one.place(listed(1, 1), folder=old.id)
    one.store.write(lambda tx: folders.rename(tx, old.id, "New")).result()
    assert one.store.read("SELECT folder FROM message WHERE id = ?", (message,))[0][0] == old.id
