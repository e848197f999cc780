"""Hooks and rules on real mail: order, misbehaviour, and what a crash leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent import api, userconf
from agent.app import Agent
from agent.core.message import Message
from agent.errors import Abandoned
from agent.store import ledger
from tests.core.automation import Desk
from tests.harness.conditions import eventually

Register = Callable[[Agent], None]


def code(text: str, folder: Path) -> Register:
    """Register what an init.py registers, and print its problems."""

    def register(agent: Agent) -> None:
        path = folder / "init.py"
        path.write_text(text)
        path.chmod(0o600)
        assert userconf.load(agent.context, path) == []

    return register


def subjects(messages: Any) -> list[str]:
    return [message.subject for message in messages]


def test_hooks_come_before_rules_and_rules_in_their_order(desk: Desk) -> None:
    calls: list[str] = []

    def register(agent: Agent) -> None:
        for name, order in (("late", 90), ("early", 10), ("middle", 50)):

            def ruled(message: Message, name: str = name) -> None:
                calls.append(name)

            ruled.__qualname__ = name
            agent.context.rules.rule("", order=order)(ruled)

        @agent.context.hooks.message_new
        def hook(event: Any) -> None:
            calls.append("hook")

    desk.open(register)
    desk.deliver()
    desk.settle()
    assert calls == ["hook", "early", "middle", "late"]


def test_rules_see_what_the_rules_before_them_did_and_stop_ends_the_chain(desk: Desk, tmp_path: Path) -> None:
    text = """
@rule("subject:bill", order=1)
def tagged(m): m.tag("money")

@rule("tag:money", order=2, stop=True)
def flagged(m): m.flag()

@rule("", order=3)
def read(m): m.mark_read()
"""
    desk.open(code(text, tmp_path))
    desk.deliver(Subject="bill")
    desk.deliver(Subject="letter")
    desk.settle()
    state = {m.subject: (set(m.tags), m.flagged, m.unread) for m in desk.work.inbox}
    assert state == {"bill": ({"money"}, True, True), "letter": (set(), False, False)}


def test_what_a_rule_did_is_on_the_server(desk: Desk, tmp_path: Path) -> None:
    desk.dovecot.doveadm("mailbox", "create", "-u", desk.user, "Bills")
    desk.open(code('@rule("subject:bill")\ndef bills(m): m.move("Bills")\n', tmp_path))
    desk.deliver(Subject="bill")
    desk.deliver(Subject="letter")
    desk.settle()
    listed = desk.dovecot.doveadm("fetch", "-u", desk.user, "hdr.subject", "mailbox", "Bills")
    assert listed.strip() == "hdr.subject: bill"


def test_an_event_comes_once_for_a_message_however_often_it_is_moved(desk: Desk) -> None:
    calls: list[str] = []
    desk.dovecot.doveadm("mailbox", "create", "-u", desk.user, "Else")

    def register(agent: Agent) -> None:
        @agent.context.hooks.message_new
        def hook(event: Any) -> None:
            calls.append(event.message.subject)

    desk.open(register)
    desk.deliver()
    desk.settle()
    desk.newest().move("Else")
    desk.settle()
    desk.dovecot.doveadm("move", "-u", desk.user, "INBOX", "mailbox", "Else", "all")
    desk.settle()
    desk.reopen(register)
    desk.settle()
    assert calls == ["Question 1"]


# -- handlers that misbehave -----------------------------------------------------------------

BAD = {
    "raises": ("raise ValueError('no good')", "ValueError: no good"),
    "raises an error of ours": ("event.message.move('Nowhere')", "work has no folder 'Nowhere'"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "recurses": ("hook(event)", "RecursionError: maximum recursion depth exceeded"),
}


@pytest.mark.logs("init.hook .* failed")
@pytest.mark.parametrize(("statement", "told"), BAD.values(), ids=BAD)
def test_mail_goes_on_and_the_user_is_told_name_and_line(
    desk: Desk, tmp_path: Path, statement: str, told: str
) -> None:
    text = f"""
@on.message_new
def hook(event):
    {statement}

@rule("")
def after(m): m.flag()
"""
    agent = desk.open(code(text, tmp_path))
    desk.deliver()
    desk.settle()
    [said] = [line for line in desk.told if "init.hook" in line]
    assert said.startswith(f"init.hook (init.py:4): {told}")
    assert desk.newest().flagged
    assert agent.context.bus.failures == 1


@pytest.mark.logs("init.hook .* failed")
def test_a_failing_handler_does_not_fill_the_screen(desk: Desk, tmp_path: Path) -> None:
    desk.open(code("@on.message_new\ndef hook(event): raise ValueError('same')\n", tmp_path))
    for _ in range(4):
        desk.deliver()
    desk.settle()
    assert desk.agent.context.bus.failures == 4
    assert len([line for line in desk.told if "init.hook" in line]) == 1


def test_a_handler_may_delete_its_message(desk: Desk, tmp_path: Path) -> None:
    text = """
@on.message_new
def hook(event): event.message.delete()

@rule("")
def never(m): m.flag()

