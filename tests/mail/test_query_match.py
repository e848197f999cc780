from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from agent.mail import flags
from agent.mail.query import NOTHING, All, And, Folder, Ids, Node, Not, Or
from agent.mail.query_match import Matcher, matches
from agent.mail.query_parse import parse
from tests.mail.messages_and_queries import MAILS, NODES, Mail


@given(NODES, NODES, NODES, MAILS)
def test_the_operators_are_those_of_sets(a: Node, b: Node, c: Node, mail: Mail) -> None:
    holds = Matcher(mail).holds
    assert holds(a & b) == (holds(a) and holds(b))
    assert holds(a | b) == (holds(a) or holds(b))
    assert holds(a - b) == (holds(a) and not holds(b))
    assert holds(~a) != holds(a)
    assert holds(a & (b | c)) == holds((a & b) | (a & c))
    assert holds(~(a | b)) == holds(~a & ~b)
    assert holds(a | ~a)
    assert not holds(a - a)


@given(NODES, NODES, MAILS)
def test_simplifying_changes_no_answer(a: Node, b: Node, mail: Mail) -> None:
    assert matches(a & b, mail) == matches(And((a, b)), mail)
    assert matches(a | b, mail) == matches(Or((a, b)), mail)
    assert matches(~a, mail) == matches(Not(a), mail)


@given(MAILS)
def test_everything_matches_all_and_nothing_matches_nothing(mail: Mail) -> None:
    assert matches(All(), mail)
    assert not matches(NOTHING, mail)


MAIL = Mail(
    cc="The Team <team@example.org>",
    bcc="boss@example.org",
    list_id="Python <py.lists.example.org>",
    body="Wir treffen uns in 東京, im Café.",
    filenames=("Lunch menu.pdf",),
    flags=flags.SEEN | flags.ANSWERED,
    tags=frozenset({"$Muted", "Later"}),
    traits=frozenset({"list", "attachment"}),
    thread=frozenset({"m1", "m0", "zero@example.org"}),
    size=2_000,
)


@pytest.mark.parametrize(
    "text",
    [
        "lunch",
        "LUNCH thursday",
        "lunch cafe",
        '"on thursday"',
        "thu*",
        '"lunch on th"*',
        "muller",
        "bob example",
        "menu",
        "京",
        "東京",
        "subject:lunch",
        "body:café",
        "filename:menu",
        "filename:pdf",
        "from:BOB@",
        "from:müller",
        "to:ann",
        "cc:team",
        "bcc:boss",
        "list:py.lists",
        "in:inbox",
        "in:INBOX",
        "account:WORK",
        "tag:later",
        "id:m1",
        "id:<one@example.org>",
        "thread:zero@example.org",
        "is:read is:answered is:muted is:list",
        "has:attachment",
        "larger:1999",
        "smaller:2001",
        "since:1970-01-01T00:16:40Z before:1970-01-01T00:16:41Z",
        "lunch OR dinner",
        "lunch -dinner",
    ],
)
def test_a_query_finds_the_message(text: str) -> None:
    assert matches(parse(text, now=0), MAIL)


@pytest.mark.parametrize(
    "text",
    [
        "dinner",
        "lun",
        "unch*",
        '"thursday on"',
        '"thursday müller"',
        "京東",
        "subject:cafe",
        "body:lunch",
        "filename:thursday",
        "from:ann",
        "from:muller",
        "to:team",
        "in:trash",
        "account:home",
        "tag:late",
        "id:m2",
        "thread:m7",
        "is:unread",
        "is:flagged",
        "is:draft",
        "is:automatic",
        "is:bounce",
        "has:calendar",
        "larger:2000",
        "smaller:2000",
        "before:1970-01-01T00:16:40Z",
        "lunch dinner",
        "-lunch",
    ],
)
def test_a_query_does_not_find_the_message(text: str) -> None:
    assert not matches(parse(text, now=0), MAIL)


def test_dates_of_sending_and_of_arrival_are_told_apart() -> None:
    mail = replace(MAIL, date=100, received=5_000)
    assert matches(parse("before:1970-01-01T00:05 received:1970-01-01T01:00..", now=0), mail)


def test_internal_nodes_go_by_row() -> None:
    assert matches(Folder(1) & Ids((3, 1)), MAIL)
    assert not matches(Folder(2), MAIL)
    assert not matches(Ids(()), MAIL)


def test_a_query_that_reads_no_text_reads_no_text() -> None:
    class Listed(Mail):
        def __getattribute__(self, name: str) -> object:
            assert name != "body"
            return super().__getattribute__(name)

    assert matches(parse("is:unread from:bob", now=0), Listed())
