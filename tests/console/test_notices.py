from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from agent.console.fragments import Line
from agent.console.notices import Notices
from tests.console.mailbox import NOW


@pytest.fixture
def notices() -> Iterator[Notices]:
    notices = Notices(lambda: NOW)
    notices.start()
    yield notices
    notices.stop()


def text(line: Line) -> str:
    return "".join(part for _, part in line)


def test_a_notice_is_shown_until_it_is_cleared_and_kept_after(notices: Notices) -> None:
    notices.tell("archived 1 message")
    assert text(notices.line) == "archived 1 message"
    notices.clear()
    assert notices.line == []
    assert [text(line) for line in notices.lines()] == ["12:00:00  archived 1 message"]


def test_only_the_first_line_is_shown_but_all_are_kept(notices: Notices) -> None:
    notices.tell("query: (\n       ^", error=True)
    assert text(notices.line) == "query: ( …  :log has it all"
    assert [text(line) for line in notices.lines()] == ["12:00:00  query: (", "                 ^"]


def test_each_notice_is_told(notices: Notices) -> None:
    told: list[bool] = []
    notices.changed = lambda: told.append(True)
    notices.tell("x")
    notices.ask("y?")
    assert len(told) == 2


@pytest.mark.logs("something is wrong")
def test_the_log_is_kept_and_errors_are_shown(notices: Notices) -> None:
    log = logging.getLogger("agent.console.test")
    log.setLevel(logging.DEBUG)
    log.info("for the log only")
    assert notices.line == []
    log.warning("something is wrong in the log only")
    assert notices.line == []
    log.error("something is wrong")
    assert text(notices.line) == "something is wrong"
    assert len(notices.lines()) == 3


def test_hostile_text_is_harmless(notices: Notices) -> None:
    notices.tell("a\x1b]0;x\x07\x9d\nb\x1b[2J")
    shown = text(notices.line) + "".join(text(line) for line in notices.lines())
    assert not set(shown) & set("\x1b\x07\x9d")


def test_only_the_last_thousand_are_kept(notices: Notices) -> None:
    for number in range(1_200):
        notices.tell(str(number))
    assert len(notices.lines()) == 1_000
