"""When the parts of an agent are made: lazy wires only when there is work for them."""

from __future__ import annotations

import threading

from agent.store import outbox
from agent.store.outbox import Sending
from tests.harness import agents as harness
from tests.harness.agents import Agents, TestClock, mail, synced, work_of
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot
from tests.harness.sink import Sink

make_agent = harness.make_agent

LETTER = b"From: bob@example.com\r\nSubject: hello\r\n\r\ntext\r\n"


def wires() -> set[str]:
    """Return the threads that own wires."""
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(("in:", "out:"))}


def test_a_lazy_agent_makes_its_wires_when_somebody_asks_for_something(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, LETTER)
    first = make_agent(user)
    synced(first)
    make_agent.stop(first)
    agent = make_agent(user, lazy=True)
    work = work_of(agent)
    assert [message.subject for message in work.inbox] == ["hello"]
    assert agent.wait_idle(20)
    assert not wires()
    work.inbox[0].flag().wait(20)
    assert wires() == {"in:work"}
    assert dovecot.doveadm("search", "-u", user, "flagged").strip()


def test_what_was_left_undone_is_taken_up_by_a_lazy_agent(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, LETTER)
    first = make_agent(user)
    synced(first)
    make_agent.stop(first)
    idle = make_agent(user, serve=False)
    work_of(idle).inbox[0].flag()
    make_agent.stop(idle)
    agent = make_agent(user, lazy=True)
    assert agent.wait_idle(20)
    assert dovecot.doveadm("search", "-u", user, "flagged").strip()


def test_mail_that_was_on_the_wire_at_a_crash_is_told_by_a_lazy_agent(
    make_agent: Agents, sink: Sink, user: str
) -> None:
    first = make_agent(user, serve=False)
    work = work_of(first)
    item = Sending(work.id, "m@x", f"{user}@example.org", ("bob@example.com",), "hello", LETTER, None)
    number = first.context.commit(lambda tx: outbox.add(tx, item, None, 0.0))
    first.context.commit(lambda tx: outbox.change(tx, number, state="data-sent"))
    make_agent.stop(first)
    agent = make_agent(user, lazy=True)
    eventually(lambda: agent.context.read(outbox.get, number)["state"] == "uncertain")
    assert not sink.messages


def test_what_is_too_old_is_dropped_also_while_the_agent_runs_on(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1))
    clock = TestClock()
    agent = make_agent(user, clock=clock)
    job = synced(agent).inbox[0].flag()
    job.wait(10)
    clock.advance(32 * 86_400)
    eventually(lambda: not agent.context.store.read("SELECT 1 FROM job WHERE id = ?", (job.id,)))
