"""What a command can ask of the console; a command gets it as a parameter of type `Screen`.

Every method returns at once and may be called from any thread: the ui thread does it. Without a
console there is no Screen, and commands that need one say so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from agent.core.draft import Draft
    from agent.core.messages import Messages

Pane = Literal["views", "repl"]
Mark = Literal["toggle", "all", "none"]
Answer = Literal["send", "edit", "keep", "drop", "ask"]


class Screen(Protocol):
    """The full-screen console."""

    # -- in the view on top ------------------------------------------------------------------

    def move(self, lines: int) -> None:
        """Move the cursor, or scroll where there is none."""

    def scroll(self, pages: float) -> None:
        """Scroll by pages; 0.5 is half of one."""

    def go_to(self, line: int) -> None:
        """Go to a line; 1 is the first, -1 the last."""

    def open(self) -> None:
        """Open what is under the cursor."""

    def back(self) -> None:
        """Close the view on top; the first one stays."""

    def step(self, messages: int) -> None:
        """Show the next or previous message of the list below."""

    def next_unread(self, steps: int) -> None:
        """Go to the next or previous unread message."""

    def advance(self, gone: Messages) -> None:
        """Leave messages that are about to go away: to the next one that stays."""

    def mark(self, how: Mark) -> None:
        """Mark the message under the cursor, all, or none."""

    def limit(self, query: str) -> None:
        """Show only what matches a query; an empty one shows all again. Raises QueryError."""

    def toggle_headers(self) -> None:
        """Show all headers of the message, or the usual ones."""

    # -- other views -------------------------------------------------------------------------

    def show(self, messages: Messages, title: str = "") -> None:
        """Show messages as a list."""

    def show_text(self, title: str, text: str) -> None:
        """Show text to be read."""

    def show_log(self) -> None:
        """Show what was told and logged."""

    def show_keys(self) -> None:
        """Show the keys that work here."""

    # -- writing -----------------------------------------------------------------------------

    def write(self, make: Callable[[], Draft], *, even_unchanged: bool = False) -> None:
        """Make a draft away from the ui thread, let the user edit it and review it.

        What was left as it was is dropped, unless `even_unchanged` is set.
        """

    def review(self, answer: Answer) -> None:
        """Say what becomes of the draft under review; `ask` asks whether to keep it."""

    # -- the rest ----------------------------------------------------------------------------

    def focus(self, pane: Pane) -> None:
        """Give the keys to the views, or show the REPL and give them to it."""

    def command_line(self, text: str = "", prompt: Literal[":", "/"] = ":") -> None:
        """Open the command line with some text in it."""

    def statement(self, source: str) -> None:
        """Run a Python statement as if it had been typed in the REPL."""

    def tell(self, text: str) -> None:
        """Show a line at the bottom until the next key."""

    def redraw(self) -> None:
        """Draw everything anew."""

    def suspend(self) -> None:
        """Stop the program as Ctrl-Z does; `fg` continues it."""

    def quit(self) -> None:
        """End the program."""
