"""The server's state: messages keep their ids wherever they turn up, and only what is new is news."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from agent.mail import flags
from agent.store import changes, job_rows, journal, state
from agent.store.contents import Incoming
from agent.store.db import Transaction
from tests.store.store_case import Case, case, listed, whole

NOW = 2000.0


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Case]:
    with case(tmp_path) as made:
        yield made


def vanish(one: Case, *uids: int, folder: int | None = None) -> None:
    one.store.write(lambda tx: state.vanish(tx, folder or one.inbox, uids, NOW)).result()


def where(one: Case, message: int) -> tuple[int | None, int | None]:
    """Return folder and UID as the server has them."""
    [row] = one.store.read("SELECT s_folder, s_uid FROM message WHERE id = ?", (message,))
    return row[0], row[1]


def nameless(item: Incoming) -> Incoming:
    """Return the message without its Message-ID."""
    return structs.replace(item, envelope=structs.replace(item.envelope, message_id=""))


# -- ids -------------------------------------------------------------------------------------


def test_a_message_that_left_one_folder_and_turns_up_in_another_keeps_its_id(one: Case) -> None:
    [message] = one.place(listed(1, 1))
    vanish(one, 1)
    assert where(one, message) == (None, None)
    assert one.place(listed(7, 1), folder=one.archive) == [message]
    assert where(one, message) == (one.archive, 7)
    assert one.store.read("SELECT gone FROM message")[0][0] is None


def test_a_message_that_is_there_already_is_not_placed_again(one: Case) -> None:
    [message] = one.place(listed(1, 1))
    assert len(one.place(listed(1, 1), listed(2, 2))) == 1
    assert where(one, message) == (one.inbox, 1)


def test_a_copy_that_never_came_to_be_does_not_stand_in_for_its_original(one: Case) -> None:
    [message] = one.place(listed(1, 1))

    def work(tx: Transaction) -> None:
        job = job_rows.add_job(tx, "verb", "copied", NOW)
        changes.copy(tx, job, [message], one.archive, one.account)
        job_rows.cancel(tx, job, NOW + 1)

    vanish(one, 1)
    one.store.write(work).result()
    assert one.place(listed(7, 1), folder=one.archive) == [message]


@pytest.mark.parametrize("other", ["size", "received", "name"])
def test_a_message_that_differs_is_another_one(one: Case, other: str) -> None:
    [message] = one.place(listed(1, 1))
    vanish(one, 1)
    item = listed(7, 1)
    changed = {
        "size": structs.replace(item, size=item.size + 1),
        "received": structs.replace(item, received=item.received + 1),
        "name": structs.replace(item, envelope=structs.replace(item.envelope, message_id="else@example.com")),
    }[other]
    assert one.place(changed, folder=one.archive) != [message]


def test_a_message_without_a_name_that_left_does_not_come_back(one: Case) -> None:
    [message] = one.place(nameless(listed(1, 1)))
    vanish(one, 1)
    assert one.place(nameless(listed(7, 1)), folder=one.archive) != [message]


def test_another_messages_bytes_under_a_borrowed_name_do_not_take_over(one: Case) -> None:
    [message] = one.place(whole(1, 1, "aaaaaa"))
    vanish(one, 1)
    assert one.place(whole(7, 1, "bbbbbb"), folder=one.archive) != [message]


def test_under_a_new_uidvalidity_each_is_found_again_by_what_it_is(one: Case) -> None:
    ids = one.place(listed(1, 1), nameless(listed(2, 2)), listed(3, 3))
    one.store.write(lambda tx: state.unbind(tx, one.inbox)).result()
    assert one.place(listed(11, 3), nameless(listed(12, 2))) == [ids[2], ids[1]]
    lost = one.store.write(lambda tx: state.lose_unbound(tx, one.inbox, NOW)).result()
    assert lost == [ids[0]]
    assert [where(one, message) for message in ids] == [(None, None), (one.inbox, 12), (one.inbox, 11)]


def test_two_of_the_same_are_told_apart_by_what_they_have_most_in_common(one: Case) -> None:
    item = listed(1, 1)
    later = structs.replace(listed(2, 1), received=item.received + 60)
    first, second = one.place(item, later)
    one.store.write(lambda tx: state.unbind(tx, one.inbox)).result()
    assert one.place(structs.replace(later, uid=11), structs.replace(item, uid=12)) == [second, first]


def test_twenty_thousand_are_found_again_in_a_moment(one: Case) -> None:
    items = [listed(number, number) for number in range(1, 20_001)]
    for start in range(0, len(items), 1000):
        one.place(*items[start : start + 1000])
    one.store.write(lambda tx: state.unbind(tx, one.inbox)).result()
    begun = time.process_time()
    one.place(*(structs.replace(item, uid=(item.uid or 0) + 50_000) for item in items[:2000]))
    assert time.process_time() - begun < 2  # each by an index: without, this took minutes


def test_what_was_to_turn_up_and_did_not_is_gone(one: Case) -> None:
    stays, lost = one.place(listed(1, 1), listed(2, 2))

    def move(tx: Transaction) -> None:
        job = job_rows.add_job(tx, "verb", "moved", NOW)
        changes.move(tx, job, [stays, lost], one.archive)
        ops = journal.runnable(tx, one.account)
        journal.take(tx, [op["id"] for op in ops])
        journal.placed(tx, ops, {}, NOW)

    one.store.write(move).result()
    awaited = state.unbound(one.store.reader, one.archive)
    assert awaited == [stays, lost]
    one.place(listed(9, 1), folder=one.archive)
    gone = one.store.write(lambda tx: state.lose_missing(tx, one.archive, awaited, NOW)).result()
    assert gone == [lost]
    assert where(one, stays) == (one.archive, 9)


def test_a_vanished_folder_gives_up_its_messages_piece_by_piece(one: Case) -> None:
    ids = one.place(*(listed(number, number) for number in range(1, 6)))
    more = [one.store.write(lambda tx: state.vanish_folder(tx, one.inbox, NOW, 2)).result() for _ in range(3)]
    assert more == [True, True, False]
    assert one.store.read("SELECT count(*) FROM message WHERE folder IS NOT NULL")[0][0] == 0
    assert one.place(listed(1, 3), folder=one.archive) == [ids[2]]


def test_twins_tell_where_else_a_message_lies(one: Case) -> None:
    one.place(listed(4, 1), folder=one.archive)
    assert state.twins(one.store.reader, one.account, one.inbox, [listed(1, 1), listed(2, 2)]) == {
        one.archive: [4]
    }
    assert state.twins(one.store.reader, one.account, one.archive, [listed(5, 1)]) == {}


# -- what is removed wins, except for our own moves ------------------------------------------


def test_what_was_to_be_done_to_a_removed_message_is_told_as_failed(one: Case) -> None:
    [message] = one.place(listed(1, 1))

    def work(tx: Transaction) -> tuple[int, int]:
        flag = job_rows.add_job(tx, "verb", "flagged", NOW)
        changes.change_flags(tx, flag, [message], flags.FLAGGED, 0)
        delete = job_rows.add_job(tx, "verb", "deleted", NOW)
        changes.delete(tx, delete, [message])
        return flag, delete

    jobs = one.store.write(work).result()
    vanish(one, 1)
    one.store.write(lambda tx: job_rows.finish_all(tx, NOW)).result()
    rows = [job_rows.get_job(one.store.reader, job) for job in jobs]
    assert [row["state"] for row in rows if row] == ["failed", "done"]
    assert rows[0] is not None
    assert rows[0]["error"] == "the message was removed on the server"


def test_a_move_of_ours_on_its_way_is_no_removal(one: Case) -> None:
    [message] = one.place(listed(1, 1))

    def move(tx: Transaction) -> None:
        job = job_rows.add_job(tx, "verb", "moved", NOW)
        changes.move(tx, job, [message], one.archive)
        journal.take(tx, [op["id"] for op in journal.runnable(tx, one.account)])

    one.store.write(move).result()
    vanish(one, 1)
    assert where(one, message) == (one.archive, None)
    assert one.place(listed(3, 1), folder=one.archive) == [message]
    assert one.store.read("SELECT state FROM op")[0][0] == "done"


# -- news ------------------------------------------------------------------------------------


def test_only_what_was_never_here_is_news_and_once(one: Case) -> None:
    [message] = one.place(whole(1, 1), events=True)
    assert state.due(one.store.reader) == [message]
    one.store.write(lambda tx: state.handled(tx, message)).result()
    assert state.due(one.store.reader) == []
    vanish(one, 1)
    one.place(whole(2, 1), events=True)  # the very same again
    one.place(whole(3, 1), folder=one.archive, events=True)  # and a copy of it
    assert state.due(one.store.reader) == []
    one.place(whole(4, 2))  # listed before the base line
    assert state.due(one.store.reader) == []


def test_what_we_appended_ourselves_is_no_news(one: Case) -> None:
    def append(tx: Transaction) -> int:
        job = job_rows.add_job(tx, "verb", "saved", NOW)
        message = changes.append(tx, job, one.account, one.archive, whole(None, 1))
        journal.take(tx, [op["id"] for op in journal.runnable(tx, one.account)])
        return message

    message = one.store.write(append).result()
    longer = whole(5, 1)
    grown = structs.replace(longer, size=longer.size + 30)  # a server may add a line
    assert one.place(grown, folder=one.archive, events=True) == [message]
    assert state.due(one.store.reader) == []


def test_flags_of_the_server_are_taken_over_and_changes_told(one: Case) -> None:
    first, second = one.place(listed(1, 1), listed(2, 2))
    states = [(1, flags.SEEN, ""), (2, 0, ""), (99, flags.SEEN, "")]
    assert one.store.write(lambda tx: state.set_flags(tx, one.inbox, states)).result() == [first]
    assert second
    assert state.seen(one.store.reader, one.inbox, 1, 2) == [(1, flags.SEEN, ""), (2, 0, "")]
    assert state.uids(one.store.reader, one.inbox, low=2) == {2}
    assert state.uids(one.store.reader, one.inbox, below=2) == {1}
    assert state.count(one.store.reader, one.inbox) == 2


def test_a_folder_is_seen_in_pieces_that_leave_nothing_out(one: Case) -> None:
    one.place(*[listed(uid, uid) for uid in (2, 3, 5, 8, 9, 20)])
    db = one.store.reader
    found = list(state.pieces(db, one.inbox, 1, 30, 2))
    assert found == [(1, 4), (5, 8), (9, 30)]
    assert [uid for low, high in found for uid, _, _ in state.seen(db, one.inbox, low, high)] == [
        2,
        3,
        5,
        8,
        9,
        20,
    ]
    assert list(state.pieces(db, one.inbox, 1, 4, 50)) == [(1, 4)]
