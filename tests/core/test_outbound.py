"""Mail leaves once: sent, told why not, or in doubt and left alone."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable

import pytest

from agent.app import Agent
from agent.core import drafting as drafts
from agent.core import sending
from agent.core.draft import Draft
from agent.core.job import Job
from agent.core.outbox import Outbox
from agent.errors import CommandError
from agent.store.outbox import Sending
from tests.harness.agents import Agents, TestClock, assert_equal, in_store, mail, on_server, synced, work_of
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot
from tests.harness.proxy import Proxy
from tests.harness.sink import Sink

StartProxy = Callable[[int], Proxy]
QUIET = {"idle": False, "every": "never"}
DAY = 86_400


def letter(agent: Agent, subject: str = "hello", to: str = "bob@example.com") -> Draft:
    return drafts.compose(agent.context, to=to, subject=subject, text="Dear Bob")


def automatic(agent: Agent) -> Job:
    """Queue an automatic message: with the null return path."""
    data = mail("auto")
    return sending.queue(
        agent.context,
        Sending(
            work_of(agent).id, "auto@example.org", "", ("bob@example.com",), "auto", data, automatic=True
        ),
    )


def row(agent: Agent) -> dict[str, object]:
    """Return the one outbox row."""
    [found] = agent.context.store.read("SELECT * FROM outbox")
    return dict(found)


def wake(agent: Agent) -> None:
    agent._outbound[work_of(agent).id].wake()


# -- the usual way ---------------------------------------------------------------------------


def test_a_message_is_sent_and_a_copy_kept(
    make_agent: Agents, dovecot: Dovecot, user: str, sink: Sink
) -> None:
    agent = make_agent(user, fetch=QUIET)
    work = synced(agent)
    letter(agent).send().wait(20)
    [sent] = sink.messages
    assert (sent.sender, sent.recipients) == (f"{user}@example.org", ("bob@example.com",))
    eventually(lambda: [copy[0] for copy in in_store(work).get("Sent", [])] == ["hello"])
    assert_equal(work, dovecot, user)
    assert on_server(dovecot, user)["Sent"][0][2] == ("\\Seen",)
    assert list(Outbox(agent.context)) == []


def test_a_blind_copy_is_on_the_envelope_and_in_our_copy_only(
    make_agent: Agents, dovecot: Dovecot, user: str, sink: Sink
) -> None:
    agent = make_agent(user, fetch=QUIET)
    work = synced(agent)
    drafts.compose(
        agent.context, to="bob@example.com", subject="x", text="y", bcc="eve@example.com"
    ).send().wait(20)
    [sent] = sink.messages
    assert set(sent.recipients) == {"bob@example.com", "eve@example.com"}
    assert b"eve@" not in sent.data
    eventually(lambda: work.sent.count() == 1)
    assert b"eve@" in work.sent[0].raw


def test_what_is_answered_is_marked_so_when_the_answer_is_out(
    make_agent: Agents, dovecot: Dovecot, user: str, sink: Sink
) -> None:
    dovecot.save(user, mail(1))
    agent = make_agent(user, fetch=QUIET)
    work = synced(agent)
    work.inbox[0].reply("Thanks").send().wait(20)
    sink.wait_for(1)
    eventually(lambda: work.inbox[0].answered)
    assert_equal(work, dovecot, user)


def test_several_messages_go_over_one_connection(make_agent: Agents, user: str, sink: Sink) -> None:
    agent = make_agent(user, fetch=QUIET)
    for job in [letter(agent, f"number {number}").send() for number in range(3)]:
        job.wait(20)
    assert len(sink.messages) == 3
    assert sink.connections == 1


# -- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "end"])
def test_a_refusal_that_may_pass_is_tried_again_with_growing_pauses(
    make_agent: Agents, user: str, sink: Sink, phase: str
) -> None:
    clock = TestClock()
    agent = make_agent(user, clock=clock, fetch=QUIET)
    sink.refuse(phase, "451 4.7.1 greylisted", times=2)  # type: ignore[arg-type]
    job = letter(agent).send()
    eventually(lambda: row(agent)["error"])
    assert (row(agent)["attempts"], row(agent)["state"]) == (1, "queued")
    assert row(agent)["not_before"] == clock.now() + 60
    clock.advance(59)
    wake(agent)
    assert row(agent)["attempts"] == 1
    clock.advance(2)
    wake(agent)
    eventually(lambda: row(agent)["attempts"] == 2 and row(agent)["state"] == "queued")
    assert row(agent)["not_before"] == clock.now() + 120
    assert "greylisted" in Outbox(agent.context)[0].error
    clock.advance(121)
    wake(agent)
    job.wait(20)
    assert len(sink.messages) == 1


def test_after_five_days_of_trying_it_is_given_up_and_told(make_agent: Agents, user: str, sink: Sink) -> None:
    clock = TestClock()
    agent = make_agent(user, clock=clock, fetch=QUIET)
    sink.refuse("rcpt", "450 4.2.1 mailbox busy")
    job = letter(agent).send()
    eventually(lambda: row(agent)["error"])
    clock.advance(5 * DAY + 1)
    wake(agent)
    with pytest.raises(CommandError, match=r"given up after 5 days.*mailbox busy"):
        job.wait(20)
    assert Outbox(agent.context)[0].state == "failed"


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "end"])
def test_a_final_refusal_is_told_at_once(make_agent: Agents, user: str, sink: Sink, phase: str) -> None:
    agent = make_agent(user, fetch=QUIET)
    sink.refuse(phase, "550 5.7.1 not wanted here", times=1)  # type: ignore[arg-type]
    with pytest.raises(CommandError, match="not wanted here"):
        letter(agent).send().wait(20)
    assert Outbox(agent.context)[0].state == "failed"
    assert row(agent)["attempts"] == 1
    letter(agent, "another").send().wait(20)  # on the same connection
    assert [re.search(rb"Subject: (.*)\r", one.data)[1] for one in sink.messages] == [b"another"]  # type: ignore[index]
    Outbox(agent.context)[0].retry()
    assert len(sink.wait_for(2)) == 2


def test_a_recipient_who_is_refused_is_told_and_the_others_get_it(
    make_agent: Agents, user: str, sink: Sink
) -> None:
    agent = make_agent(user, fetch=QUIET)
    sink.refuse("rcpt", "550 5.1.1 no such person", when="eve@")
    job = letter(agent, to="bob@example.com, eve@example.com").send()
    job.wait(20)
    assert sink.messages[0].recipients == ("bob@example.com",)
    assert "eve@example.com: 550" in job.error


def test_a_server_that_turns_everybody_away_says_nothing_about_the_message(
    make_agent: Agents, user: str, sink: Sink
) -> None:
    clock = TestClock()
    agent = make_agent(user, clock=clock, fetch=QUIET)
    sink.refuse("connect", "554 5.3.2 no mail today", times=1)
    job = letter(agent).send()
    eventually(lambda: "no mail today" in str(row(agent)["error"]))
    assert row(agent)["state"] == "queued"
    clock.advance(61)
    wake(agent)
    job.wait(20)


def test_a_wrong_password_is_told_and_the_message_waits(
    make_agent: Agents, user: str, start_sink: Callable[..., Sink]
) -> None:
    sink = start_sink(accounts={"ann": "right"})
    smtp = {"port": sink.port, "auth": "password", "user": "ann", "password": "wrong"}
    agent = make_agent(user, fetch=QUIET, smtp=smtp)
    job = letter(agent).send()
    eventually(lambda: "login refused" in Outbox(agent.context)[0].error)
    assert not job.done
    assert agent.wait_idle(5)
    assert agent.waiting()


def test_no_server_there_is_no_loss(make_agent: Agents, user: str, sink: Sink) -> None:
    clock = TestClock()
    agent = make_agent(user, clock=clock, fetch=QUIET, smtp={"port": 1})
    letter(agent).send()
    eventually(lambda: "cannot connect" in str(row(agent)["error"]))
    make_agent.stop(agent)
    clock.advance(61)
    agent = make_agent(user, clock=clock, fetch=QUIET)
    sink.wait_for(1)


def test_a_server_that_takes_nothing_from_nobody_gets_the_address_and_is_remembered(
    make_agent: Agents, user: str, sink: Sink
) -> None:
    agent = make_agent(user, fetch=QUIET)
    sink.refuse("mail", "553 5.1.7 sender required", when="<>")
    automatic(agent).wait(20)
    assert sink.messages[0].sender == f"{user}@example.org"
    known = agent.context.store.read("SELECT null_sender_refused FROM account")
    assert known[0][0] == 1


def test_a_greylisted_null_sender_stays_the_null_sender(make_agent: Agents, user: str, sink: Sink) -> None:
    clock = TestClock()
    agent = make_agent(user, clock=clock, fetch=QUIET)
    sink.refuse("mail", "451 4.7.1 later", times=1)
    job = automatic(agent)
    eventually(lambda: row(agent)["error"])
    clock.advance(61)
    wake(agent)
    job.wait(20)
    assert sink.messages[0].sender == "<>"


# -- in doubt --------------------------------------------------------------------------------


def test_an_answer_lost_after_the_end_leaves_it_in_doubt_and_never_sends_again(
    make_agent: Agents, user: str, sink: Sink
) -> None:
    clock = TestClock()
    agent = make_agent(user, clock=clock, fetch=QUIET)
    sink.cut("end", times=1)
    job = letter(agent).send()
    with pytest.raises(CommandError, match="may have been sent"):
        job.wait(20)
    [item] = Outbox(agent.context)
    assert item.state == "uncertain"
    clock.advance(2 * DAY)
    wake(agent)
    letter(agent, "another").send().wait(20)
    assert len(sink.messages) == 2
    make_agent.stop(agent)
    agent = make_agent(user, clock=clock, fetch=QUIET)
    letter(agent, "a third").send().wait(20)
    assert len(sink.messages) == 3
    Outbox(agent.context)[0].retry()  # only a person may
    assert len(sink.wait_for(4)) == 4


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data"])
def test_a_connection_cut_before_the_end_means_not_sent_and_it_is_sent_later(
    make_agent: Agents, user: str, sink: Sink, phase: str
) -> None:
    clock = TestClock()
    agent = make_agent(user, clock=clock, fetch=QUIET)
    sink.cut(phase, times=1)  # type: ignore[arg-type]
    job = letter(agent).send()
    eventually(lambda: row(agent)["state"] == "queued" and row(agent)["error"])
    clock.advance(61)
    wake(agent)
    job.wait(20)
    assert len(sink.messages) == 1


def test_a_connection_cut_within_the_message_means_not_sent(
    make_agent: Agents, user: str, sink: Sink, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(sink.port)
    clock = TestClock()
    agent = make_agent(user, clock=clock, fetch=QUIET, smtp={"port": proxy.port})
    cut = proxy.cut("up", at=rb"Dear", keep=True)
    job = letter(agent).send()
    assert cut.done.wait(20)
    eventually(lambda: row(agent)["error"])
    # The piece may have left as a whole before the cut: then it is in doubt, and not sent again.
    if row(agent)["state"] == "queued":
        clock.advance(61)
        wake(agent)
        job.wait(20)
        assert len(sink.messages) == 1
    else:
        assert row(agent)["state"] == "uncertain"
        assert sink.messages == []


def test_a_kill_between_the_message_and_the_answer_leaves_it_in_doubt(
    make_agent: Agents, user: str, sink: Sink
) -> None:
    sink.hang("end", times=1)
    code = "compose('bob@example.com', 'hello', 'Dear Bob').send().wait(60)"
    child = make_agent.spawn("run", "-c", code, users=(user,), fetch=QUIET)
    sink.wait_for(1, timeout_s=30)
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    agent = make_agent(user, fetch=QUIET)
    eventually(lambda: [item.state for item in Outbox(agent.context)] == ["uncertain"])
    letter(agent, "another").send().wait(20)
    assert len(sink.messages) == 2


def test_a_kill_before_the_message_was_handed_over_sends_it_once_later(
    make_agent: Agents, user: str, sink: Sink
) -> None:
    fault = sink.hang("data", times=1)
    code = "compose('bob@example.com', 'hello', 'Dear Bob').send().wait(60)"
    child = make_agent.spawn("run", "-c", code, users=(user,), fetch=QUIET)
    eventually(lambda: fault.hits == 1, timeout_s=30)
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    agent = make_agent(user, fetch=QUIET)
    sink.wait_for(1)
    eventually(lambda: row(agent)["state"] == "sent")
    assert row(agent)["attempts"] == 2


def test_stopping_while_a_server_thinks_is_quick_and_leaves_it_in_doubt(
    make_agent: Agents, user: str, sink: Sink
) -> None:
    agent = make_agent(user, fetch=QUIET)
    sink.hang("end", times=1)
    letter(agent).send()
    sink.wait_for(1)
    begun = time.monotonic()
    make_agent.stop(agent)
    assert time.monotonic() - begun < 12
    agent = make_agent(user, fetch=QUIET)
    assert row(agent)["state"] == "uncertain"


# -- the copy --------------------------------------------------------------------------------


def test_a_copy_that_cannot_be_kept_is_told_and_sends_nothing_again(
    make_agent: Agents, dovecot: Dovecot, user: str, sink: Sink
) -> None:
    dovecot.limit(user, "20k")
    dovecot.save(user, mail(1, "x" * 70 + "\r\n" + "y" * 18_000 + "\r\n"))
    agent = make_agent(user, fetch=QUIET)
    synced(agent)
    big = letter(agent)
    big.text = "z" * 10_000
    big.send().wait(20)
    failed = "SELECT label, error FROM job WHERE state = 'failed'"
    eventually(lambda: agent.context.store.read(failed))
    [[label, error]] = agent.context.store.read(failed)
    assert label == "kept a copy of 'hello'"
    assert "uota" in error
    assert len(sink.messages) == 1


def test_a_copy_waits_for_the_line_and_is_kept_once(
    make_agent: Agents, dovecot: Dovecot, user: str, sink: Sink, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(dovecot.ports["imap"])
    agent = make_agent(user, fetch=QUIET, imap={"port": proxy.port, "security": "none"})
    work = synced(agent)
    proxy.refuse()
    proxy.cut_all()
    letter(agent).send().wait(20)
    assert on_server(dovecot, user) == {}
    proxy.refuse(False)
    work.sync().wait(20)
    eventually(lambda: [copy[0] for copy in on_server(dovecot, user).get("Sent", [])] == ["hello"])
    assert_equal(work, dovecot, user)
    assert len(sink.messages) == 1


# -- hold, cancel, clocks --------------------------------------------------------------------


def test_what_is_held_can_be_cancelled_until_it_goes(make_agent: Agents, user: str, sink: Sink) -> None:
    clock = TestClock()
    agent = make_agent(user, clock=clock, fetch=QUIET)
    first, second = letter(agent, "first").send(hold=30), letter(agent, "second").send(hold=30)
    first.cancel()
    eventually(lambda: first.state == "cancelled")
    assert [(item.subject, item.state) for item in Outbox(agent.context)] == [
        ("first", "cancelled"),  # its text is only here: edit() takes it up again
        ("second", "queued"),
    ]
    assert agent.wait_idle(5)
    clock.advance(31)
    wake(agent)
    second.wait(20)
    assert len(sink.messages) == 1
    second.cancel()
    letter(agent, "third").send().wait(20)
    assert second.state == "done"


def test_an_outbox_item_that_is_cancelled_ends_its_job(make_agent: Agents, user: str, sink: Sink) -> None:
    agent = make_agent(user, clock=TestClock(), fetch=QUIET)
    job = letter(agent).send(hold=30)
    Outbox(agent.context)[0].cancel()
    assert job.state == "cancelled"
    assert sink.messages == []


def test_a_clock_that_is_set_back_holds_nothing(make_agent: Agents, user: str, sink: Sink) -> None:
    clock = TestClock()
    agent = make_agent(user, clock=clock, fetch=QUIET)
    sink.refuse("mail", "451 4.7.1 later", times=1)
    job = letter(agent).send()
    eventually(lambda: row(agent)["error"])
    clock.set_back(30 * DAY)
    wake(agent)
    job.wait(20)
    make_agent.stop(agent)
    agent = make_agent(user, clock=clock, fetch=QUIET, serve=False)
    letter(agent, "queued before the clock was set").send()
    make_agent.stop(agent)
    clock.set_back(DAY)
    make_agent(user, clock=clock, fetch=QUIET)
    assert len(sink.wait_for(2)) == 2


def test_recipients_refused_for_now_get_it_later_and_nobody_twice(
    make_agent: Agents, sink: Sink, user: str
) -> None:
    clock = TestClock()
    agent = make_agent(user, clock=clock)
    synced(agent)
    sink.refuse("rcpt", "452 4.5.3 too many recipients", when="late@")
    job = letter(agent, "To both", "soon@example.com, late@example.com").send()
    sink.wait_for(1)
    eventually(lambda: [item.to for item in Outbox(agent.context)] == [("late@example.com",)])
    assert not job.done
    sink.heal()
    clock.advance(120)
    agent._outbound[work_of(agent).id].wake()
    sink.wait_for(2)
    eventually(lambda: job.done)
    assert [message.recipients for message in sink.messages] == [("soon@example.com",), ("late@example.com",)]
    assert sink.messages[0].data == sink.messages[1].data


def test_a_copy_waits_until_the_sent_folder_is_known(make_agent: Agents, sink: Sink, user: str) -> None:
    agent = make_agent(user, lazy=True)
    letter(agent, "Early").send().wait(10)
    work = synced(agent)
    eventually(lambda: [m.subject for m in work.sent] == ["Early"])
    work.sync().wait(10)
    assert work.sent.count() == 1
