from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent.console.fragments import width_of
from agent.console.rows import ASCII, Look, human_size, row, smart_date, who
from agent.mail.address import Address
from tests.console.mailbox import NOW, Letter

LETTER: Any = Letter("m1", subject="Lunch on Friday?")


def text(message: Any, width: int = 80, **more: Any) -> str:
    return "".join(part for _, part in row(message, Look(width, NOW, **more)))


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200, 300])
@pytest.mark.parametrize(
    "message",
    [
        LETTER,
        replace(LETTER, subject="x" * 500, from_=Address("y" * 500, "y@example.org")),
        replace(LETTER, subject="来月の東京出張について" * 9, from_=Address("田中 由紀", "t@example.jp")),
        replace(LETTER, subject="👩‍🚀 we got the tickets!!! 🎉🎉🎉", snippet="Row 7 🪐 " * 30),
        replace(LETTER, subject="", from_=Address("", ""), tags=("todo", "später")),
        replace(LETTER, unread=True, flagged=True, answered=True, forwarded=True),
    ],
)
def test_a_row_fills_the_width_exactly(message: Any, width: int) -> None:
    assert width_of(row(message, Look(width, NOW))) == width


def test_a_row_shows_who_what_when_and_how_big() -> None:
    assert text(LETTER).split() == ["Ann", "Lunch", "on", "Friday?", "11:00", "2.0K"]


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({}, "      Ann"),
        ({"unread": True}, " ●    Ann"),
        ({"flagged": True}, "  ★   Ann"),
        ({"answered": True}, "   r  Ann"),
        ({"forwarded": True}, "   f  Ann"),
    ],
)
def test_signs_tell_the_flags(changes: dict[str, Any], start: str) -> None:
    assert text(replace(LETTER, **changes)).startswith(start)


def test_ascii_signs_are_ascii() -> None:
    message = replace(LETTER, unread=True, flagged=True)
    assert text(message, glyphs=ASCII, marked=True).startswith(">N!   Ann")


def test_in_sent_mail_the_recipients_are_shown() -> None:
    assert "To: Bob" in text(LETTER, outgoing=True)
    assert "To: nobody yet" in text(replace(LETTER, to=()), outgoing=True)


def test_tags_stand_before_the_subject_but_system_ones_do_not() -> None:
    assert "+todo Lunch" in text(replace(LETTER, tags=("todo", "$Muted")))


def test_a_snippet_fills_what_the_subject_leaves() -> None:
    assert "Lunch on Friday?  At noon" in text(replace(LETTER, snippet="At noon?"), width=120)


@pytest.mark.parametrize(
    "name", ["boss@example.com", "boss＠example.com", "ceo﹫bank.example", "service.paypal.com", ""]
)
def test_a_name_never_passes_for_another_address(name: str) -> None:
    message = replace(LETTER, from_=Address(name, "thief@example.net"))
    assert who(message, outgoing=False) == "thief@example.net"


def test_nothing_of_a_sender_reaches_the_terminal_raw() -> None:
    hostile = "\x1b]0;pwned\x07\x9d\u202e"
    message = replace(
        LETTER,
        subject=hostile,
        from_=Address(hostile, hostile),
        snippet=hostile,
        tags=(hostile,),
        to=(Address(hostile, hostile),),
    )
    for outgoing in (False, True):
        assert not set(text(message, width=200, outgoing=outgoing)) & set("\x1b\x07\x9d\u202e")


@pytest.mark.parametrize(
    ("ago", "shown"),
    [
        (timedelta(minutes=5), "11:55"),
        (timedelta(hours=13), "Sun 23:00"),
        (timedelta(days=5), "Wed 12:00"),
        (timedelta(days=7), "16 Nov"),
        (timedelta(days=300), "27 Jan"),
        (timedelta(days=400), "19 Oct 25"),
        (-timedelta(days=2), "25 Nov 26"),
    ],
)
def test_a_date_is_as_short_as_it_can_be(ago: timedelta, shown: str) -> None:
    assert smart_date(NOW - ago, NOW) == shown
    assert len(shown) <= 9


@pytest.mark.parametrize(
    ("octets", "shown"),
    [(0, "0"), (999, "999"), (1000, "1.0K"), (3174, "3.1K"), (12_288, "12K"), (1_023_000, "999K"),
     (1_048_576, "1.0M"), (26_214_400, "25M"), (5 * 2**30, "5.0G"), (2**50, "1024T")],
)  # fmt: skip
def test_a_size_is_at_most_five_cells(octets: int, shown: str) -> None:
    assert human_size(octets) == shown
    assert len(shown) <= 5
