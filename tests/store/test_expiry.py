"""What is too old is dropped, what is open stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.mail import flags
from agent.store import expiry, job_rows, journal, state
from tests.store.store_case import NOW, Case, case, do, job_of, listed, take, whole


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Case]:
    with case(tmp_path) as made:
        yield made


def test_old_jobs_and_messages_long_gone_are_dropped_and_open_ones_stay(one: Case) -> None:
    first, second = one.place(whole(1, 1), whole(2, 2))
    done = do(one, "change_flags", [second], flags.SEEN, 0)
    ops = take(one)
    one.store.write(lambda tx: journal.done(tx, ops, NOW)).result()
    waits = do(one, "change_flags", [second], flags.FLAGGED, 0)
    one.store.write(lambda tx: state.vanish(tx, one.inbox, [1], NOW)).result()
    month = 31 * 86_400
    while one.store.write(lambda tx: expiry.prune(tx, NOW + month)).result():
        pass
    assert job_rows.get_job(one.store.reader, done) is None
    assert job_of(one, waits)[0] == "queued"
    assert [row[0] for row in one.store.read("SELECT id FROM message")] == [second] != [first]
    assert one.store.read("SELECT count(*) FROM content")[0][0] == 1


def test_a_job_of_many_messages_is_dropped_in_small_steps(one: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "_PRUNED", 2)
    job = do(one, "change_flags", one.place(*(listed(n, n) for n in range(1, 6))), flags.SEEN, 0)
    ops = take(one)
    one.store.write(lambda tx: journal.done(tx, ops, NOW)).result()
    left = []
    while one.store.write(lambda tx: expiry.prune(tx, NOW + 31 * 86_400)).result():
        left.append(one.store.read("SELECT count(*) FROM op")[0][0])
    assert left == [3, 1, 0]
    assert job_rows.get_job(one.store.reader, job) is None
