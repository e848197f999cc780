"""Views of text: wrapped to the width, scrolled by lines. The ui thread only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.console.fragments import Line, wrap
from agent.console.views.view import View
from agent.mail.safe import safe, safe_block


class TextView(View):
    """Lines that do not change."""

    context = "text"

    def __init__(self, title: str, lines: Sequence[Line]) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._wrapped: list[Line] = []
        self._wrapped_for = 0

    @classmethod
    def of_text(cls, title: str, text: str) -> TextView:
        """Return a view of plain text."""
        return cls(title, [[("", line)] for line in safe_block(text).split("\n")])

    @property
    def title(self) -> str:
        return str(safe(self._title))

    def refresh(self) -> None:
        if self._wrapped_for != self.width:
            self._wrapped_for = self.width
            self._wrapped = [row for line in self._lines for row in wrap(line, self.width)]

    def count(self) -> int:
        return len(self._wrapped)

    def row(self, place: int, width: int) -> Line:
        return self._wrapped[place]


class LogView(TextView):
    """Lines that grow at the end, which stays in sight unless the user scrolled away from it."""

    def __init__(self, title: str, lines: Callable[[], Sequence[Line]]) -> None:
        super().__init__(title, ())
        self._read = lines
        self._length = -1

    def refresh(self) -> None:
        lines = self._read()
        if len(lines) == self._length and self._wrapped_for == self.width:
            return
        at_end = self.top >= self.lowest_top(self.count())
        self._lines, self._length, self._wrapped_for = lines, len(lines), 0
        super().refresh()
        if at_end:
            self.top = self.lowest_top(self.count())
