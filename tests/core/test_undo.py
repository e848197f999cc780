"""Undo and redo through the whole agent: on the server, across restarts, processes and accounts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.app import Agent
from agent.core.account import Account
from agent.core.drafting import compose
from agent.core.job import Job, Jobs
from agent.core.messages import Messages
from agent.core.undo import redo, undo
from agent.errors import CommandError
from agent.mail import query
from tests.harness.agents import Agents, assert_equal, in_store, mail, on_server, synced, work_of
from tests.harness.dovecot import Dovecot
from tests.harness.sink import Sink

QUIET = {"idle": False, "every": "never"}


@pytest.fixture
def start(make_agent: Agents, dovecot: Dovecot, user: str) -> Callable[..., Agent]:
    """Start an agent that has synced three messages; it syncs only when it is told to."""
    for number in range(3):
        dovecot.save(user, mail(number))

    def begin(*others: str) -> Agent:
        agent = make_agent(user, *others, fetch=QUIET)
        synced(agent)
        return agent

    return begin


def subjects(account: Account) -> dict[str, list[str]]:
    """Return folder -> subjects as they are shown."""
    return {folder: sorted(copy[0] for copy in copies) for folder, copies in in_store(account).items()}


def served(dovecot: Dovecot, user: str) -> dict[str, list[str]]:
    """Return folder -> subjects as the server has them."""
    return {folder: sorted(c[0] for c in copies) for folder, copies in on_server(dovecot, user).items()}


def some(account: Account, *numbers: int) -> Messages:
    """Return messages of the inbox by their numbers, fixed."""
    wanted = {f"number {number}" for number in numbers}
    ids = [message._id for message in account.inbox if message.subject in wanted]
    return Messages(account._context, query.Ids(tuple(ids)))


def everything(job: Job) -> Job:
    return job.wait(20)


def test_what_was_done_on_the_server_is_undone_and_redone_there(
    start: Callable[..., Agent], dovecot: Dovecot, user: str
) -> None:
    agent = start()
    work = work_of(agent)
    before, ids = on_server(dovecot, user), {m.subject: m.id for m in work.inbox}
    everything(some(work, 0, 1).archive())
    archived = served(dovecot, user)
    back = everything(undo(agent.context))
    assert back.label == "undid: archived 2 messages"
    assert served(dovecot, user) == {
        folder: [copy[0] for copy in copies] for folder, copies in before.items()
    }
    assert {m.subject: m.id for m in work.inbox} == ids
    assert_equal(work, dovecot, user)
    assert everything(redo(agent.context)).label == "redid: archived 2 messages"
    assert served(dovecot, user) == archived == subjects(work)
    with pytest.raises(CommandError, match="nothing to redo"):
        redo(agent.context)


def test_flags_and_tags_come_off_the_server_again(
    start: Callable[..., Agent], dovecot: Dovecot, user: str
) -> None:
    agent = start()
    work = work_of(agent)
    everything(some(work, 0).mark_read())
    before = on_server(dovecot, user)
    jobs = [work.inbox.freeze().mark_read(), work.inbox.freeze().tag("todo")]
    for job in jobs:
        everything(job)
    assert on_server(dovecot, user) != before
    for job in reversed(jobs):
        everything(job.undo())
    assert on_server(dovecot, user) == before
    assert_equal(work, dovecot, user)


def test_undoing_a_copy_removes_it_from_the_server(
    start: Callable[..., Agent], dovecot: Dovecot, user: str
) -> None:
    agent = start()
    work = work_of(agent)
    before = on_server(dovecot, user)
    everything(some(work, 1).copy("Archive"))
    assert served(dovecot, user)["Archive"] == ["number 1"]
    everything(undo(agent.context))
    assert on_server(dovecot, user) == before
    assert_equal(work, dovecot, user)


def test_what_the_wire_has_not_heard_of_it_never_hears_of_across_restarts(
    start: Callable[..., Agent], make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    before = on_server(dovecot, user)
    make_agent.stop(start())
    offline = make_agent(user, fetch=QUIET, serve=False)
    some(work_of(offline), 1, 2).trash()
    some(work_of(offline), 0).flag()
    make_agent.stop(offline)
    again = make_agent(user, fetch=QUIET, serve=False)
    assert [undo(again.context).label for _ in range(2)] == [
        "undid: flagged 1 message", "undid: trashed 2 messages",
    ]  # fmt: skip
    make_agent.stop(again)
    online = make_agent(user, fetch=QUIET)
    synced(online)
    assert on_server(dovecot, user) == before
    assert_equal(work_of(online), dovecot, user)


def test_what_was_done_before_a_restart_is_undone_after_it(
    start: Callable[..., Agent], make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    agent = start()
    everything(some(work_of(agent), 1).archive())
    make_agent.stop(agent)
    again = make_agent(user, fetch=QUIET)
    (job,) = [job for job in Jobs(again.context) if job.label == "archived 1 message"]
    everything(job.undo())
    assert served(dovecot, user) == {"INBOX": ["number 0", "number 1", "number 2"]}


def test_another_process_on_the_same_data_undoes_it(
    start: Callable[..., Agent], make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    owner = start()
    everything(some(work_of(owner), 1).archive())
    other = make_agent(user, fetch=QUIET, may_own=False)
    everything(undo(other.context))
    assert served(dovecot, user) == {"INBOX": ["number 0", "number 1", "number 2"]}
    assert subjects(work_of(owner)) == subjects(work_of(other)) == served(dovecot, user)


def test_what_another_client_moved_since_is_left_out_and_told(
    start: Callable[..., Agent], dovecot: Dovecot, user: str
) -> None:
    agent = start()
    work = work_of(agent)
    job = everything(some(work, 0, 1).archive())
    dovecot.doveadm("move", "-u", user, "Trash", "mailbox", "Archive", "header", "subject", "number 0")
    synced(agent)
    undone = everything(job.undo())
    assert undone.label == "undid: archived 2 messages (1 left out: moved elsewhere since)"
    assert served(dovecot, user) == {"INBOX": ["number 1", "number 2"], "Trash": ["number 0"]}
    assert_equal(work, dovecot, user)


def test_a_move_to_another_account_comes_back(
    start: Callable[..., Agent], dovecot: Dovecot, user: str
) -> None:
    agent = start(f"{user}-home")
    home = synced(agent, "home")
    work = work_of(agent)
    ids = {m.subject: m.id for m in work.inbox}
    everything(some(work, 1).move(home.inbox))
    assert served(dovecot, f"{user}-home") == {"INBOX": ["number 1"]}
    assert served(dovecot, user) == {"INBOX": ["number 0", "number 2"]}
    everything(undo(agent.context))
    assert served(dovecot, f"{user}-home") == {}
    assert served(dovecot, user) == {"INBOX": ["number 0", "number 1", "number 2"]}
    assert {m.subject: m.id for m in work.inbox} == ids
    assert_equal(work, dovecot, user)
    assert_equal(home, dovecot, f"{user}-home")


def test_held_mail_is_cancelled_and_sent_mail_is_not_called_back(
    start: Callable[..., Agent], sink: Sink
) -> None:
    agent = start()
    held = compose(agent.context, to="bob@example.com", subject="held", text="Hm.").send(hold=60)
    undo(agent.context)
    assert held.state == "cancelled"
    sent = compose(agent.context, to="bob@example.com", subject="sent", text="Go.").send()
    everything(sent)
    assert agent.wait_idle(20)
    assert [message.data.count(b"Subject: sent") for message in sink.messages] == [1]
    with pytest.raises(CommandError, match="cannot be undone: the mail is sent"):
        sent.undo()
    with pytest.raises(CommandError, match="nothing to undo"):
        undo(agent.context)


def test_removal_for_good_and_a_second_undo_are_refused(start: Callable[..., Agent]) -> None:
    agent = start()
    work = work_of(agent)
    with pytest.raises(CommandError, match="gone for good"):
        some(work, 0).delete().undo()
    job = some(work, 1).flag()
    job.undo()
    with pytest.raises(CommandError, match="undone already"):
        job.undo()


def test_keeping_a_draft_is_nothing_that_undo_picks(start: Callable[..., Agent]) -> None:
    agent = start()
    draft = compose(agent.context, to="bob@example.com", subject="later", text="Hm.")
    everything(draft.save())
    everything(draft.save())
    with pytest.raises(CommandError, match="nothing to undo"):
        undo(agent.context)
