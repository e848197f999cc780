from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import QueryError
from agent.mail.query import (
    All,
    Date,
    Has,
    Id,
    In,
    InAccount,
    Is,
    Node,
    Person,
    Size,
    Tag,
    ThreadOf,
    Words,
)
from agent.mail.query_parse import MAX_DEPTH, parse

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 1_795_700_000  # Thursday 26 November 2026, 14:33:20 in Berlin
DAY = 86_400
TODAY = 1_795_647_600  # midnight of that day


def read(text: str) -> Node:
    return parse(text, NOW, BERLIN)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("", All()),
        ("  \n ", All()),
        ("*", All()),
        ("lunch", Words("any", "lunch")),
        ("lunch friday", Words("any", "lunch") & Words("any", "friday")),
        ("lunch AND friday", Words("any", "lunch") & Words("any", "friday")),
        ('"lunch on friday"', Words("any", "lunch on friday", "phrase")),
        ("lun*", Words("any", "lun", "prefix")),
        ('"lunch on fri"*', Words("any", "lunch on fri", "prefix")),
        ("10:30 well-known", Words("any", "10:30") & Words("any", "well-known")),
        ("from:bob", Person("from", "bob")),
        ("From:Bob*", Person("from", "Bob")),
        ("in:Lists/py account:work", In("Lists/py") & InAccount("work")),
        ("tag:$Muted id:<a@b> thread:a@b", Tag("$Muted") & Id("a@b") & ThreadOf("a@b")),
        ("is:UNREAD has:attachments", Is("unread") & Has("attachment")),
        ("is:seen", Is("read")),
        ("larger:1M smaller:10k", Size(larger=1 << 20) & Size(smaller=10_240)),
        ("larger:1.5MB", Size(larger=3 << 19)),
        ("a OR b c", Words("any", "a") | Words("any", "b") & Words("any", "c")),
        ("(a OR b) c", (Words("any", "a") | Words("any", "b")) & Words("any", "c")),
        ("-a", ~Words("any", "a")),
        ("NOT a", ~Words("any", "a")),
        ("NOT -a", Words("any", "a")),
        ("-(a b)", ~(Words("any", "a") & Words("any", "b"))),
        ("or not and", Words("any", "or") & Words("any", "not") & Words("any", "and")),
        ("since:2026-11-23", Date("date", TODAY - 3 * DAY)),
        ("before:yesterday", Date("date", None, TODAY - DAY)),
        ("on:monday", Date("date", TODAY - 3 * DAY, TODAY - 2 * DAY)),
        ('on:"last week"', Date("date", TODAY - 10 * DAY, TODAY - 3 * DAY)),
        ("on:last-week", Date("date", TODAY - 10 * DAY, TODAY - 3 * DAY)),
        ("newer:7d older:2w", Date("date", NOW - 7 * DAY) & Date("date", None, NOW - 14 * DAY)),
        ("date:2026-11-23..2026-11-24", Date("date", TODAY - 3 * DAY, TODAY - DAY)),
        ("received:..1w", Date("received", None, NOW - 7 * DAY)),
        ("size:10k..1M", Size(10_240, 1 << 20)),
    ],
)
def test_a_query_is_read(text: str, node: Node) -> None:
    assert read(text) == node


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("lunch form:bob", 6, "unknown field 'form:'; did you mean 'from'?"),
        ("see http://x.org", 4, "unknown field 'http:'"),
        ("from:", 5, "from: needs a value"),
        ("from: bob", 5, "from: needs a value"),
        ('from:""', 5, "from: needs a value"),
        ("from:*", 5, "from: needs a value"),
        ("is:unreed", 3, "unknown is:unreed; did you mean 'unread'?"),
        ("has:legs", 4, "known are attachment"),
        ("a (b", 2, "a ( without its )"),
        ("a b)", 3, "a ) without its ("),
        ("a ()", 3, "missing"),
        ('a "b c', 2, 'a " without its end'),
        ("OR a", 0, "OR needs something before it"),
        ("a OR", 4, "missing"),
        ("a OR OR b", 5, "OR needs"),
        ("a NOT", 5, "missing"),
        ("a - b", 2, "no blank"),
        ("a -", 3, "missing"),
        ("a*b", 1, "* stands at the end"),
        ("lunch →", 6, "nothing to look for"),
        ("since:someday", 6, "cannot read the date 'someday'"),
        ("since:2026-13-01", 6, "cannot read the date"),
        ("newer:7x", 6, "cannot read"),
        ("larger:big", 7, "cannot read the size 'big'"),
        ("size:5", 5, "write size:10k..1M"),
        ("(" * 60 + "a", MAX_DEPTH, "levels"),
        ("-" * 60 + "a", MAX_DEPTH, "levels"),
    ],
)
def test_a_bad_query_is_an_error_that_points_at_the_place(text: str, position: int, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        read(text)
    assert (caught.value.position, caught.value.query) == (position, text)
    assert message in str(caught.value)


def test_every_field_that_takes_words_or_people_is_read() -> None:
    assert read('to:"Ann Lee" cc:c bcc:d list:py') == (
        Person("to", "Ann Lee") & Person("cc", "c") & Person("bcc", "d") & Person("list", "py")
    )
    assert read("subject:lunch body:caf* filename:pdf") == (
        Words("subject", "lunch") & Words("body", "caf", "prefix") & Words("filename", "pdf")
    )


@given(st.text(st.sampled_from('ab: ()"\\*-ORNTD\n\u3000é1.')))
def test_any_text_is_a_query_or_a_query_error_inside_the_text(text: str) -> None:
    found = outcome(text)
    if isinstance(found, QueryError):
        assert 0 <= found.position <= len(text)
    else:
        assert read(str(found)) == found


def outcome(text: str) -> Node | QueryError:
    try:
        return read(text)
    except QueryError as error:
        return error
