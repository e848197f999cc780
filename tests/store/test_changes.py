"""A verb is shown at once and is one operation for each message it changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.mail import flags
from tests.store.store_case import Case, case, do, job_of, kinds, listed, shown


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Case]:
    with case(tmp_path) as made:
        yield made


def test_a_verb_is_shown_at_once_and_its_job_is_open(one: Case) -> None:
    [message] = one.place(listed(1, 1))
    jobs = [
        do(one, "change_flags", [message], flags.FLAGGED, 0, " urgent ", ""),
        do(one, "move", [message], one.archive),
    ]
    assert shown(one, message) == (one.archive, flags.FLAGGED, " urgent ")
    assert [job_of(one, job)[0] for job in jobs] == ["queued", "queued"]


def test_a_verb_that_changes_nothing_is_done_at_once(one: Case) -> None:
    [message] = one.place(listed(1, 1))
    for verb in ("change_flags", "move"):
        args = ([message], 0, flags.SEEN) if verb == "change_flags" else ([message], one.inbox)
        assert job_of(one, do(one, verb, *args)) == ("done", "")
    assert kinds(one) == []
