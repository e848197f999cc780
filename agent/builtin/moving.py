"""Commands that move around in lists and texts."""

from __future__ import annotations

from agent.core.commands import command
from agent.core.screen import Screen

_SCROLLED = "index view text review"


@command("next", context=_SCROLLED, ui=True)
def following(screen: Screen, count: int = 1) -> None:
    "Go down"
    screen.move(count)


@command(context=_SCROLLED, ui=True)
def previous(screen: Screen, count: int = 1) -> None:
    "Go up"
    screen.move(-count)


@command("go-to", context=_SCROLLED, ui=True)
def go_to(screen: Screen, count: int = 1) -> None:
    "Go to a line: the first, or that of the count"
    screen.go_to(count)


@command("go-to-last", context=_SCROLLED, ui=True)
def go_to_last(screen: Screen, count: int | None = None) -> None:
    "Go to the last line, or that of the count"
    screen.go_to(count or -1)


@command("page-down", context=_SCROLLED, ui=True)
def page_down(screen: Screen, count: int = 1) -> None:
    "Go down by pages"
    screen.scroll(count)


@command("page-up", context=_SCROLLED, ui=True)
def page_up(screen: Screen, count: int = 1) -> None:
    "Go up by pages"
    screen.scroll(-count)


@command("half-page-down", context=_SCROLLED, ui=True)
def half_page_down(screen: Screen, count: int = 1) -> None:
    "Go down by half pages"
    screen.scroll(count / 2)


@command("half-page-up", context=_SCROLLED, ui=True)
def half_page_up(screen: Screen, count: int = 1) -> None:
    "Go up by half pages"
    screen.scroll(-count / 2)


@command("next-unread", context="index view", ui=True)
def next_unread(screen: Screen, count: int = 1) -> None:
    "Go to the next unread message"
    screen.next_unread(count)


@command("previous-unread", context="index view", ui=True)
def previous_unread(screen: Screen, count: int = 1) -> None:
    "Go to the previous unread message"
    screen.next_unread(-count)


@command("next-message", context="view", ui=True)
def next_message(screen: Screen, count: int = 1) -> None:
    "Show the next message"
    screen.step(count)


@command("previous-message", context="view", ui=True)
def previous_message(screen: Screen, count: int = 1) -> None:
    "Show the previous message"
    screen.step(-count)
