from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent.console.views.review import ReviewView
from agent.mail.address import Address
from agent.mail.compose import Attachment


@dataclass
class Paper:
    """A draft as the review sees it."""

    from_: Address = field(default_factory=lambda: Address("Ann", "ann@example.org"))
    to: list[Address] = field(default_factory=lambda: [Address("Bob", "bob@example.org")])
    cc: list[Address] = field(default_factory=list)
    bcc: list[Address] = field(default_factory=list)
    subject: str = "Lunch"
    text: str = "At noon?\n> quoted\n"
    attachments: list[Attachment] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def check(self) -> list[str]:
        return self.problems


def draw(view: ReviewView, width: int = 60, height: int = 12) -> list[str]:
    content = view.create_content(width, height)
    return ["".join(text for _, text in content.get_line(n)).rstrip() for n in range(height)]


def review(**fields: Any) -> ReviewView:
    paper: Any = Paper(**fields)
    return ReviewView(paper)


def test_what_will_be_sent_is_shown() -> None:
    view = review(attachments=[Attachment("plan.pdf", "application/pdf", b"x" * 3000)])
    assert draw(view)[:8] == [
        "From:     Ann <ann@example.org>",
        "To:       Bob <bob@example.org>",
        "Subject:  Lunch",
        "Attached: plan.pdf  application/pdf  2.9K",
        "─" * 60,
        "At noon?",
        "> quoted",
        "",
    ]
    assert view.title == "Review: Lunch"


def test_what_the_check_finds_is_shown() -> None:
    assert "Check:    it has no recipient" in draw(review(problems=["it has no recipient"]))


def test_what_cannot_be_read_comes_first() -> None:
    view = review(problems=["it has no recipient"])
    view.problem = "line 3: what is this"
    rows = draw(view)
    assert "Check:    line 3: what is this" in rows
    assert not any("recipient" in row for row in rows)


def test_an_edit_is_shown() -> None:
    view = review()
    draw(view)
    view.draft.subject = "Dinner"
    view.changed()
    assert "Subject:  Dinner" in draw(view)


def test_hostile_text_is_harmless() -> None:
    evil = "\x1b]0;x\x07\x9d"
    rows = draw(review(subject=evil, text=evil, to=[Address(evil, evil)], problems=[evil]))
    assert not set("".join(rows)) & set("\x1b\x07\x9d")
