"""What a job changed is taken back, whatever the wire has made of it meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.errors import CommandError
from agent.mail import flags
from agent.store import changes, contents, folders, job_rows, journal, outbox, undo
from agent.store.db import Row, Transaction
from agent.store.outbox import Sending
from tests.store.store_case import Case, case, listed, whole

NOW = 2000.0
Shown = dict[int, tuple[int | None, int, str]]


class Desk(Case):
    """A store with two accounts, verbs as one transaction each, and a wire that obeys."""

    _uid = 1000

    def do(self, label: str, work: Callable[[Transaction, int], object], *, origin: str = "user") -> int:
        def transaction(tx: Transaction) -> int:
            job = job_rows.add_job(tx, "verb", label, NOW, origin=origin)
            work(tx, job)
            job_rows.finish(tx, job, NOW)
            return job

        return self.store.write(transaction).result()

    def flag(self, *ids: int, add: int = 0, remove: int = 0, tags: str = "", untag: str = "") -> int:
        return self.do(
            "flagged", lambda tx, job: changes.change_flags(tx, job, ids, add, remove, tags, untag)
        )

    def move(self, *ids: int, to: int) -> int:
        return self.do("moved", lambda tx, job: changes.move(tx, job, ids, to))

    def copy(self, *ids: int, to: int) -> int:
        return self.do("copied", lambda tx, job: changes.copy(tx, job, ids, to, self.account_of(to)))

    def transfer(self, *ids: int, to: int) -> int:
        """Move to a folder of another account."""

        def work(tx: Transaction, job: int) -> None:
            made = changes.copy(tx, job, ids, to, self.account_of(to))
            changes.delete(tx, job, ids, after=made)

        return self.do("moved", work)

    def delete(self, *ids: int) -> int:
        return self.do("deleted", lambda tx, job: changes.delete(tx, job, ids))

    def undo(self, job: int) -> int:
        return self.store.write(lambda tx: undo.undo(tx, job, NOW)).result()

    def undo_last(self) -> int | None:
        last = undo.last(self.store.reader)
        return None if last is None else self.undo(last)

    def redo_last(self) -> int | None:
        last = undo.last_undone(self.store.reader)
        return None if last is None else self.undo(last)

    def account_of(self, folder: int) -> int:
        row = folders.get(self.store.reader, folder)
        assert row is not None
        return row.account

    def job(self, job: int) -> Row:
        row = job_rows.get_job(self.store.reader, job)
        assert row is not None
        return row

    def shown(self, ids: Sequence[int] | None = None) -> Shown:
        """Return what is shown: id -> folder, flags, tags."""
        rows = self.store.read("SELECT id, folder, flags, tags FROM message")
        return {row[0]: tuple(row[1:]) for row in rows if ids is None or row[0] in ids}

    # -- the wire ----------------------------------------------------------------------------

    def pending(self) -> list[Row]:
        accounts = folders.accounts(self.store.reader).values()
        return [op for account in accounts for op in journal.runnable(self.store.reader, account)]

    def take(self) -> None:
        """Put what can go on the wire."""
        ids = [op["id"] for op in self.pending()]
        self.store.write(lambda tx: journal.take(tx, ids)).result()

    def answer(self) -> bool:
        """Let the server answer what is on the wire; return whether there was anything."""
        accounts = folders.accounts(self.store.reader).values()
        ops = [op for account in accounts for op in journal.in_doubt(self.store.reader, account)]
        stay = [op for op in ops if op["kind"] in ("flags", "delete")]
        go = [op for op in ops if op["kind"] not in ("flags", "delete")]
        uids = {op["id"]: self._next() for op in go}

        def work(tx: Transaction) -> None:
            journal.done(tx, stay, NOW)
            journal.placed(tx, go, uids, NOW)

        self.store.write(work).result()
        return bool(ops)

    def refuse(self) -> None:
        """Let the server refuse what is on the wire."""
        ops = journal.in_doubt(self.store.reader, self.account)
        self.store.write(lambda tx: journal.failed(tx, ops, "no room", NOW)).result()

    def settle(self) -> None:
        """Let the wire carry out everything."""
        while True:
            self.take()
            if not self.answer():
                return

    def _next(self) -> int:
        Desk._uid += 1
        return Desk._uid


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with case(tmp_path) as base:
        yield Desk(base.store, base.account, base.inbox, base.archive)


@pytest.fixture
def home(desk: Desk) -> int:
    """The inbox of a second account."""
    account = desk.store.write(lambda tx: folders.ensure_account(tx, "home")).result()
    return desk.store.write(lambda tx: folders.add(tx, account, "INBOX", "/", "inbox")).result()


def some(desk: Desk, count: int = 1) -> list[int]:
    return desk.place(*(whole(desk._next(), f"{desk._uid}") for _ in range(count)))


def untouched(desk: Desk) -> bool:
    """Tell whether nothing is left for the wire."""
    return not desk.store.read("SELECT 1 FROM op WHERE state IN ('pending', 'sent', 'unmapped')")


# -- before, while and after replay ----------------------------------------------------------


def test_what_has_not_gone_to_the_wire_is_cancelled(desk: Desk) -> None:
    (one,) = some(desk)
    before = desk.shown()
    jobs = [desk.flag(one, add=flags.SEEN, tags=" todo "), desk.move(one, to=desk.archive)]
    undone = [desk.undo(job) for job in reversed(jobs)]
    assert desk.shown() == before
    assert untouched(desk)
    assert [desk.job(job)["state"] for job in jobs] == ["cancelled", "cancelled"]
    assert [desk.job(job)["state"] for job in undone] == ["done", "done"]
    assert [desk.job(job)["undone"] for job in reversed(jobs)] == undone
    assert {desk.job(job)["origin"] for job in undone} == {"undo"}


def test_what_the_server_did_is_done_the_other_way_round(desk: Desk) -> None:
    (one,) = some(desk)
    before = desk.shown()
    jobs = [desk.flag(one, add=flags.SEEN, tags=" todo "), desk.move(one, to=desk.archive)]
    desk.settle()
    for job in reversed(jobs):
        desk.undo(job)
    assert desk.shown() == before
    assert [(op["kind"], op["target"]) for op in desk.pending()] == [("move", desk.inbox)]
    desk.settle()
    row = desk.store.read("SELECT s_folder, s_flags, s_tags FROM message WHERE id = ?", (one,))[0]
    assert tuple(row) == before[one]


def test_what_is_on_the_wire_is_taken_back_after_the_answer(desk: Desk) -> None:
    (one,) = some(desk)
    job = desk.move(one, to=desk.archive)
    desk.take()
    desk.undo(job)
    assert desk.shown()[one][0] == desk.inbox
    assert not desk.pending()
    desk.settle()
    assert desk.shown()[one][0] == desk.inbox
    assert desk.store.read("SELECT s_folder FROM message")[0][0] == desk.inbox


def test_nothing_is_taken_back_of_what_the_server_refuses(desk: Desk) -> None:
    (one,) = some(desk)
    job = desk.move(one, to=desk.archive)
    desk.take()
    undone = desk.undo(job)
    desk.refuse()
    assert desk.shown()[one][0] == desk.inbox
    assert untouched(desk)
    assert (desk.job(job)["state"], desk.job(undone)["state"]) == ("failed", "done")


def test_only_what_really_changed_is_taken_back(desk: Desk) -> None:
    read, unread = some(desk, 2)
    desk.flag(read, add=flags.SEEN, tags=" todo ")
    job = desk.flag(read, unread, add=flags.SEEN, tags=" later todo ")
    desk.undo(job)
    assert desk.shown() == {read: (desk.inbox, flags.SEEN, " todo "), unread: (desk.inbox, 0, "")}


# -- what was changed again since ------------------------------------------------------------


def test_what_was_moved_elsewhere_is_left_out_and_told(desk: Desk, home: int) -> None:
    gone, stays = some(desk, 2)
    trash = desk.store.write(lambda tx: folders.add(tx, desk.account, "Trash", "/", "trash")).result()
    job = desk.move(gone, stays, to=desk.archive)
    desk.move(gone, to=trash)
    undone = desk.undo(job)
    assert desk.shown()[gone][0] == trash
    assert desk.shown()[stays][0] == desk.inbox
    assert desk.job(undone)["label"] == "undid: moved (1 left out: moved elsewhere since)"
    assert "left out" in desk.job(undone)["error"]


def test_what_was_set_again_on_purpose_is_left_alone(desk: Desk) -> None:
    (one,) = some(desk)
    job = desk.flag(one, add=flags.FLAGGED)
    desk.flag(one, remove=flags.FLAGGED)
    desk.flag(one, add=flags.FLAGGED)
    with pytest.raises(CommandError, match="changed again since"):
        desk.undo(job)
    assert desk.shown()[one][1] == flags.FLAGGED
    assert desk.job(job)["undone"] is None


def test_another_flag_does_not_stand_in_the_way(desk: Desk) -> None:
    (one,) = some(desk)
    job = desk.flag(one, add=flags.FLAGGED, tags=" a ")
    desk.flag(one, add=flags.SEEN, tags=" b ")
    desk.move(one, to=desk.archive)
    desk.undo(job)
    assert desk.shown()[one] == (desk.archive, flags.SEEN, " b ")


def test_what_was_removed_on_the_server_is_left_out(desk: Desk) -> None:
    (one,) = some(desk)
    job = desk.flag(one, add=flags.SEEN)
    desk.settle()
    desk.delete(one)
    with pytest.raises(CommandError, match="gone since"):
        desk.undo(job)


def test_a_copy_that_is_all_that_is_left_is_not_removed(desk: Desk) -> None:
    (one,) = some(desk)
    job = desk.copy(one, to=desk.archive)
    desk.settle()
    desk.delete(one)
    with pytest.raises(CommandError, match="copied from is gone"):
        desk.undo(job)


# -- what cannot be undone -------------------------------------------------------------------


def test_undoing_twice_is_refused(desk: Desk) -> None:
    job = desk.flag(*some(desk), add=flags.SEEN)
    desk.undo(job)
    with pytest.raises(CommandError, match="undone already"):
        desk.undo(job)


def test_what_was_redone_can_be_undone_again(desk: Desk) -> None:
    (one,) = some(desk)
    job = desk.flag(one, add=flags.SEEN)
    desk.undo(job)
    redone = desk.redo_last()
    assert desk.shown()[one][1] == flags.SEEN
    assert redone is not None
    assert desk.job(redone)["label"] == "redid: flagged"
    again = desk.undo(job)
    assert desk.shown()[one][1] == 0
    assert desk.job(again)["label"] == "undid: flagged"


def test_removal_for_good_cannot_be_undone(desk: Desk) -> None:
    job = desk.delete(*some(desk))
    with pytest.raises(CommandError, match="for good"):
        desk.undo(job)


def test_a_request_cannot_be_undone(desk: Desk) -> None:
    job = desk.store.write(lambda tx: job_rows.add_job(tx, "sync", "synced work", NOW)).result()
    with pytest.raises(CommandError, match="cannot be undone"):
        desk.undo(job)


def send(desk: Desk) -> int:
    def work(tx: Transaction) -> int:
        job = job_rows.add_job(tx, "send", "sent 'Hi'", NOW)
        outbox.add(tx, Sending(desk.account, "<1@x>", "a@x", ("b@x",), "Hi", b"bytes"), job, NOW)
        return job

    return desk.store.write(work).result()


def test_mail_that_is_held_is_cancelled(desk: Desk) -> None:
    job = send(desk)
    assert undo.last(desk.store.reader) == job
    desk.undo(job)
    assert desk.store.read("SELECT state FROM outbox")[0][0] == "cancelled"
    assert desk.job(job)["state"] == "cancelled"
    assert undo.last_undone(desk.store.reader) is None


def test_mail_on_the_wire_cannot_be_taken_back(desk: Desk) -> None:
    job = send(desk)
    desk.store.write(lambda tx: outbox.change(tx, 1, state="data-sent")).result()
    assert undo.last(desk.store.reader) is None
    with pytest.raises(CommandError, match="data-sent"):
        desk.undo(job)


def test_undo_picks_the_last_change_of_the_user(desk: Desk) -> None:
    (one,) = some(desk)
    mine = desk.flag(one, add=flags.FLAGGED)
    desk.do("by a rule", lambda tx, job: changes.change_flags(tx, job, [one], flags.SEEN, 0), origin="rule")
    desk.do(
        "saved draft", lambda tx, job: changes.append(tx, job, desk.account, desk.archive, whole(None, 9))
    )
    desk.flag(one, add=flags.FLAGGED)  # changes nothing
    assert undo.last(desk.store.reader) == mine


def test_a_new_change_ends_the_redo(desk: Desk) -> None:
    (one,) = some(desk)
    desk.undo(desk.flag(one, add=flags.FLAGGED))
    desk.flag(one, add=flags.SEEN)
    assert undo.last_undone(desk.store.reader) is None


# -- copies and other accounts ---------------------------------------------------------------


@pytest.mark.parametrize("how_far", ["nothing", "taken", "settled"])
def test_undoing_a_copy_removes_it_and_redoing_makes_it_again(desk: Desk, how_far: str) -> None:
    (one,) = some(desk)
    before = desk.shown()
    job = desk.copy(one, to=desk.archive)
    copied = desk.shown()
    {"nothing": lambda: None, "taken": desk.take, "settled": desk.settle}[how_far]()
    desk.undo(job)
    assert desk.shown(list(before)) == before
    assert [folder for folder, _, _ in desk.shown().values()] == [desk.inbox, None]
    desk.settle()
    desk.redo_last()
    desk.settle()
    assert desk.shown() == copied


@pytest.mark.parametrize("how_far", ["nothing", "arrived", "leaving", "settled"])
def test_a_move_to_another_account_comes_back(desk: Desk, home: int, how_far: str) -> None:
    (one,) = some(desk)
    before = desk.shown()
    job = desk.transfer(one, to=home)
    moved = desk.shown()
    if how_far in ("arrived", "leaving"):
        desk.take()
        desk.answer()
    if how_far == "leaving":
        desk.take()
    if how_far == "settled":
        desk.settle()
    desk.undo(job)
    assert desk.shown(list(before)) == before
    desk.settle()
    assert desk.shown(list(before)) == before
    assert len([folder for folder, _, _ in desk.shown().values() if folder]) == 1
    desk.redo_last()
    desk.settle()
    assert desk.shown() == moved


def test_a_flag_on_what_never_came_to_another_account_stops_nothing(desk: Desk, home: int) -> None:
    (one,) = some(desk)
    moving = desk.transfer(one, to=home)
    [there] = desk.shown().keys() - {one}
    flagging = desk.flag(there, add=flags.FLAGGED)
    desk.undo(moving)
    assert desk.job(flagging)["state"] == "cancelled"
    desk.redo_last()
    desk.settle()
    assert untouched(desk)
    assert [desk.shown()[message][0] for message in (one, there)] == [None, home]


# -- any sequence ----------------------------------------------------------------------------

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["flag", "unflag", "tag", "untag", "move", "copy", "transfer", "undo", "take", "answer", "settle"]
        ),
        st.integers(0, 7),
        st.integers(1, 3),
    ),
    max_size=14,
)


def act(desk: Desk, places: list[int], known: set[int], action: str, what: int, which: int) -> None:
    """Do one thing to some of the messages that are shown; in words: `which` are two bits."""
    here = {message: row for message, row in desk.shown().items() if row[0] and message not in known}
    ids = [message for n, message in enumerate(sorted(here)) if which >> (n % 2) & 1]
    own = [message for message in ids if desk.account_of(here[message][0] or 0) == desk.account]
    to, bits, tag = places[what % len(places)], 1 << what % 3, f" t{what % 3} "
    if action == "transfer" and (action := "move") and desk.account_of(to) != desk.account:
        desk.transfer(*own, to=to)
        return
    {
        "flag": lambda: desk.flag(*ids, add=bits),
        "unflag": lambda: desk.flag(*ids, remove=bits),
        "tag": lambda: desk.flag(*ids, add=bits, tags=tag),
        "untag": lambda: desk.flag(*ids, untag=tag),
        "move": lambda: desk.move(*ids, to=to),
        "copy": lambda: desk.copy(*ids[:2], to=to),
        "undo": desk.undo_last,
        "take": desk.take,
        "answer": desk.answer,
        "settle": desk.settle,
    }[action]()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTIONS)
@example([("transfer", 2, 3), ("settle", 0, 1), ("tag", 1, 3), ("copy", 0, 3), ("take", 0, 1)])
def test_undoing_all_verbs_restores_flags_tags_and_folders(
    desk: Desk, home: int, actions: list[tuple[str, int, int]]
) -> None:
    known = set(desk.shown())
    ids = some(desk, 3)
    desk.flag(ids[0], add=flags.SEEN, tags=" t1 ")
    desk.settle()
    desk.store.write(lambda tx: tx.execute("UPDATE job SET origin = 'rule'")).result()
    before = desk.shown(ids)
    for action in actions:
        act(desk, [desk.inbox, desk.archive, home], known, *action)
    after = {message: row for message, row in desk.shown().items() if row[0] and message not in known}
    count = 0
    while desk.undo_last() is not None:
        count += 1
    assert desk.shown(ids) == before
    desk.settle()
    assert desk.shown(ids) == before
    assert untouched(desk)
    left = {message for message, row in desk.shown().items() if row[0]} - known
    assert left == set(ids)
    for _ in range(count):
        desk.redo_last()
    desk.settle()
    assert {message: row for message, row in desk.shown().items() if row[0] and message not in known} == after


# -- 100,000 at once -------------------------------------------------------------------------


def test_twenty_thousand_messages_are_one_job_in_a_moment(desk: Desk) -> None:
    count = 20_000

    def fill(tx: Transaction) -> None:
        contents.add(tx, [listed(1, 1)])
        tx.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO message (account, folder, content, date, received, size, s_folder, s_uid)"
            " SELECT ?, ?, 1, i, i, 100, ?, i FROM n",
            (count, desk.account, desk.inbox, desk.inbox),
        )

    desk.store.write(fill).result()
    ids = list(range(1, count + 1))
    begun = time.process_time()
    for job in (desk.flag(*ids, add=flags.SEEN, tags=" all "), desk.move(*ids, to=desk.archive)):
        assert desk.store.read("SELECT count(*) FROM op WHERE job = ?", (job,))[0][0] == count
    desk.undo_last()
    desk.undo_last()
    # Row by row this takes five times as long.
    assert time.process_time() - begun < 3.0
    assert desk.store.read("SELECT DISTINCT folder, flags, tags FROM message")[0][:] == (desk.inbox, 0, "")
