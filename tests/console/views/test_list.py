from __future__ import annotations

from typing import Any

import pytest

from agent.console.fragments import width_of
from agent.console.views.list import ListView
from tests.console.mailbox import NOW, Letter, Shelf, shelf


def view_of(source: Any, height: int = 10, width: int = 80) -> ListView:
    view = ListView(source, "Inbox", lambda: source.revision, lambda: NOW)
    draw(view, height, width)
    return view


def draw(view: ListView, height: int = 10, width: int = 80) -> list[str]:
    """Draw as prompt_toolkit does; return the text of the rows in sight."""
    content = view.create_content(width, height)
    return ["".join(text for _, text in content.get_line(n)).rstrip() for n in range(height)]


def under_cursor(view: ListView) -> str:
    message = view.message()
    return message.id if message else ""


def test_rows_are_as_wide_as_the_screen() -> None:
    view = view_of(shelf(3))
    content = view.create_content(80, 10)
    assert [width_of(content.get_line(n)) for n in range(3)] == [80] * 3  # type: ignore[arg-type]


def test_only_what_is_in_sight_is_read() -> None:
    source = shelf(100_000)
    view = view_of(source, height=40)
    view.go_to(50_000)
    draw(view, 40)
    assert source.asked <= 4 * 64
    asked = source.asked
    for _ in range(5):
        draw(view, 40)
    assert source.asked == asked


@pytest.mark.parametrize(
    ("moves", "place"), [([3], 3), ([3, -1], 2), ([-5], 0), ([1000], 99), ([99, -99], 0)]
)
def test_the_cursor_moves_within_the_list(moves: list[int], place: int) -> None:
    view = view_of(shelf(100))
    for lines in moves:
        view.move(lines)
    assert under_cursor(view) == f"m{place}"
    rows = draw(view)
    assert any(f"message {place}" in row for row in rows)


def test_going_to_lines_and_pages() -> None:
    view = view_of(shelf(100))
    view.go_to(-1)
    assert under_cursor(view) == "m99"
    view.go_to(7)
    assert under_cursor(view) == "m6"
    view.go_to(1)
    view.scroll(1)
    assert under_cursor(view) == "m8"
    view.scroll(-0.5)
    assert under_cursor(view) == "m3"


def test_the_cursor_stays_on_its_message_when_mail_comes_in_above() -> None:
    source = shelf(100)
    view = view_of(source)
    view.go_to(50)
    before = draw(view)
    source.change([Letter("new"), *source.letters])
    assert draw(view) == before
    assert under_cursor(view) == "m49"


def test_at_the_top_new_mail_is_seen() -> None:
    source = shelf(100)
    view = view_of(source)
    source.change([Letter("new", subject="brand new"), *source.letters])
    assert "brand new" in draw(view)[0]
    assert under_cursor(view) == "m0"


def test_when_its_message_goes_the_cursor_is_on_the_one_that_followed() -> None:
    source = shelf(10)
    view = view_of(source)
    view.move(4)
    source.change([letter for letter in source.letters if letter.id != "m4"])
    draw(view)
    assert under_cursor(view) == "m5"


def test_when_the_last_goes_the_cursor_is_on_the_one_before() -> None:
    source = shelf(3)
    view = view_of(source)
    view.go_to(-1)
    source.change(source.letters[:2])
    draw(view)
    assert under_cursor(view) == "m1"
    source.change([])
    assert draw(view) == [""] * 10
    assert view.message() is None
    assert view.where == "empty"


def test_messages_that_are_leaving_are_passed_over() -> None:
    view = view_of(shelf(5))
    view.move(1)
    assert view.advance(["m1", "m2"])
    assert under_cursor(view) == "m3"
    assert view.advance(["m3", "m4"])
    assert under_cursor(view) == "m0"
    assert not view.advance(["m0"])


def test_messages_that_could_not_go_are_there_again() -> None:
    view = view_of(shelf(5))
    view.advance(["m0"])
    view.stay(["m0"])
    view.go_to(1)
    assert view.advance(["m1"])
    assert under_cursor(view) == "m0"


def test_marks_follow_the_messages() -> None:
    source = shelf(5)
    view = view_of(source)
    view.toggle_mark()
    view.toggle_mark()
    assert [message.id for message in view.marked()] == ["m0", "m1"]
    source.change([Letter("new"), *source.letters])
    rows = draw(view)
    assert [row.startswith("▌") for row in rows[:4]] == [False, True, True, False]
    view.go_to(2)
    view.toggle_mark()
    assert [message.id for message in view.marked()] == ["m1"]
    view.mark(())
    assert not view.marked()


def test_a_limit_keeps_the_cursor_on_its_message() -> None:
    source = shelf(50)
    view = view_of(source)
    view.go_to(31)
    some = Shelf(source.letters[::10])
    view.limit(some, "from:ann")
    assert under_cursor(view) == "m30"
    assert view.title == "Inbox /from:ann"
    assert view.count() == 5
    view.limit(source, "")
    assert under_cursor(view) == "m30"


def test_a_smaller_window_still_shows_the_cursor() -> None:
    view = view_of(shelf(100), height=40)
    view.go_to(35)
    assert any("message 34" in row for row in draw(view, 10))
    assert any("message 34" in row for row in draw(view, 1))


def test_the_cursor_stays_on_the_newest_while_mailboxes_are_listed_first() -> None:
    letters, filling = shelf(5).letters, [True]
    source = Shelf(letters[3:])
    view = ListView(source, "Inbox", lambda: source.revision, lambda: NOW, filling=lambda: filling[0])
    draw(view)
    filling[0] = False  # told together with what is listed last
    source.change(letters[1:])
    draw(view)
    assert view.cursor == 0
    source.change(letters)
    draw(view)
    assert view.cursor == 1


def test_what_a_key_was_meant_for_stays_under_the_cursor_while_mailboxes_are_listed_first() -> None:
    letters = shelf(5).letters
    source = Shelf(letters[3:])
    view = ListView(source, "Inbox", lambda: source.revision, lambda: NOW, filling=lambda: True)
    draw(view)
    source.change(letters)
    assert under_cursor(view) == "m3"
