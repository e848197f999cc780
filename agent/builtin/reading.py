"""Commands that open, narrow, mark and close."""

from __future__ import annotations

from agent.core.commands import Line, command
from agent.core.folder import Folder
from agent.core.message import Message
from agent.core.screen import Screen

_NOTHING = Line()


@command("open", context="index", ui=True)
def open_message(screen: Screen) -> None:
    "Open the message under the cursor"
    screen.open()


@command(context="index view text review", ui=True)
def back(screen: Screen) -> None:
    "Close this and go back"
    screen.back()


@command("open-folder", aliases="cf", ui=True)
def open_folder(screen: Screen, folder: Folder) -> None:
    "Show a folder"
    screen.show(folder, str(folder))


@command("search", ui=True)
def search(screen: Screen, query: Line = _NOTHING) -> None:
    "Show only the messages that match a query; without one, all again"
    screen.limit(query)


@command("search-line", context="index view", ui=True)
def search_line(screen: Screen) -> None:
    "Type a query"
    screen.command_line(prompt="/")


@command("toggle-headers", context="view", ui=True)
def toggle_headers(screen: Screen) -> None:
    "Show all headers, or the usual ones"
    screen.toggle_headers()


@command("show-source", context="index view", ui=True)
def show_source(screen: Screen, msg: Message) -> None:
    "Show the message as it was sent"
    raw = msg.raw
    screen.show_text(
        "Source", raw.decode("utf-8", "replace") if raw else "not fetched yet: open the message first"
    )


@command("mark", context="index", ui=True)
def mark(screen: Screen) -> None:
    "Mark the message, or take the mark off"
    screen.mark("toggle")


@command("mark-all", context="index", ui=True)
def mark_all(screen: Screen) -> None:
    "Mark all messages of the list"
    screen.mark("all")


@command("unmark-all", context="index", ui=True)
def unmark_all(screen: Screen) -> None:
    "Take all marks off, then the limit"
    screen.mark("none")
