"""Messages: questions, what they are combined from, and what answers them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from agent.app import Agent
from agent.core.messages import Messages
from agent.errors import CommandError, QueryError
from agent.mail import query, query_json
from agent.mail.query_parse import parse
from tests.harness.agents import Agents, TestClock, mail, synced
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot


def everything(agent: Agent) -> Messages:
    """Return all messages of all accounts."""
    return Messages(agent.context, query.All())


def subjects(messages: Messages) -> list[str]:
    """Return the subjects in order."""
    return [message.subject for message in messages]


def indexed(agent: Agent) -> None:
    """Wait until nothing is left to be put into the text index."""
    eventually(lambda: agent.context.store.read("SELECT count(*) FROM content WHERE indexed = 0")[0][0] == 0)


# -- two accounts ----------------------------------------------------------------------------


@pytest.fixture
def two(make_agent: Agents, dovecot: Dovecot, user: str) -> Agent:
    """An agent with two accounts and five messages."""
    other = f"{user}b"
    sent = "{:02} Nov 2025 10:00:00 +0000"
    dovecot.save(
        user, mail(1, Subject="Lunch on Monday", Date=sent.format(2), List_Id="Food <food.example.org>")
    )
    dovecot.save(
        user, mail(2, From="Eve <EVE@example.net>", Subject="Invoice", Date=sent.format(9), body="x" * 5_000)
    )
    dovecot.save(user, mail(3, Subject="lunch again", Date=sent.format(16)), "Archive")
    dovecot.save(other, mail(4, From="Eve <eve@example.net>", Subject="A lunch", Date=sent.format(23)))
    dovecot.save(other, mail(5, Subject="Zebra", Date=sent.format(24)))
    agent = make_agent(user, other, fill=True)
    for name in ("work", "home"):
        synced(agent, name)
    agent.context.store.wait_until(lambda: not absent(agent), 30)
    return agent


def absent(agent: Agent) -> int:
    """Count the messages that are only listed."""
    return int(agent.context.store.read("SELECT count(*) FROM content WHERE state <> 2")[0][0])


def test_set_operations_span_accounts(two: Agent) -> None:
    work, home = two.context.accounts["work"], two.context.accounts["home"]
    both = work.messages | home.messages
    lunches = everything(two).search("lunch")
    assert subjects(both) == ["Zebra", "A lunch", "lunch again", "Invoice", "Lunch on Monday"]
    assert subjects(lunches) == ["A lunch", "lunch again", "Lunch on Monday"]
    assert subjects(lunches & home.messages) == ["A lunch"]
    assert subjects(lunches - home.messages) == ["lunch again", "Lunch on Monday"]
    assert subjects(work.inbox | home.inbox.search("zebra")) == ["Zebra", "Invoice", "Lunch on Monday"]
    assert subjects(both - both) == []
    assert len(both) == 5
    assert both[0] in both
    assert both[0] not in work.messages


def test_keywords_mean_what_the_language_means(two: Agent) -> None:
    mails = everything(two)
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("from:eve", "", {"from_": "eve"}),
        ("from:eve subject:invoice is:unread", "", {"from_": "eve", "subject": "invoice", "unread": True}),
        ("-is:unread", "", {"unread": False}),
        ("larger:4k", "", {"larger": "4k"}),
        ("in:archive lunch", "lunch", {"in_": "archive"}),
    ]
    for whole, text, keywords in cases:
        assert subjects(mails.search(text, **keywords)) == subjects(mails.search(whole)), whole
    assert subjects(mails.search(from_="eve")) == ["A lunch", "Invoice"]


def test_a_search_narrows_what_it_is_asked_of(two: Agent) -> None:
    work = two.context.accounts["work"]
    assert subjects(work.inbox.search("lunch")) == ["Lunch on Monday"]
    assert subjects(work.inbox.search("lunch").search("from:eve")) == []
    assert subjects(work.inbox.unread.search("in:archive OR invoice")) == ["Invoice"]


@pytest.mark.parametrize(
    ("text", "place"),
    [("from:bob (lunch", 9), ("lunch is:nice", 9), ("larger:huge", 7), ("a OR", 4), ("lunch colour:red", 6)],
)
def test_a_bad_query_points_at_the_place(two: Agent, text: str, place: int) -> None:
    with pytest.raises(QueryError) as raised:
        everything(two).search(text)
    assert raised.value.position == place
    assert text in str(raised.value)


def test_sorting_goes_both_ways(two: Agent) -> None:
    mails = everything(two)
    assert subjects(mails.sort("date")) == subjects(mails)[::-1]
    assert subjects(mails.sort("-size"))[0] == "Invoice"
    assert subjects(mails.sort("subject")) == [
        "A lunch",
        "Invoice",
        "lunch again",
        "Lunch on Monday",
        "Zebra",
    ]
    assert [message.from_.addr.lower() for message in mails.sort("from")][-1] == "eve@example.net"
    assert subjects(mails.sort("-date").search("lunch").sort("subject"))[0] == "A lunch"
    with pytest.raises(CommandError, match="cannot sort by 'colour'"):
        mails.sort("colour").first()


@pytest.mark.parametrize("order", ["-date", "date", "subject", "-received"])
def test_slices_and_pages_are_those_of_a_list(two: Agent, order: str) -> None:
    mails = everything(two).sort(order)
    whole = list(mails)
    for start, stop in itertools.product((None, 0, 1, 3, 9, -2), repeat=2):
        assert mails[start:stop] == whole[start:stop]
    assert mails[::2] == whole[::2]
    assert mails[::-1] == whole[::-1]
    assert [mails[n] for n in range(5)] == whole
    assert mails[-1] == whole[-1]
    assert [mails.position(message) for message in whole] == [0, 1, 2, 3, 4]
    assert mails.page(1, 2) == whole[1:3]
    assert mails.page(4, 9) == whole[4:]


def test_groups_take_every_message_in_its_order(two: Agent) -> None:
    mails = everything(two)
    senders = mails.group("from")
    assert {name: subjects(found) for name, found in senders.items()} == {
        "bob@example.com": ["Zebra", "lunch again", "Lunch on Monday"],
        "eve@example.net": ["A lunch", "Invoice"],
    }
    assert list(mails.group("account")) == ["home", "work"]
    assert list(mails.group("folder")) == ["home/INBOX", "work/Archive", "work/INBOX"]
    assert [subjects(found) for found in mails.group("list_id").values()][1] == ["Lunch on Monday"]
    assert list(mails.group("month")) == ["2025-11"]
    assert next(iter(mails.group("day"))) == "2025-11-24"
    assert list(mails.group("domain")) == ["example.com", "example.net"]
    with pytest.raises(CommandError, match="did you mean 'folder'"):
        mails.group("foldr")


def test_a_message_with_several_tags_is_in_several_groups(two: Agent) -> None:
    mails = everything(two)
    mails.search("zebra").tag("one")
    mails.search("zebra").tag("two")
    found = mails.group("tag")
    assert subjects(found["one"]) == subjects(found["two"]) == ["Zebra"]
    assert len(found[""]) == 4


def test_what_is_here_as_a_whole_is_answered_here(two: Agent) -> None:
    assert everything(two).search("lunch from:bob").explain().splitlines() == [
        "answered here: lunch from:bob",
        "  lunch     full-text index",
        "  from:bob  index of people",
    ]


# -- bodies that stay on the server ----------------------------------------------------------

HEADERS_ONLY: dict[str, Any] = {"offline": {"bodies": "headers"}}


@pytest.fixture
def listed(make_agent: Agents, dovecot: Dovecot, user: str) -> Agent:
    """An agent that keeps headers only: a needle in two of four bodies, and a word that looks like it."""
    dovecot.save(user, mail(1, "There is a needle.\r\n"))
    dovecot.save(user, mail(2, "Needles are something else.\r\n"))
    dovecot.save(user, mail(3, "Nothing.\r\n"))
    dovecot.save(user, mail(4, "One more NEEDLE.\r\n"), "Archive")
    agent = make_agent(user, fill=True, **HEADERS_ONLY)
    synced(agent)
    indexed(agent)
    return agent


def test_a_search_says_what_is_not_here(listed: Agent) -> None:
    found = everything(listed).search("needle")
    assert subjects(found) == []
    assert "4 of 4 messages have no body here: search_server() asks their servers" in found.explain()
    assert "no body" not in everything(listed).search("from:bob").explain()
    inbox = listed.context.accounts["work"].inbox
    assert "3 of 3 messages have no body here" in inbox.search("needle").explain()


def test_the_server_is_searched_for_what_is_not_here(listed: Agent) -> None:
    asked = everything(listed).search("needle").search_server().wait(30)
    assert subjects(asked.messages) == ["number 4", "number 1"]
    assert asked.done
    assert asked.unread == 0
    assert asked.unlisted == 0
    assert listed.context.store.read("SELECT count(*) FROM raw")[0][0] == 0


def test_a_search_on_the_server_keeps_to_its_folder_and_its_other_words(listed: Agent) -> None:
    inbox = listed.context.accounts["work"].inbox
    assert subjects(inbox.search("needle").search_server().wait(30).messages) == ["number 1"]
    mixed = everything(listed).search("(needle subject:4) OR id:m3@example.com").search_server().wait(30)
    assert subjects(mixed.messages) == ["number 4", "number 3"]
    assert subjects(
        everything(listed).search("body:needle -in:archive").search_server().wait(30).messages
    ) == ["number 1"]
    assert subjects(everything(listed).search("needl*").search_server().wait(30).messages) == [
        "number 4",
        "number 2",
        "number 1",
    ]


def test_what_is_here_and_what_is_there_are_one_answer(listed: Agent) -> None:
    everything(listed).search("subject:1").first().fetch().wait(30)  # type: ignore[union-attr]
    found = everything(listed).search("needle")
    assert subjects(found) == ["number 1"]
    assert subjects(found.search_server().wait(30).messages) == ["number 4", "number 1"]


def test_too_large_to_be_read_is_found_by_the_servers_own_measure(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    filler = ("x" * 70 + "\r\n") * 16_000
    dovecot.save(user, mail(1, f"{filler}needles\r\n"))
    agent = make_agent(user, **HEADERS_ONLY)
    synced(agent)
    asked = everything(agent).search("needle").search_server().wait(30)
    assert subjects(asked.messages) == ["number 1"]
    assert asked.unread == 1


def test_searching_a_server_that_is_away_fails_and_says_so(make_agent: Agents, user: str) -> None:
    agent = make_agent(user, imap={"port": 9}, clock=TestClock())
    store = agent.context.store
    work = agent.context.accounts["work"]

    def listing(tx: object) -> None:
        tx.execute(  # type: ignore[attr-defined]
            "INSERT INTO folder (account, name, role) VALUES (?, 'INBOX', 'inbox')", (work.id,)
        )

    store.write(listing).result()
    asked = everything(agent).search("needle").search_server()
    with pytest.raises(CommandError, match=r"searched on the server of work: .*refused"):
        asked.wait(30)


def test_a_search_that_no_server_can_answer_is_refused(listed: Agent) -> None:
    with pytest.raises(CommandError, match="no account that the search means"):
        everything(listed).search("account:none needle").search_server()


def test_queries_survive_on_their_way_to_the_owner() -> None:
    for node in (
        parse('(a OR "b c"* OR -from:x) larger:1k since:2026-01-01 in:inbox thread:1', 0.0),
        query.Folder(3) & query.Ids((1, 2)) - query.Ids(()),
        query.NOTHING,
    ):
        assert query_json.load(query_json.dump(node)) == node