vacation("Away")
"""
    desk.open(code(text, tmp_path))
    desk.deliver()
    desk.deliver(Subject="two")
    desk.settle()
    assert desk.work.inbox.count() == 0
    assert desk.replies() == []
    assert not desk.told


def test_mail_that_a_rule_sends_to_ourselves_does_not_go_round(desk: Desk, tmp_path: Path) -> None:
    text = "@rule('')\ndef note(m): compose(to=m.account.address.addr, subject='Note', text='x').send()\n"
    desk.open(code(text, tmp_path))
    desk.deliver()
    desk.settle()
    [(stored, _)] = desk.replies()
    desk.dovecot.deliver(desk.user, stored.data, desk.address)
    desk.settle()
    assert desk.work.inbox.count() == 2
    assert len(desk.replies()) == 1


class Hang:
    """A handler that hangs until it is let go, then goes on and notes how that ended."""

    def __init__(self) -> None:
        self.begun, self.go, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.calls = 0
        self.outcome: BaseException | None = None

    def __call__(self, message: Message) -> None:
        self.calls += 1
        self.begun.set()
        self.go.wait(20)
        try:
            message.flag()
        except BaseException as error:
            self.outcome = error
            raise
        finally:
            self.ended.set()


def hanging(hang: Hang, then: Callable[[Message], Any]) -> Register:
    def register(agent: Agent) -> None:
        def stuck(message: Message) -> None:
            hang(message)

        def after(message: Message) -> None:
            then(message)

        stuck.__module__ = after.__module__ = "init"
        stuck.__qualname__, after.__qualname__ = "stuck", "after"
        agent.context.rules.rule("", order=1)(stuck)
        agent.context.rules.rule("", order=2)(after)

    return register


@pytest.mark.logs("stuck .* was abandoned")
def test_a_handler_that_hangs_is_told_of_then_given_up_on(desk: Desk) -> None:
    hang, after = Hang(), list[str]()
    agent = desk.open(hanging(hang, lambda message: after.append(message.subject)))
    desk.deliver()
    desk.work.sync().wait(10)
    assert hang.begun.wait(10)
    desk.clock.advance(6)
    eventually(lambda: any("has been running for 6 s" in line for line in desk.told))
    assert after == []
    desk.clock.advance(60)
    eventually(lambda: after == ["Question 1"])
    assert any(line.startswith("init.stuck (test_bus.py:") and "abandoned" in line for line in desk.told)
    desk.deliver()
    desk.settle()
    assert after == ["Question 1", "Question 2"]
    hang.go.set()
    assert hang.ended.wait(10)
    assert isinstance(hang.outcome, Abandoned)
    assert (hang.calls, after) == (1, ["Question 1", "Question 2"])
    assert "init.stuck" in agent.context.bus.supervisor.quarantined
    assert not any(message.flagged for message in desk.work.inbox)


@pytest.mark.logs("stuck .* was abandoned")
def test_a_handler_that_comes_back_late_runs_nothing_else_and_loading_init_again_releases_it(
    desk: Desk, tmp_path: Path
) -> None:
    hang, after = Hang(), list[str]()
    agent = desk.open(hanging(hang, lambda message: after.append(threading.current_thread().name)))
    desk.deliver()
    desk.work.sync().wait(10)
    assert hang.begun.wait(10)
    first = next(thread for thread in threading.enumerate() if thread.name == "events")
    desk.clock.advance(61)
    eventually(lambda: len(after) == 1)
    hang.go.set()
    first.join(10)
    assert not first.is_alive()
    assert len(after) == 1
    code("", tmp_path)(agent)
    assert agent.context.bus.supervisor.quarantined == {}


def test_the_agent_stops_in_the_middle_and_the_rest_is_handled_after_the_start(desk: Desk) -> None:
    hang, after = Hang(), list[str]()
    register = hanging(hang, lambda message: after.append(message.subject))
    agent = desk.open(register)
    desk.deliver()
    desk.work.sync().wait(10)
    assert hang.begun.wait(10)
    stopping = threading.Thread(target=lambda: desk.make_agent.stop(agent))
    stopping.start()
    eventually(lambda: agent.context.bus._stopping)
    hang.go.set()
    stopping.join(20)
    assert after == []
    desk.open(register)
    desk.settle()
    assert (hang.calls, after) == (1, ["Question 1"])


# -- crashes ---------------------------------------------------------------------------------


def as_after_a_crash(desk: Desk, *rules: tuple[str, str]) -> None:
    """Put the store into the state of a crash: the message is due, claims stand as given."""
    key, account = desk.newest()._key(), desk.work.id

    def work(tx: Any) -> None:
        tx.execute("UPDATE message SET arrival = 1 WHERE arrival = 2")
        tx.execute("DELETE FROM claim")
        for rule, state in rules:
            ledger.begin(tx, rule, account, key, 0.0)
            if state == ledger.DONE:
                ledger.end(tx, rule, account, key)

    desk.agent.context.commit(work)
    desk.agent.context.bus.wake()
    desk.settle()


def counted(calls: list[str], name: str, match: Any = "", **options: Any) -> Register:
    def register(agent: Agent) -> None:
        def ruled(message: Message) -> None:
            calls.append(name)

        ruled.__module__, ruled.__qualname__ = "init", name
        agent.context.rules.rule(match, **options)(ruled)

    return register


def test_after_a_crash_the_one_that_ran_runs_again_and_the_others_do_not(desk: Desk) -> None:
    calls: list[str] = []

    def register(agent: Agent) -> None:
        for order, name in enumerate(("first", "second", "third")):
            counted(calls, name, order=order)(agent)

    desk.open(register)
    desk.deliver()
    desk.settle()
    calls.clear()
    as_after_a_crash(desk, ("rule:init.first", ledger.DONE), ("rule:init.second", ledger.STARTED))
    assert calls == ["second", "third"]


def test_one_that_had_started_is_not_asked_again_whether_it_wants_the_message(desk: Desk) -> None:
    calls: list[str] = []

    def register(agent: Agent) -> None:
        counted(calls, "unread", "is:unread", order=1, stop=True)(agent)
        counted(calls, "never", order=2)(agent)

    desk.open(register)
    desk.deliver()
    desk.settle()
    calls.clear()
    desk.newest().mark_read()
    as_after_a_crash(desk, ("rule:init.unread", ledger.STARTED))
    assert calls == ["unread"]


def test_stop_holds_after_a_crash_too(desk: Desk) -> None:
    calls: list[str] = []

    def register(agent: Agent) -> None:
        counted(calls, "unread", "is:unread", order=1, stop=True)(agent)
        counted(calls, "never", order=2)(agent)

    desk.open(register)
    desk.deliver()
    desk.settle()
    calls.clear()
    desk.newest().mark_read()
    as_after_a_crash(desk, ("rule:init.unread", ledger.DONE))
    assert calls == []


@pytest.mark.logs("ended the program 3 times")
def test_a_handler_that_takes_the_program_down_is_taken_out(desk: Desk) -> None:
    calls: list[str] = []
    agent = desk.open(counted(calls, "deadly"))
    desk.deliver()
    desk.settle()
    calls.clear()
    started = ("rule:init.deadly", ledger.STARTED)
    as_after_a_crash(desk, started, started, started)
    assert calls == []
    assert any("ended the program 3 times" in line for line in desk.told)
    assert "init.deadly" in agent.context.bus.supervisor.quarantined


def test_the_same_bytes_in_two_accounts_are_handled_in_each(desk: Desk) -> None:
    other = f"{desk.user}home"
    desk.agent = desk.make_agent(
        desk.user, other, clock=desk.clock, serve=False, automation=True, fetch={"idle": False}
    )
    api.activate(desk.agent.context)

    @desk.agent.context.rules.rule("")
    def note(message: Message) -> None:
        api.compose(to="pager@example.net", subject=str(message.account), text="x").send()

    desk.agent.serve(lazy=True)
    desk.settle("work")
    desk.settle("home")
    letter = desk.letter()
    desk.dovecot.save(desk.user, letter)
    desk.dovecot.save(other, letter)
    desk.settle("work")
    desk.settle("home")
    assert sorted(reply["Subject"] for _, reply in desk.replies()) == ["home", "work"]


def test_a_large_message_is_handled_once_although_the_rest_of_it_is_fetched(desk: Desk) -> None:
    calls: list[bool] = []

    def register(agent: Agent) -> None:
        @agent.context.rules.rule("")
        def fetches(message: Message) -> None:
            message.fetch().wait(20)
            api.compose(to="pager@example.net", subject="New", text="x").send()
            calls.append(message.fetched)

    desk.open(register)
    desk.dovecot.save(desk.user, desk.letter(text="0123456789abcdef\r\n" * 80_000))
    desk.settle()
    assert calls == [True]
    calls.clear()

    def crash(tx: Any) -> None:
        tx.execute("UPDATE claim SET state = 'started'")
        tx.execute("UPDATE message SET arrival = 1 WHERE arrival = 2")

    desk.agent.context.commit(crash)
    desk.agent.context.bus.wake()
    desk.settle()
    assert calls == [True]
    assert len(desk.replies()) == 1


def test_ten_messages_at_once_are_handled_in_their_order(desk: Desk) -> None:
    calls: list[str] = []

    def register(agent: Agent) -> None:
        @agent.context.hooks.message_new
        def hook(event: Any) -> None:
            calls.append(event.message.subject)

    desk.open(register)
    for number in range(10):
        desk.deliver(Subject=f"number {number}")
    desk.settle()
    assert calls == [f"number {number}" for number in range(10)]


def test_drafts_and_sent_mail_raise_no_event(desk: Desk) -> None:
    calls: list[str] = []
    for folder in ("Sent", "Drafts"):
        desk.dovecot.doveadm("mailbox", "create", "-u", desk.user, folder)

    def register(agent: Agent) -> None:
        @agent.context.hooks.message_new
        def hook(event: Any) -> None:
            calls.append(event.message.subject)

    desk.open(register, folders={"sent": "Sent", "drafts": "Drafts"})
    desk.dovecot.save(desk.user, desk.letter(), "Sent")
    desk.dovecot.save(desk.user, desk.letter(), "Drafts")
    desk.settle()
    assert calls == []
