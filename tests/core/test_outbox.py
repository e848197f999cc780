"""Cancel, retry, and the states that a person sees."""

from __future__ import annotations

import pytest

from agent import api
from agent.core.draft import Draft
from agent.core.outbox import Outbox
from agent.errors import CommandError
from agent.store import outbox
from tests.core.automation import Desk


def draft(subject: str = "Held") -> Draft:
    return api.compose(to="bob@example.com", subject=subject, text="x")


def test_what_is_held_can_be_cancelled_and_is_not_sent(desk: Desk) -> None:
    agent = desk.open()
    job = draft().send(hold=3600)
    [item] = Outbox(agent.context)
    assert (item.state, item.subject, item.to) == ("queued", "Held", ("bob@example.com",))
    item.cancel()
    assert (item.state, job.state) == ("cancelled", "cancelled")
    desk.clock.advance(7200)
    desk.settle()
    assert desk.replies() == []
    with pytest.raises(CommandError, match="is cancelled; it cannot be"):
        item.cancel()


def test_a_cancel_that_was_quicker_than_the_sender_holds(desk: Desk) -> None:
    agent = desk.open()
    draft().send(hold=3600)
    [item] = Outbox(agent.context)
    item.cancel()
    assert agent.context.commit(lambda tx: outbox.begin(tx, item.id)) is False
    assert item.state == "cancelled"


def test_what_was_refused_can_be_tried_again(desk: Desk) -> None:
    fault = desk.sink.refuse("rcpt", "550 5.1.1 no such user")
    agent = desk.open()
    job = draft().send()
    with pytest.raises(CommandError, match="no such user"):
        job.wait(10)
    [item] = Outbox(agent.context)
    assert (item.state, item.attempts) == ("failed", 1)
    fault.times = fault.hits
    item.retry()
    job.wait(10)
    assert (item.state, item.attempts) == ("sent", 2)
    assert len(Outbox(agent.context)) == 0


def test_who_waits_for_mail_whose_fate_is_unknown_is_told(desk: Desk) -> None:
    desk.sink.cut("end")
    agent = desk.open()
    job = draft().send()
    with pytest.raises(CommandError, match="may have been sent"):
        job.wait(10)
    [item] = Outbox(agent.context)
    assert item.state == "uncertain"
    assert repr(item).startswith("<uncertain 'Held' to bob@example.com: ")
    desk.settle()
    assert len(desk.sink.messages) == 1


def test_mail_for_later_waits_for_its_time(desk: Desk) -> None:
    desk.open()
    draft("Now").send()
    draft("Later").send(at="in 2h")
    desk.settle()
    assert [reply["Subject"] for _, reply in desk.replies()] == ["Now"]
    desk.clock.advance(7201)
    for outbound in desk.agent._outbound.values():
        outbound.wake()
    desk.sink.wait_for(2)


def test_what_a_subject_says_cannot_reach_the_terminal_raw(desk: Desk) -> None:
    agent = desk.open()
    draft("\x1b]0;pwned\x07").send(hold=60)
    assert not {"\x1b", "\x07"} & set(repr(Outbox(agent.context)))


def test_what_was_taken_back_is_a_draft_again(desk: Desk) -> None:
    agent = desk.open()
    draft("Not yet").send(hold=3600)
    [item] = Outbox(agent.context)
    item.cancel()
    [shown] = Outbox(agent.context)
    assert (shown.state, shown.subject) == ("cancelled", "Not yet")
    again = shown.edit()
    assert (again.subject, again.text.strip()) == ("Not yet", "x")
    assert [str(person) for person in again.to] == ["bob@example.com"]
    assert len(Outbox(agent.context)) == 0
    again.send().wait(10)
