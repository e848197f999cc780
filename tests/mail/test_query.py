from __future__ import annotations

import pytest
from hypothesis import given

from agent.errors import CommandError
from agent.mail.query import (
    NOTHING,
    All,
    And,
    Date,
    Folder,
    Ids,
    Is,
    Node,
    Not,
    Or,
    Person,
    Size,
    Tag,
    Words,
    all_of,
    any_of,
    walk,
)
from agent.mail.query_parse import parse
from tests.mail.messages_and_queries import NODES

A, B, C = Is("unread"), Is("flagged"), Tag("x")


@given(NODES)
def test_the_text_of_a_query_reads_back_as_the_same_query(node: Node) -> None:
    assert parse(str(node), now=0) == node


@given(NODES)
def test_a_query_is_hashable_and_walks_over_all_its_parts(node: Node) -> None:
    parts = list(walk(node))
    assert parts[0] is node
    assert len({*parts}) <= len(parts)


def test_operators_flatten_and_drop_doubles() -> None:
    assert A & B & C == And((A, B, C))
    assert A | (B | C) | A == Or((A, B, C))
    assert A - B == And((A, Not(B)))
    assert ~~A == A


def test_everything_and_nothing_are_neutral_or_absorb() -> None:
    assert All() & A == A
    assert NOTHING | A == A
    assert All() | A == All()
    assert NOTHING & A == NOTHING
    assert all_of(()) == All()
    assert any_of(()) == NOTHING
    assert ~All() == NOTHING


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (Person("from", "bob") & ~Is("unread"), "from:bob -is:unread"),
        ((A | B) & C, "(is:unread OR is:flagged) tag:x"),
        (~(A & B), "-(is:unread is:flagged)"),
        (Words("any", "OR"), '"OR"'),
        (Words("any", "-x"), '"-x"'),
        (Words("subject", "two words", "prefix"), 'subject:"two words"*'),
        (Words("any", 'say "hi" \\o'), '"say \\"hi\\" \\\\o"'),
        (Date("date", 1_795_000_000), "since:2026-11-18T11:06:40Z"),
        (Date("received", None, 0), "received:..1970-01-01T00:00:00Z"),
        (Size(larger=3 << 20), "larger:3M"),
        (Size(10, 1024), "size:10..1k"),
    ],
)
def test_a_query_is_written_the_way_people_type_it(node: Node, text: str) -> None:
    assert str(node) == text


def test_a_date_out_of_all_bounds_can_still_be_written() -> None:
    assert str(Date("date", 10**15)) == "since:9999-12-31T23:59:59Z"
    assert str(Date("date", -(10**15))) == "since:0001-01-01T00:00:00Z"


def test_words_correct_their_kind() -> None:
    assert Words("any", "two words", "word").kind == "phrase"
    assert Words("any", "one", "phrase") == Words("any", "one")


def test_internal_nodes_do_not_read_back_as_something_else() -> None:
    assert str(Folder(3)) == "<folder 3>"
    assert str(Ids((1, 2))) == "<2 chosen>"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Is("unreed"),
        lambda: Person("form", "x"),
        lambda: Words("text", "x"),
        lambda: Date("sent", 1),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(make) -> None:
    with pytest.raises(CommandError, match="known are"):
        make()
