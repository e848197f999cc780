"""Drafts: who writes, whom they go to, what speaks against sending, saving and sending."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import api
from agent.errors import CommandError
from tests.core.automation import Desk
from tests.harness.agents import Agents, assert_equal, synced
from tests.harness.dovecot import Dovecot


def test_what_speaks_against_sending_is_said(desk: Desk) -> None:
    desk.open()
    draft = api.compose(subject=" ", text="See attached.")
    assert draft.check() == [
        "it has no recipient", "it has no subject", "it speaks of an attachment and has none",
    ]  # fmt: skip
    with pytest.raises(CommandError, match="it has no recipient"):
        draft.send()
    draft.to = "nobody"
    with pytest.raises(CommandError, match="'nobody' is not an address"):
        draft.send()


def test_the_author_must_be_one_of_us_and_brings_its_account(desk: Desk) -> None:
    other = f"{desk.user}home"
    agent = desk.make_agent(desk.user, other, clock=desk.clock, aliases=["support@example.org"])
    api.activate(agent.context)
    draft = api.compose(to="bob@example.com", subject="x", text="x")
    draft.from_ = "SUPPORT@example.org"
    assert draft.from_.addr == "support@example.org"
    draft.from_ = f"{other}@example.org"
    assert draft.account.name == "home"
    with pytest.raises(CommandError, match="none of our addresses"):
        draft.from_ = "eve@example.com"


def test_a_reply_quotes_answers_the_sender_and_marks_the_message(desk: Desk) -> None:
    desk.open()
    desk.deliver(Cc="carol@example.com")
    desk.settle()
    draft = desk.newest().reply("Yes.")
    assert [person.addr for person in draft.to] == ["bob@example.com"]
    assert draft.cc == []
    assert draft.text.startswith("Yes.")
    assert "> Are you there?" in draft.text
    assert [person.addr for person in desk.newest().reply(all=True).cc] == ["carol@example.com"]
    draft.send().wait(10)
    assert desk.newest().answered


def test_bcc_gets_it_and_nobody_sees_that_it_does(desk: Desk) -> None:
    desk.open()
    draft = api.compose(to="bob@example.com", bcc="hidden@example.com", subject="x", text="x")
    draft.send().wait(10)
    [(stored, message)] = desk.replies()
    assert set(stored.recipients) == {"bob@example.com", "hidden@example.com"}
    assert b"hidden" not in stored.data
    assert message["Bcc"] is None


def test_a_saved_draft_is_replaced_and_gone_when_it_is_sent(desk: Desk) -> None:
    desk.dovecot.doveadm("mailbox", "create", "-u", desk.user, "Drafts")
    desk.open(folders={"drafts": "Drafts"})
    draft = api.compose(to="bob@example.com", subject="first", text="x")
    draft.save().wait(10)
    draft.subject = "second"
    draft.save().wait(10)
    assert [message.subject for message in desk.work.drafts] == ["second"]
    taken_up = desk.work.drafts[0].edit_as_new()
    taken_up.send().wait(10)
    desk.settle()
    assert desk.work.drafts.count() == 0
    assert desk.dovecot.doveadm("search", "-u", desk.user, "mailbox", "Drafts", "all").strip() == ""


def test_a_file_that_cannot_be_read_is_not_attached(desk: Desk, tmp_path: Path) -> None:
    desk.open()
    with pytest.raises(CommandError, match="cannot attach"):
        api.compose(subject="x").attach(tmp_path / "nothing")
    with pytest.raises(CommandError, match="cannot attach"):
        api.compose(subject="x").attach(tmp_path)


def test_line_breaks_in_a_field_are_refused(desk: Desk) -> None:
    desk.open()
    draft = api.compose(to="bob@example.com", subject="x\r\nBcc: eve@example.com", text="x")
    with pytest.raises(CommandError, match="line break"):
        draft.send()
    desk.settle()
    assert desk.replies() == []


def test_its_repr_is_safe_in_a_terminal(desk: Desk) -> None:
    desk.open()
    draft = api.compose(to='"\x1b[31m" <bob@example.com>', subject="\x1b]0;x\x07", text="x")
    assert not {"\x1b", "\x07"} & set(repr(draft))


@pytest.mark.parametrize("why", ["quota", "folder gone"])
def test_a_draft_that_no_folder_takes_keeps_its_text_and_the_one_before(
    why: str, make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.limit(user, "1M")
    dovecot.doveadm("mailbox", "create", "-u", user, "Texts")
    agent = make_agent(user, fetch={"idle": False, "every": "never"}, folders={"drafts": "Texts"})
    api.activate(agent.context)
    work = synced(agent)
    draft = api.compose(to="bob@example.com", subject="x", text="first")
    draft.save().wait(20)
    draft.text = "second" if why == "folder gone" else "second " + 200_000 * "y 123456 "
    if why == "folder gone":
        dovecot.doveadm("mailbox", "delete", "-u", user, "Texts")
    with pytest.raises(CommandError, match="its text is kept in the outbox"):
        draft.save().wait(20)
    [item] = api.outbox
    assert item.state == "cancelled"
    assert item.edit().text.startswith("second")
    if why == "quota":
        assert [m.text.strip() for m in work["Texts"]] == ["first"]
        assert_equal(work, dovecot, user)
