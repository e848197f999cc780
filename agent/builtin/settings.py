"""The options of the console."""

from __future__ import annotations

from typing import Any

from agent.core.options import Option, Options

KEYS = Option("keys", "vim", "Flavour of the keys", choices=("vim",))
WRAP = Option("wrap", 100, "Wrap text at this column")
READ_AFTER = Option(
    "mark-read-after", 1.0, "Mark an open message as read after so many seconds; -1 for never"
)
EDITOR = Option("editor", "", "The editor to write in; empty for $VISUAL or $EDITOR")
ASCII = Option("ascii", False, "Draw with ASCII signs only")
HINTS = Option("hints", True, "Show the most useful keys at the bottom")
LIST_ABOVE = Option("list-above", 10, "Rows of the list above an open message on a tall screen; 0 for none")
REPL_HEIGHT = Option("repl-height", 0.4, "How much of the screen the REPL takes")

ALL: tuple[Option[Any], ...] = (KEYS, WRAP, READ_AFTER, EDITOR, ASCII, HINTS, LIST_ABOVE, REPL_HEIGHT)


def define(options: Options) -> None:
    """Make them known."""
    for option in ALL:
        options.define(option)
