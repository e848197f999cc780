from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.console.drafttext import from_text, to_text
from agent.errors import CommandError
from agent.mail.address import Address


@dataclass
class Paper:
    """The fields of a draft."""

    from_: Address = field(default_factory=lambda: Address("Ann", "ann@example.org"))
    to: list[Address] = field(default_factory=lambda: [Address("Bob", "bob@example.org")])
    cc: list[Address] = field(default_factory=list)
    bcc: list[Address] = field(default_factory=list)
    subject: str = "Lunch"
    text: str = "At noon?\n\nAnn\n"


def edited(text: str) -> Any:
    paper: Any = Paper()
    from_text(paper, text)
    return paper


def test_a_draft_is_written_as_headers_and_text() -> None:
    paper: Any = Paper()
    assert to_text(paper) == (
        "From: Ann <ann@example.org>\nTo: Bob <bob@example.org>\nCc: \nBcc: \nSubject: Lunch\n\nAt noon?\n\nAnn\n"
    )


def test_what_is_written_reads_back_the_same() -> None:
    paper: Any = Paper(cc=[Address("Doe, Jane", "jane@example.org"), Address("", "x@example.org")])
    assert edited(to_text(paper)) == paper


def test_what_was_changed_is_taken() -> None:
    paper = edited("from: ann@example.com\nto: c@example.org,\n d@example.org\nsubject: Re: x: y\n\nbody\n")
    assert paper.from_.addr == "ann@example.com"
    assert [address.addr for address in paper.to] == ["c@example.org", "d@example.org"]
    assert (paper.subject, paper.text) == ("Re: x: y", "body\n")


def test_headers_may_be_left_out_and_lines_end_as_they_like() -> None:
    paper = edited("To: c@example.org\r\n\r\nbody\r\n")
    assert (paper.cc, paper.subject, paper.text) == ([], "", "body\n")
    assert edited("To: c@example.org").text == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Subjet: x\n\n",
            "line 1: 'Subjet: x' is none of From, To, Cc, Bcc, Subject; did you mean 'Subject'?",
        ),
        ("To: x@example.org\nhello\n", "line 2: 'hello' is none of .*; an empty line ends the headers"),
        ("To: bob\n\n", "To: 'bob' has "),
        ("From: a@example.org, b@example.org\n\n", "From: only one sender is possible, not 2"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str) -> None:
    with pytest.raises(CommandError, match=message.replace("?", r"\?")):
        edited(text)
