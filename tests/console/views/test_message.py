from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from agent.console.page import Page
from agent.console.views.list import ListView
from agent.console.views.message import MessageView
from tests.console.mailbox import NOW, Letter, shelf


@dataclass
class Errand:
    """A job as the view sees it."""

    done: bool = False
    error: str = ""


class Absent:
    """A message whose body is not here until the test says so."""

    account = None

    def __init__(self) -> None:
        self._letter = Letter("1")
        self.errands: list[Errand] = []
        self.text = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._letter, name)

    @property
    def fetched(self) -> bool:
        return bool(self.text)

    def fetch(self) -> Errand:
        self.errands.append(Errand())
        return self.errands[-1]


class Desk:
    """A view whose pages are built when the test says so."""

    def __init__(self, message: Any, parent: ListView | None = None) -> None:
        self.revision = 0
        self.waiting: list[tuple[Callable[[], Page], Callable[[Page], None]]] = []
        build = lambda work, take: self.waiting.append((work, take))  # noqa: E731
        self.view = MessageView(message, parent, build, lambda: self.revision, 100)

    def read(self) -> None:
        """Do what the reader would do."""
        waiting, self.waiting = self.waiting, []
        for work, take in waiting:
            take(work())

    def draw(self, height: int = 12, width: int = 60) -> list[str]:
        content = self.view.create_content(width, height)
        return ["".join(text for _, text in content.get_line(n)).rstrip() for n in range(height)]


def test_the_headers_are_there_before_the_page_is_built() -> None:
    message: Any = Letter("1", subject="Lunch", text="At noon?")
    desk = Desk(message)
    assert "Subject:  Lunch" in desk.draw()
    assert "At noon?" not in desk.draw()
    assert len(desk.waiting) == 1
    desk.read()
    assert "At noon?" in desk.draw()
    assert desk.view.complete


def test_an_absent_body_is_fetched_once_and_shown_when_it_comes() -> None:
    message: Any = Absent()
    desk = Desk(message)
    desk.draw()
    desk.read()
    assert "fetching …" in desk.draw()
    assert len(message.errands) == 1
    message.text = "At noon?"
    desk.revision += 1
    desk.draw()
    desk.read()
    assert "At noon?" in desk.draw()
    assert "fetching …" not in desk.draw()


def test_a_body_that_cannot_be_fetched_says_why() -> None:
    message: Any = Absent()
    desk = Desk(message)
    desk.draw()
    message.errands[0].done, message.errands[0].error = True, "no such\x1b[2J message"
    desk.revision += 1
    desk.read()
    (told,) = [row for row in desk.draw() if "could not be fetched" in row]
    assert "\x1b" not in told


def test_a_page_that_is_no_longer_wanted_is_not_shown() -> None:
    first: Any = Letter("1", text="the first")
    second: Any = Letter("2", text="the second")
    desk = Desk(first)
    desk.draw()
    desk.view.show(second)
    desk.draw()
    old, new = desk.waiting
    new[1](new[0]())
    old[1](old[0]())
    assert "the second" in desk.draw()


def test_another_width_is_another_page() -> None:
    message: Any = Letter("1", text="word " * 30)
    desk = Desk(message)
    desk.draw(width=60)
    desk.read()
    desk.draw(width=30)
    desk.read()
    assert max(len(row) for row in desk.draw(width=30)) <= 30


def test_all_headers_on_demand() -> None:
    message: Any = replace(Letter("1"), headers=(("X-Mailer", "Something"),))
    desk = Desk(message)
    desk.view.toggle_headers()
    desk.draw()
    desk.read()
    assert "X-Mailer: Something" in desk.draw()


def test_the_view_stands_on_the_list_it_was_opened_from() -> None:
    source = shelf(3)
    below = ListView(source, "Inbox", lambda: source.revision, lambda: NOW)
    desk = Desk(source.letters[0], below)
    assert desk.view.parent is below
    assert desk.view.message() is source.letters[0]
    assert desk.view.messages() is None
    assert desk.view.title == "message 0"
