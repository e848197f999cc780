from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from agent.console.fragments import width_of
from agent.console.page import Page, head_of, page_of
from agent.mail.address import Address
from agent.mail.parse import parse
from tests.console.mailbox import Letter


def page(message: Any, width: int = 80, **more: Any) -> Page:
    return page_of(message, width, **{"all_headers": False, "column": 100, **more})


def rows(message: Any, width: int = 80, **more: Any) -> list[str]:
    return ["".join(text for _, text in row).rstrip() for row in page(message, width, **more).rows]


def of(raw: str) -> Any:
    """A message as its bytes say."""
    parsed = parse(raw.replace("\n", "\r\n").encode())
    return replace(
        Letter("m1"),
        text=parsed.text,
        html=parsed.html,
        headers=tuple(parsed.headers),
        attachments=tuple(parsed.attachments),
        parts=parsed.root.parts or (parsed.root,),
    )


def test_the_head_shows_what_is_there_and_the_text_follows_a_rule() -> None:
    message = replace(of("Subject: x\n\nHello\nBob\n"), cc=(Address("Cy", "cy@example.org"),))
    assert rows(message) == [
        "From:     Ann <ann@example.org>",
        "To:       Bob <bob@example.org>",
        "Cc:       Cy <cy@example.org>",
        "Date:     Mon 23 Nov 2026, 11:00 +0000",
        "Subject:  Subject",
        "─" * 80,
        "Hello",
        "Bob",
    ]


def test_the_head_is_there_before_the_body() -> None:
    message: Any = Letter("m1", begun=False, fetched=False)
    made = page(message)
    assert not made.whole
    assert len(made.rows) == made.body == len(head_of(message, 80)) + 1


def test_the_beginning_of_large_mail_is_shown_as_what_it_is() -> None:
    message: Any = Letter("m1", text="It begins", fetched=False, size=5 << 20)
    assert not page(message).whole
    assert rows(message)[-1] == "It begins"
    assert any("only the beginning" in row for row in rows(message))


def test_another_reply_address_is_shown() -> None:
    message: Any = Letter("m1", reply_to=(Address("", "thief@example.net"),))
    assert "Reply-To: thief@example.net" in rows(message)


def test_all_headers_are_shown_when_asked_for() -> None:
    shown = rows(of("Received: from a\nX-Mailer: Something\nSubject: x\n\nHello\n"), all_headers=True)
    assert shown[:3] == ["Received: from a", "X-Mailer: Something", "Subject:  x"]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_row_is_wider_than_the_screen(width: int) -> None:
    message = of(f"Subject: x\n\n{'word ' * 100}\n{'x' * 500}\n> {'quoted ' * 50}\n{'来月' * 80}\n")
    message = replace(message, to=tuple(Address(f"N{n}", f"n{n}@example.org") for n in range(30)))
    assert all(width_of(row) <= width for row in page(message, width).rows)


def test_text_is_wrapped_at_the_column_on_a_wide_screen() -> None:
    made = page(of(f"Subject: x\n\n{'word ' * 100}\n"), 200, column=72)
    assert max(width_of(row) for row in made.rows[made.body :]) <= 72


def styles(message: Any) -> dict[str, str]:
    made = page(message)
    return {text.strip(): style for row in made.rows[made.body :] for style, text in row}


def test_quotes_signatures_and_links_are_told_apart() -> None:
    found = styles(of("Subject: x\n\nsee https://example.org/a now\n> one\n>> two\n-- \nAnn\n"))
    assert found["> one"] == "class:quote1"
    assert found[">> two"] == "class:quote2"
    assert found["Ann"] == "class:signature"
    assert found["https://example.org/a"] == "class:link"


def test_html_is_rendered_where_there_is_nothing_else_and_its_links_are_listed() -> None:
    html = '<h1>News</h1><p>Read <a href="https://example.org/x">this</a></p>'
    shown = rows(of(f"Subject: x\nContent-Type: text/html\n\n{html}\n"))
    assert "News" in shown
    assert any("this" in row and "[1]" in row for row in shown)
    assert "[1] https://example.org/x" in shown


def test_plain_text_comes_before_html() -> None:
    raw = (
        "Subject: x\nContent-Type: multipart/alternative; boundary=b\n\n"
        "--b\nContent-Type: text/plain\n\nthe plain one\n--b\nContent-Type: text/html\n\n<p>the other</p>\n--b--\n"
    )
    shown = rows(of(raw))
    assert "the plain one" in shown
    assert not any("the other" in row for row in shown)


def test_attachments_are_listed_with_type_and_size() -> None:
    raw = (
        "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n"
        '--b\nContent-Type: application/pdf\nContent-Disposition: attachment; filename="plan.pdf"\n\n'
        f"{'x' * 3000}\n--b--\n"
    )
    assert "Attached: plan.pdf  application/pdf  2.9K" in rows(of(raw))


@dataclass
class Hostile:
    text: str = "\x1b]0;pwned\x07\x1b[2J\x9d0;pwned\x9c\u202e\x00\x08\x7f"


def test_nothing_of_a_sender_reaches_the_terminal_raw() -> None:
    evil = Hostile.text
    message = replace(
        of(f"Subject: x\nX-Evil: {evil}\n\n{evil}\n> {evil}\n"),
        subject=evil,
        from_=Address(evil, evil),
        to=(Address(evil, evil),),
        list_id=evil,
        tags=(evil,),
    )
    html = of(f"Subject: x\nContent-Type: text/html\n\n<p>{evil}</p><a href='https://a/{evil}'>x</a>\n")
    for shown in (rows(message), rows(message, all_headers=True), rows(html)):
        assert not set("".join(shown)) & {*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e"}
