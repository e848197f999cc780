"""Who is answered automatically, how, and how often; and that nothing gets past the gate."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agent import api
from agent.app import Agent
from agent.core import caps, replies
from agent.core.acting import Actor, acting
from agent.core.job import Job
from agent.core.message import Message
from agent.errors import CommandError
from tests.core.automation import Desk

Register = Callable[[Agent], None]
DAY = 86_400.0
NULL = "<>"  # as the sink writes the null return path


def vacation(text: str = "I am away.", **options: Any) -> Register:
    """Register a vacation."""
    wanted: dict[str, Any] = {
        "since": "", "until": "", "days": 7, "subject": "", "handle": "vacation", "match": "",
    } | options  # fmt: skip

    def register(agent: Agent) -> None:
        replies.vacation(agent.context, text, **wanted)

    return register


def rule(work: Callable[[Message], Any], match: str = "", name: str = "ruled", **options: Any) -> Register:
    """Register a rule that runs `work`."""

    def ruled(message: Message) -> None:
        work(message)

    ruled.__module__, ruled.__qualname__ = "init", name

    def register(agent: Agent) -> None:
        agent.context.rules.rule(match, **options)(ruled)

    return register


def test_a_vacation_answers_once_with_the_headers_of_an_automatic_reply(desk: Desk) -> None:
    desk.open(vacation())
    desk.deliver(References="<first@example.com> <second@example.com>", Subject="Lunch?")
    desk.settle()
    desk.settle()
    [(stored, reply)] = desk.replies()
    assert stored.sender == NULL
    assert stored.recipients == ("bob@example.com",)
    assert reply["Auto-Submitted"] == "auto-replied"
    assert reply["X-Auto-Response-Suppress"] == "All"
    assert reply["Precedence"] == "bulk"
    assert reply["From"] == desk.address
    assert reply["To"] == "Bob <bob@example.com>"
    assert reply["Subject"] == "Auto: Lunch?"
    assert reply["In-Reply-To"] == f"<{desk.user}.1@example.com>"
    assert reply["References"].split() == [
        "<first@example.com>", "<second@example.com>", f"<{desk.user}.1@example.com>",
    ]  # fmt: skip
    assert reply["Message-ID"]
    assert reply["Date"]
    assert "I am away." in reply.get_payload()


def test_a_hook_answers_once_for_a_message(desk: Desk) -> None:
    def register(agent: Agent) -> None:
        @agent.context.hooks.message_new(folder="INBOX")
        def answer(event: Any) -> None:
            event.message.auto_reply("Thanks.")

    desk.open(register)
    desk.deliver()
    desk.settle()
    desk.settle()
    assert [reply["Auto-Submitted"] for _, reply in desk.replies()] == ["auto-replied"]


def test_the_answer_goes_to_the_return_path_never_to_reply_to(desk: Desk) -> None:
    desk.open(vacation())
    desk.deliver(envelope="way-back@example.com", Reply_To="victim@example.net")
    desk.settle()
    [(stored, _)] = desk.replies()
    assert stored.recipients == ("way-back@example.com",)


def test_an_automatic_reply_does_not_mark_the_message_as_answered_nor_fill_sent(desk: Desk) -> None:
    desk.open(vacation())
    desk.deliver()
    desk.settle()
    assert len(desk.replies()) == 1
    assert not desk.newest().answered
    assert "Sent" not in desk.work or not desk.work["Sent"].count()


REFUSED = {
    "a list": {"List_Id": "<list.example.org>"},
    "unsubscribable": {"List_Unsubscribe": "<mailto:off@example.org>"},
    "bulk": {"Precedence": "bulk"},
    "junk precedence": {"Precedence": "junk"},
    "generated": {"Auto_Submitted": "auto-generated"},
    "replied": {"Auto_Submitted": "auto-replied (vacation)"},
    "suppressed": {"X_Auto_Response_Suppress": "All"},
    "out of office suppressed": {"X_Auto_Response_Suppress": "DR, OOF"},
    "a null sender": {"envelope": ""},
    "a daemon": {"sender": "MAILER-DAEMON@example.com"},
    "an owner": {"sender": "owner-list@example.com"},
    "a request address": {"sender": "list-request@example.com"},
    "no reply": {"sender": "no-reply@example.com"},
    "spam": {"X_Spam_Flag": "YES"},
    "not for us": {"To": "Somebody <somebody@example.org>"},
}


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
def test_it_is_never_answered(desk: Desk, headers: dict[str, str]) -> None:
    desk.open(vacation())
    desk.deliver(**headers)
    desk.deliver(sender="carol@example.com")
    desk.settle()
    assert [stored.recipients for stored, _ in desk.replies()] == [("carol@example.com",)]


def test_our_own_addresses_are_never_answered(desk: Desk) -> None:
    other = f"{desk.user}home"
    desk.agent = desk.make_agent(
        desk.user, other, clock=desk.clock, serve=False, automation=True, fetch={"idle": False},
        aliases=["support@example.org"],
    )  # fmt: skip
    vacation()(desk.agent)
    desk.agent.serve(lazy=True)
    desk.settle()
    for sender in (desk.address, desk.address.upper(), "support@example.org", f"{other}@example.org"):
        desk.deliver(sender=sender)
    desk.settle()
    assert desk.work.inbox.count() == 4
    assert desk.replies() == []


def test_mail_that_a_rule_put_into_junk_is_not_answered(desk: Desk) -> None:
    def register(agent: Agent) -> None:
        rule(lambda message: message.move("Junk"), "subject:viagra", order=10)(agent)
        vacation()(agent)

    desk.dovecot.doveadm("mailbox", "create", "-u", desk.user, "Junk")
    desk.open(register, folders={"junk": "Junk"})
    desk.deliver(Subject="viagra")
    desk.settle()
    assert desk.work["Junk"].count() == 1
    assert desk.replies() == []


def test_mail_older_than_the_option_says_is_not_answered(desk: Desk) -> None:
    desk.open(vacation())
    desk.deliver()
    desk.clock.advance(4 * DAY)
    desk.settle()
    assert desk.newest().subject == "Question 1"
    assert desk.replies() == []


def test_what_lay_there_before_the_first_sync_is_not_answered(desk: Desk) -> None:
    desk.deliver()
    desk.open(vacation())
    desk.settle()
    assert desk.work.inbox.count() == 1
    assert desk.replies() == []


def test_a_sender_is_answered_once_in_a_period(desk: Desk) -> None:
    desk.open(vacation(days=7))
    desk.deliver()
    desk.deliver(sender="BOB@Example.COM")
    desk.settle()
    assert len(desk.replies()) == 1
    desk.clock.advance(6 * DAY)
    desk.agent.context.options.define(gate_option("automatic-max-age"))
    desk.agent.context.options.set("automatic-max-age", "30d")
    desk.deliver()
    desk.settle()
    assert len(desk.replies()) == 1
    desk.clock.advance(DAY)
    desk.deliver()
    desk.settle()
    assert len(desk.replies()) == 2


def gate_option(name: str) -> Any:
    return next(option for option in caps.OPTIONS if option.name == name)


def test_the_clock_set_back_does_not_make_a_second_answer(desk: Desk) -> None:
    desk.open(vacation())
    desk.deliver()
    desk.settle()
    desk.clock.set_back(30 * DAY)
    desk.deliver()
    desk.settle()
    assert len(desk.replies()) == 1


def test_each_handle_answers_for_itself(desk: Desk) -> None:
    def register(agent: Agent) -> None:
        vacation("One", handle="one")(agent)
        vacation("Two", handle="two")(agent)

    desk.open(register)
    desk.deliver()
    desk.deliver()
    desk.settle()
    assert sorted(reply.get_payload().strip() for _, reply in desk.replies()) == ["One", "Two"]


def test_who_writes_to_two_of_our_accounts_is_answered_once(desk: Desk) -> None:
    other = f"{desk.user}home"
    desk.agent = desk.make_agent(
        desk.user, other, clock=desk.clock, serve=False, automation=True, fetch={"idle": False}
    )
    vacation()(desk.agent)
    desk.agent.serve(lazy=True)
    desk.settle("work")
    desk.settle("home")
    letter = desk.letter(Cc=f"{other}@example.org")
    desk.dovecot.deliver(desk.user, letter, "bob@example.com")
    desk.dovecot.deliver(other, letter, "bob@example.com")
    desk.settle("work")
    desk.settle("home")
    assert desk.agent.context.accounts["home"].inbox.count() == 1
    assert len(desk.replies()) == 1


@pytest.mark.parametrize(("option", "span"), [("automatic-per-hour", 3600.0), ("automatic-per-day", DAY)])
def test_a_cap_stops_a_storm_and_is_told_once(desk: Desk, option: str, span: float) -> None:
    agent = desk.open(vacation())
    for each in ("automatic-per-hour", "automatic-per-day"):
        agent.context.options.define(gate_option(each))
    agent.context.options.set(option, 3)
    for number in range(6):
        desk.deliver(sender=f"sender{number}@example.com")
    desk.settle()
    assert len(desk.replies()) == 3
    assert [text for text in desk.told if option in text] == [
        f"work has sent 3 automatic messages within {'an hour' if span == 3600 else 'a day'}:"
        f" no more are sent for now; see option {option}"
    ]
    desk.clock.advance(span + 1)
    desk.deliver(sender="late@example.com")
    desk.settle()
    assert len(desk.replies()) == 4


def test_the_vacation_ends_when_it_says(desk: Desk) -> None:
    day = datetime.datetime.fromtimestamp(desk.clock.now(), datetime.UTC) + datetime.timedelta(days=1)
    desk.open(vacation(until=f"{day:%Y-%m-%d}"))
    desk.deliver()
    desk.settle()
    assert len(desk.replies()) == 1
    desk.clock.advance(DAY)
    desk.deliver(sender="carol@example.com")
    desk.settle()
    assert len(desk.replies()) == 1


def test_a_vacation_without_text_or_days_is_refused_at_once(desk: Desk) -> None:
    agent = desk.open()
    with pytest.raises(CommandError, match="the text is empty"):
        vacation("  ")(agent)
    with pytest.raises(CommandError, match="more than once a day"):
        vacation(days=0)(agent)


# -- drafts sent by rules --------------------------------------------------------------------


def test_a_reply_draft_of_a_rule_passes_the_same_gate(desk: Desk) -> None:
    desk.open(rule(lambda message: message.reply("Got it.").send()))
    desk.deliver()
    desk.deliver()
    desk.deliver(sender="list@example.com", List_Id="<x.example.com>")
    desk.settle()
    [(stored, reply)] = desk.replies()
    assert (stored.sender, stored.recipients) == (NULL, ("bob@example.com",))
    assert reply["Auto-Submitted"] == "auto-replied"
    assert reply["In-Reply-To"] == f"<{desk.user}.1@example.com>"


def test_mail_to_the_writer_is_an_answer_however_it_was_begun(desk: Desk) -> None:
    def work(message: Message) -> None:
        api.compose(to=message.from_.addr, subject="Thanks", text="Got it.").send()

    desk.open(rule(work))
    desk.deliver(sender="robot@example.com", Auto_Submitted="auto-generated")
    desk.deliver()
    desk.deliver()
    desk.settle()
    [(stored, reply)] = desk.replies()
    assert stored.recipients == ("bob@example.com",)
    assert reply["Auto-Submitted"] == "auto-replied"


def test_mail_to_a_third_person_says_that_it_is_automatic_and_has_no_period(desk: Desk) -> None:
    desk.open(rule(lambda message: api.compose(to="pager@example.net", subject="New", text="Mail.").send()))
    desk.deliver()
    desk.deliver()
    desk.settle()
    assert [stored.recipients for stored, _ in desk.replies()] == [("pager@example.net",)] * 2
    assert {reply["Auto-Submitted"] for _, reply in desk.replies()} == {"auto-generated"}
    assert {stored.sender for stored, _ in desk.replies()} == {desk.address}


def test_force_is_explicit_and_skips_the_gate(desk: Desk) -> None:
    def work(message: Message) -> None:
        message.reply("Forced.").send(force=True)

    desk.open(rule(work))
    desk.deliver(sender="robot@example.com", Auto_Submitted="auto-generated")
    desk.deliver(sender="robot@example.com", Auto_Submitted="auto-generated")
    desk.settle()
    assert [reply["Auto-Submitted"] for _, reply in desk.replies()] == [None, None]


def test_a_reply_without_to_still_finds_whom_it_answers(desk: Desk) -> None:
    def work(message: Message) -> None:
        draft = message.reply("Hidden.")
        draft.bcc, draft.to = draft.to, ""
        draft.send()

    desk.open(rule(work))
    desk.deliver()
    desk.deliver()
    desk.settle()
    assert [stored.recipients for stored, _ in desk.replies()] == [("bob@example.com",)]


def test_our_own_automatic_mail_leads_to_no_more_of_it(desk: Desk) -> None:
    def work(message: Message) -> None:
        api.compose(to="pager@example.net", subject="New", text="Mail.").send()

    desk.open(rule(work))
    desk.deliver(sender=desk.address, Auto_Submitted="auto-generated")
    desk.settle()
    assert desk.replies() == []
    assert any("automatically by ourselves" in job.error for job in desk.agent_jobs())


def test_a_thread_that_a_hook_started_does_not_walk_around_the_gate(desk: Desk) -> None:
    jobs: list[Job] = []

    def work(message: Message) -> None:
        thread = threading.Thread(target=lambda: jobs.append(message.reply("From a thread.").send()))
        thread.start()
        thread.join()

    desk.open(rule(work))
    desk.deliver(List_Id="<x.example.com>")
    desk.settle()
    assert desk.replies() == []
    assert [job.state for job in jobs] == ["cancelled"]


def test_a_draft_is_not_sent_twice_by_a_second_send(desk: Desk) -> None:
    desk.open()
    draft = api.compose(to="bob@example.com", subject="Once", text="Only.")
    draft.send()
    with pytest.raises(CommandError, match="queued already"):
        draft.send()
    desk.settle()
    assert len(desk.replies()) == 1


# -- people ----------------------------------------------------------------------------------


def test_a_person_wants_a_handle_and_cannot_get_around_the_gate_by_accident(desk: Desk) -> None:
    desk.open()
    desk.deliver(Precedence="list")
    desk.settle()
    message = desk.newest()
    with pytest.raises(CommandError, match="wants a handle"):
        message.auto_reply("Hello")
    job = message.auto_reply("Hello", handle="by hand")
    assert (job.state, job.error) == ("cancelled", "it is bulk mail (Precedence: list)")
    assert desk.replies() == []
    message.auto_reply("Hello", handle="by hand", force=True).wait(10)
    assert len(desk.replies()) == 1


def test_a_person_who_replies_is_not_held_up(desk: Desk) -> None:
    desk.open()
    desk.deliver(Precedence="list")
    desk.settle()
    desk.newest().reply("By hand.").send().wait(10)
    [(stored, reply)] = desk.replies()
    assert stored.sender == desk.address
    assert reply["Auto-Submitted"] is None
    assert desk.newest().answered


def test_sends_of_a_rule_are_numbered_whether_they_go_out_or_not(desk: Desk) -> None:
    agent = desk.open()
    desk.deliver(Precedence="bulk")
    desk.settle()
    message = desk.newest()
    who = Actor("rule", "init.r", "1 content", message)
    with acting(who):
        message.auto_reply("Refused.")
        api.compose(to="pager@example.net", subject="One", text="1").send()
    # The same run after a crash; what was refused then may be allowed now, and the other way round.
    with acting(Actor("rule", "init.r", "1 content", message)):
        message.auto_reply("Allowed.", force=True)
        api.compose(to="pager@example.net", subject="One", text="1").send()
    agent.wait_idle(10)
    assert [reply["Subject"] for _, reply in desk.replies() if reply["Subject"] == "One"] == ["One"]


def test_a_server_that_takes_no_null_sender_gets_the_address_and_it_is_remembered(desk: Desk) -> None:
    desk.sink.refuse("mail", "550 5.1.7 no null sender here", when="<>")
    desk.open(vacation())
    desk.deliver()
    desk.settle()
    assert [stored.sender for stored, _ in desk.replies()] == [desk.address]
    connections = desk.sink.connections
    desk.deliver(sender="carol@example.com")
    desk.settle()
    assert [stored.sender for stored, _ in desk.replies()] == [desk.address] * 2
    assert desk.sink.connections >= connections


def test_a_refused_recipient_of_a_reply_is_not_blamed_on_the_null_sender(desk: Desk) -> None:
    desk.sink.refuse("rcpt", "550 5.1.1 no such user", when="bob")
    desk.open(vacation())
    desk.deliver()
    desk.settle()
    assert desk.replies() == []
    desk.deliver(sender="carol@example.com")
    desk.settle()
    assert [stored.sender for stored, _ in desk.replies()] == [NULL]
