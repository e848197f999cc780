"""Threads as live objects, on mail that lies in a real Dovecot."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from email.utils import formatdate

import pytest

from agent import output
from agent.core.account import Account
from agent.core.message import Message
from agent.core.messages import Messages
from agent.mail import query
from tests.harness.agents import Agents
from tests.harness.dovecot import Dovecot

START = 1_780_000_000
Save = Callable[..., bytes]


@pytest.fixture
def save(dovecot: Dovecot, user: str) -> Save:
    """Put a message into a folder of the user: `save("b", "a", folder="Sent", at=5)`."""

    def put(name: str, *references: str, subject: str = "Lunch", at: int = 0, folder: str = "INBOX") -> bytes:
        above = "".join(f" <{one}@example.org>" for one in references)
        head = [
            f"From: {name.title()} <{name}@example.org>",
            f"Date: {formatdate(START + 60 * at)}",
            f"Message-ID: <{name}@example.org>",
            f"Subject: {subject}",
        ]
        raw = "\r\n".join([*head, *([f"References:{above}"] if above else []), "", name, ""]).encode()
        dovecot.save(user, raw, folder)
        return raw

    return put


@pytest.fixture
def work(make_agent: Agents, user: str) -> Callable[[], Account]:
    """Start an agent that has listed all folders of the user."""

    def start() -> Account:
        account = make_agent(user).context.accounts["work"]
        account.sync().wait(30)
        return account

    return start


def everything(account: Account) -> Messages:
    return Messages(account._context, query.All())


def one(account: Account, name: str) -> Message:
    found = everything(account).search(f"id:{name}@example.org").first()
    assert found is not None
    return found


def names(messages: list[Message]) -> list[str]:
    return [message.from_.addr.partition("@")[0] for message in messages]


def test_a_thread_is_a_tree_across_folders(save: Save, work: Callable[[], Account]) -> None:
    save("ann")
    save("dan", "ann", at=3)
    save("bob", "ann", at=1, subject="Re: Lunch", folder="Sent")
    save("cid", "ann", "bob", at=2, subject="Re: Lunch")
    save("eve", subject="Other")
    account = work()
    thread = one(account, "cid").thread
    assert names(thread.messages) == ["ann", "bob", "cid", "dan"]
    assert [depth for depth, _ in thread.outline] == [0, 1, 2, 1]
    assert (len(thread), thread.subject, thread.unread) == (4, "Lunch", True)
    assert thread.date == one(account, "dan").date
    assert names(list(thread)) == names(thread.messages)
    assert one(account, "bob") in thread
    assert one(account, "eve") not in thread


def test_a_message_knows_its_parent_and_children(save: Save, work: Callable[[], Account]) -> None:
    save("ann")
    save("bob", "ann", at=1)
    save("cid", "ann", at=2)
    save("dan", "ann", "ghost", at=3)
    account = work()
    ann = one(account, "ann")
    assert ann.parent is None
    assert names(ann.children) == ["bob", "cid", "dan"]
    assert one(account, "bob").parent == ann
    assert one(account, "dan").parent == ann
    assert one(account, "bob").children == []


def test_the_answers_to_a_missing_message_are_one_thread_without_parent(
    save: Save, work: Callable[[], Account]
) -> None:
    save("bob", "ghost", subject="One")
    save("cid", "ghost", subject="Two", at=1)
    account = work()
    assert names(one(account, "cid").thread.messages) == ["bob", "cid"]
    assert [depth for depth, _ in one(account, "cid").thread.outline] == [0, 0]
    assert one(account, "cid").parent is None


def test_copies_are_folded_and_the_nearest_is_shown(save: Save, work: Callable[[], Account]) -> None:
    save("ann")
    save("ann", folder="Sent")
    save("bob", "ann", at=1, folder="Sent")
    account = work()
    here = next(message for message in everything(account) if str(message.folder).endswith("INBOX"))
    there = here.copies[0]
    assert len(everything(account)) == 3
    assert len(here.thread) == 2
    assert here.thread.messages[0] == here
    assert there.thread.messages[0] == there
    assert one(account, "bob").parent == there
    assert names(here.children) == names(there.children) == ["bob"]


def test_threads_come_newest_first_and_lazily(save: Save, work: Callable[[], Account]) -> None:
    save("ann")
    save("eve", subject="Other", at=1)
    save("bob", "ann", at=2)
    save("zoe", subject="Elsewhere", at=9, folder="Sent")
    account = work()
    threads = account.inbox.threads
    assert [thread.subject for thread in threads] == ["Lunch", "Other"]
    assert len(threads) == 2
    assert threads[0].id == one(account, "ann").thread_id
    assert threads[-1].subject == "Other"
    assert [thread.subject for thread in threads[:1]] == ["Lunch"]
    assert [thread.subject for thread in threads[::-1]] == ["Other", "Lunch"]
    assert account.inbox.search("from:nobody").threads[:5] == []
    assert not account.inbox.search("from:nobody").threads
    with pytest.raises(IndexError, match="2 threads"):
        threads[2]
    assert "Lunch" in repr(threads)
    assert "Bob" in repr(threads[0])


def test_the_verbs_of_a_thread_act_on_what_was_asked_for(save: Save, work: Callable[[], Account]) -> None:
    save("ann")
    save("bob", "ann", at=1, folder="Sent")
    save("cid", "ann", at=2)
    account = work()
    account.inbox.threads[0].mark_read().wait(20)
    assert [one(account, name).unread for name in ("ann", "bob", "cid")] == [False, True, False]
    one(account, "ann").thread.flag().wait(20)
    assert all(one(account, name).flagged for name in ("ann", "bob", "cid"))


def test_a_whole_thread_leaves_trash_alone_unless_asked_from_there(
    save: Save, work: Callable[[], Account]
) -> None:
    save("ann")
    save("bob", "ann", at=1, folder="Trash")
    account = work()
    assert names(one(account, "ann").thread.messages) == ["ann"]
    assert names(one(account, "bob").thread.messages) == ["ann", "bob"]
    one(account, "ann").thread.flag().wait(20)
    assert [one(account, name).flagged for name in ("ann", "bob")] == [True, False]


def test_a_thread_is_found_by_any_of_its_names(save: Save, work: Callable[[], Account]) -> None:
    save("ann")
    save("bob", "ann", "ghost", at=1)
    save("eve", subject="Other")
    account = work()
    ann = one(account, "ann")
    for value in (ann.id, ann.thread_id, "bob@example.org", "<ghost@example.org>"):
        assert len(account.inbox.search(f'thread:"{value}"')) == 2, value
    assert len(account.inbox.search("thread:nobody@example.org")) == 0


def test_programs_get_the_name_of_the_thread(save: Save, work: Callable[[], Account]) -> None:
    save("ann")
    save("bob", "ann", at=1)
    account = work()
    out = io.StringIO()
    output.write_list(list(account.inbox), out, as_json=True)
    found = {each["thread"] for each in json.loads(out.getvalue())}
    assert found == {one(account, "ann").thread_id}


def test_a_thread_lives(save: Save, work: Callable[[], Account]) -> None:
    save("ann")
    account = work()
    thread = one(account, "ann").thread
    assert len(thread) == 1
    save("bob", "ann", at=1)
    account.sync().wait(20)
    assert names(thread.messages) == ["ann", "bob"]
    one(account, "bob").trash().wait(20)
    assert names(thread.messages) == ["ann"]
