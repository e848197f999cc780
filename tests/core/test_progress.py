"""A sync tells how far it has come: here by a value, in other processes by the row of its job."""

from __future__ import annotations

from agent.core.progress import Progress
from tests.harness.agents import Agents, mail, synced, work_of
from tests.harness.dovecot import Dovecot

QUIET = {"idle": False, "every": "never"}


def test_what_is_done_of_what_there_is(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    for number in range(150):
        dovecot.save(user, mail(number))
    agent = make_agent(user, fetch=QUIET, fill=True, serve=False, offline={"bodies": "all"})
    work, seen, rows = work_of(agent), list[Progress](), set[tuple[int, int]]()

    def look() -> None:
        if (progress := work.progress) is not None and progress not in seen:
            seen.append(progress)
        for row in agent.context.store.read("SELECT progress, total FROM job WHERE kind = 'sync'"):
            rows.add((row[0], row[1]))

    agent.context.store.subscribe(look)
    agent.serve(lazy=True, fill=True)
    work.sync().wait(30)
    assert agent.wait_filled(30)
    listing = [each for each in seen if each.what == "listing INBOX"]
    assert {each.total for each in listing} == {150}
    assert [each.done for each in listing] == sorted(each.done for each in listing)
    bodies = [each for each in seen if each.what == "bringing bodies"]
    assert {each.unit for each in bodies} == {"octets"}
    assert bodies[-1].fraction == 1.0
    assert any(total == 150 for _, total in rows)
    assert work.progress is None


def test_a_fraction_is_between_nothing_and_all() -> None:
    assert Progress("x", 5, 10).fraction == 0.5
    assert Progress("x", 50, 10).fraction == 1.0
    assert Progress("x", 0, 0).fraction == 1.0
    assert Progress("x", 5).fraction is None


def test_nothing_to_do_is_no_progress(make_agent: Agents, user: str) -> None:
    assert synced(make_agent(user, fetch=QUIET)).progress is None
