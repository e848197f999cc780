"""What every view of the console has in common, and the stack of open views. The ui thread only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from prompt_toolkit.key_binding import KeyBindingsBase
from prompt_toolkit.layout import UIContent, UIControl

from agent.console.fragments import Line, fill

if TYPE_CHECKING:
    from agent.core.message import Message
    from agent.core.messages import Messages


class View(UIControl):
    """Something that fills the screen above the status bar.

    Only the rows in sight are asked for: `row(n, width)` renders one of them.
    """

    context = "text"  # of the keymap

    def __init__(self) -> None:
        self.keys: KeyBindingsBase | None = None
        self.focused = True
        self.top = 0
        self.width, self.height = 80, 20

    # -- for prompt_toolkit ------------------------------------------------------------------

    def is_focusable(self) -> bool:
        return True

    def get_key_bindings(self) -> KeyBindingsBase | None:
        return self.keys

    def create_content(self, width: int, height: int | None) -> UIContent:
        before = self.width, self.height
        self.width, self.height = width, max(1, height or self.height)
        self.refresh()
        if before != (self.width, self.height):
            self.resized()
        total = self.count()
        self.top = max(0, min(self.top, self.lowest_top(total)))

        def line(number: int) -> list[tuple[str, str]]:
            place = self.top + number
            return fill(self.row(place, width), width) if place < total else []

        return UIContent(line, line_count=self.height, show_cursor=False)  # type: ignore[arg-type]

    # -- what a view is ----------------------------------------------------------------------

    @property
    @abstractmethod
    def title(self) -> str:
        """What the status bar calls it; safe text."""

    @abstractmethod
    def count(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def row(self, place: int, width: int) -> Line:
        """Render one row."""

    def refresh(self) -> None:
        """Take notice of a change in the store; called before each drawing."""

    def resized(self) -> None:
        """Take notice of a new size."""

    def lowest_top(self, total: int) -> int:
        """Return the first row when the last one is at the bottom."""
        return max(0, total - self.height)

    @property
    def where(self) -> str:
        """Where in the whole the window stands: All, Top, 40%, End."""
        total = self.count()
        if total <= self.height:
            return "All"
        if self.top == 0:
            return "Top"
        lowest = self.lowest_top(total)
        return "End" if self.top >= lowest else f"{100 * self.top // lowest}%"

    # -- moving ------------------------------------------------------------------------------

    def move(self, lines: int) -> None:
        """Scroll by lines."""
        self.top = max(0, min(self.top + lines, self.lowest_top(self.count())))

    def scroll(self, pages: float) -> None:
        """Scroll by pages, two lines kept in sight."""
        lines = round(abs(pages) * self.height) - (2 if abs(pages) >= 1 and self.height > 4 else 0)
        self.move(max(1, lines) if pages > 0 else -max(1, lines))

    def go_to(self, line: int) -> None:
        """Go to a line; 1 is the first, -1 the last."""
        self.top = self.count() if line < 0 else max(0, line - 1)
        self.move(0)

    # -- what commands act on ----------------------------------------------------------------

    def message(self) -> Message | None:
        """Return the current message."""
        return None

    def messages(self) -> Messages | None:
        """Return all messages of the view."""
        return None

    def marked(self) -> Sequence[Message]:
        """Return the marked messages."""
        return ()


class Stack:
    """The open views, the one in sight on top; the first one is never closed."""

    def __init__(self, first: View) -> None:
        self._views = [first]

    @property
    def top(self) -> View:
        """The view in sight."""
        return self._views[-1]

    @property
    def below(self) -> View | None:
        """The view under it."""
        return self._views[-2] if len(self._views) > 1 else None

    def push(self, view: View) -> None:
        """Open a view."""
        self._views.append(view)

    def pop(self) -> bool:
        """Close the view on top; return False when it is the first."""
        if len(self._views) == 1:
            return False
        self._views.pop()
        return True

    def replace(self, view: View) -> None:
        """Put a view in the place of the one on top."""
        self._views[-1] = view

    def __iter__(self) -> Iterator[View]:
        return iter(self._views)
