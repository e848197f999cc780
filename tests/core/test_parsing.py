"""The process that parses what comes in bulk: the same as ours, and nothing is lost with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.core import bodies
from agent.core.parsing import Parser
from agent.net.base import Fetched
from tests.harness.agents import mail


@pytest.fixture
def parser() -> Iterator[Parser]:
    made = Parser()
    yield made
    made.close()


def fetched(uid: int, raw: bytes, size: int | None = None) -> Fetched:
    return Fetched(uid, 1, frozenset({"tag"}), 1_700_000_000, len(raw) if size is None else size, None, raw)


def batches(count: int = 3) -> list[list[Fetched]]:
    """Return batches of some messages, of which one is short and one is no message at all."""
    usual = [[fetched(10 * n + k, mail(10 * n + k)) for k in range(4)] for n in range(count)]
    return [*usual, [fetched(900, mail(900), 5000), fetched(901, bytes(range(256)) * 40)]]


def child(parser: Parser) -> int:
    assert parser._process is not None
    return parser._process.pid


def test_the_process_reads_what_we_would_have_read(parser: Parser) -> None:
    found = list(parser.parsed(batches(), beside=True))
    assert found == [[bodies.received(each) for each in batch] for batch in batches()]
    assert [item.body.whole for item in found[-1] if item.body] == [False, True]
    assert child(parser)


def test_no_process_is_made_for_little(parser: Parser) -> None:
    assert len(list(parser.parsed(batches(), beside=False))) == 4
    assert parser._process is None


def test_who_does_not_get_it_reads_by_itself(parser: Parser) -> None:
    first = parser.parsed(batches(), beside=True)
    one = next(first)
    assert list(parser.parsed(batches(), beside=True)) == [one, *first]


@pytest.mark.logs("parsing goes on without")
def test_nothing_is_lost_with_the_process(parser: Parser) -> None:
    running = parser.parsed(batches(), beside=True)
    found = [next(running)]
    assert parser._process is not None
    parser._process.kill()
    found += running
    assert found == [[bodies.received(each) for each in batch] for batch in batches()]
    assert list(parser.parsed(batches(), beside=True)) == found  # and it is not tried again
    assert parser._process is None


def test_what_came_before_the_line_broke_is_handed_out(parser: Parser) -> None:
    def breaking() -> Iterator[list[Fetched]]:
        yield from batches(1)
        raise ConnectionResetError

    running = parser.parsed(breaking(), beside=True)
    assert [next(running), next(running)] == [[bodies.received(e) for e in b] for b in batches(1)]
    with pytest.raises(ConnectionResetError):
        next(running)


def test_a_batch_that_nobody_reads_is_not_the_answer_to_the_next(parser: Parser) -> None:
    running = parser.parsed(batches(), beside=True)
    next(running)
    running.close()
    assert list(parser.parsed(batches(1), beside=True)) == [
        [bodies.received(each) for each in batch] for batch in batches(1)
    ]


def test_it_ends_when_there_is_nothing_to_do_and_begins_again(parser: Parser) -> None:
    list(parser.parsed(batches(1), beside=True))
    first = child(parser)
    parser.rest()
    assert parser._process is None
    list(parser.parsed(batches(1), beside=True))
    assert child(parser) != first
