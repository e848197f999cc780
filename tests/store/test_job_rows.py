"""Jobs: requests in their turn, and what can be cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.mail import flags
from agent.store import job_rows, journal, outbox
from agent.store.db import Transaction
from agent.store.outbox import Sending
from tests.store.store_case import NOW, Case, case, do, job_of, kinds, listed, shown


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Case]:
    with case(tmp_path) as made:
        yield made


def test_only_what_has_not_gone_to_the_wire_is_cancelled(one: Case) -> None:
    first, second = one.place(listed(1, 1), listed(2, 2))
    job = do(one, "move", [first, second], one.archive)
    sent = journal.runnable(one.store.reader, one.account)[0]
    one.store.write(lambda tx: journal.take(tx, [sent["id"]])).result()
    one.store.write(lambda tx: job_rows.cancel(tx, job, NOW)).result()
    assert (shown(one, first)[0], shown(one, second)[0]) == (one.archive, one.inbox)
    assert job_of(one, job)[0] == "queued"
    one.store.write(lambda tx: journal.placed(tx, [sent], {sent["id"]: 9}, NOW)).result()
    assert job_of(one, job)[0] == "done"


def test_what_was_cancelled_is_not_taken_to_the_wire(one: Case) -> None:
    [message] = one.place(listed(1, 1))
    job = do(one, "move", [message], one.archive)
    ops = journal.runnable(one.store.reader, one.account)
    one.store.write(lambda tx: job_rows.cancel(tx, job, NOW)).result()
    ids = [op["id"] for op in ops]
    assert one.store.write(lambda tx: journal.take(tx, ids)).result() == set(ids)
    assert shown(one, message)[0] == one.inbox


def test_what_was_to_be_done_to_a_copy_ends_when_that_is_cancelled(one: Case) -> None:
    [message] = one.place(listed(1, 1))
    copying = do(one, "copy", [message], one.archive, one.account)
    [copy] = [row[0] for row in one.store.read("SELECT id FROM message WHERE id <> ?", (message,))]
    flagging = do(one, "change_flags", [copy, message], flags.FLAGGED, 0)
    moving = do(one, "move", [copy], one.inbox)
    one.store.write(lambda tx: job_rows.cancel(tx, copying, NOW)).result()
    assert [job_of(one, job)[0] for job in (copying, flagging, moving)] == [
        "cancelled",
        "queued",
        "cancelled",
    ]
    assert shown(one, copy)[0] is None
    assert kinds(one) == ["flags"]


def test_a_request_is_carried_out_once_in_its_turn(one: Case) -> None:
    def add(kind: str, bulk: bool = False) -> int:
        return one.store.write(
            lambda tx: job_rows.add_job(tx, kind, kind, NOW, account=one.account, bulk=bulk)
        ).result()

    slow, sync, fetch = add("sync", bulk=True), add("sync"), add("fetch")
    reader = one.store.reader
    first = job_rows.next_request(reader, one.account)
    assert first is not None
    assert first["id"] == sync
    found = job_rows.next_request(reader, one.account, "fetch")
    assert found is not None
    assert found["id"] == fetch
    assert job_rows.newest_request(reader, one.account) == fetch
    assert one.store.write(lambda tx: job_rows.start(tx, sync)).result()
    one.store.write(lambda tx: job_rows.end(tx, sync, "", NOW)).result()
    one.store.write(lambda tx: job_rows.cancel(tx, fetch, NOW)).result()
    assert not one.store.write(lambda tx: job_rows.start(tx, fetch)).result()
    one.store.write(lambda tx: job_rows.fail_requests(tx, one.account, ("sync",), "offline", NOW)).result()
    assert [job_of(one, job) for job in (sync, fetch, slow)] == [
        ("done", ""), ("cancelled", ""), ("failed", "offline"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("at", "left"), [("queued", "cancelled"), ("connecting", "queued"), ("data-sent", "queued")]
)
def test_mail_is_cancelled_until_it_is_on_the_wire(one: Case, at: str, left: str) -> None:
    def work(tx: Transaction) -> int:
        job = job_rows.add_job(tx, "send", "sent", NOW)
        sending = Sending(one.account, "x@y", "a@b", ("c@d",), "s", b"data")
        outbox.change(tx, outbox.add(tx, sending, job, NOW), state=at)
        return job

    job = one.store.write(work).result()
    one.store.write(lambda tx: job_rows.cancel(tx, job, NOW)).result()
    assert job_of(one, job)[0] == left
    [row] = one.store.read("SELECT state FROM outbox")
    assert row[0] == ("cancelled" if at == "queued" else at)
