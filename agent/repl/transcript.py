"""The transcript: what statements printed and returned, line by line. Any thread writes, `ui` shows.

Everything that comes in is made safe for the terminal here; colours (SGR) of programs are kept.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from prompt_toolkit.formatted_text import ANSI, to_formatted_text
from prompt_toolkit.formatted_text.utils import split_lines

from agent.mail.safe import safe_block

Fragment = tuple[str, str]
Line = list[Fragment]

_SGR = re.compile(r"(\x1b\[[0-9;]*m)")
# Other sequences of programs that think they own a terminal: cursor movement, titles, charsets.
_OTHER = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-ln-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z])")
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n|$)")


class Transcript:
    """The last lines of output; `revision` grows with every change."""

    def __init__(self, limit: int = 5_000) -> None:
        self.revision = 0
        self.changed: Callable[[], None] = lambda: None
        self._lines: deque[Line] = deque(maxlen=limit)
        self._open = False  # the last line may still grow
        self._lock = threading.Lock()

    def lines(self) -> Sequence[Line]:
        """Return the lines as they are now."""
        with self._lock:
            return list(self._lines)

    def write(self, text: str, style: str = "") -> None:
        """Append what a program printed; a line without its end is continued by the next write."""
        if text:
            self._append(_fragments(text, style), ends=text.endswith("\n"))

    def show(self, fragments: Iterable[Fragment]) -> None:
        """Append finished lines, beginning on a line of their own."""
        made = [(style, str(safe_block(text))) for style, text in map(_known, fragments)]
        with self._lock:
            self._open = False
        self._append(made, ends=True)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._lines.clear()
            self._open = False
            self.revision += 1
        self.changed()

    def _append(self, fragments: list[Fragment], *, ends: bool) -> None:
        lines = [[(style, text) for style, text, *_ in line] for line in split_lines(fragments)]
        if ends and lines and not any(text for _, text in lines[-1]):
            lines.pop()
        with self._lock:
            if self._open and self._lines and lines:
                self._lines[-1] = [*self._lines[-1], *lines.pop(0)]
            self._lines.extend(lines)
            self._open = not ends
            self.revision += 1
        self.changed()


def _known(fragment: Sequence[str]) -> Fragment:
    """Drop mouse handlers, and styles that would write to the terminal behind our back."""
    style, text = fragment[0], fragment[1]
    return ("", "") if "ZeroWidthEscape" in style else (style, text)


def _fragments(text: str, style: str) -> list[Fragment]:
    """Turn printed text into fragments: harmless text, and the colours it asks for."""
    plain = _OVERWRITTEN.sub("", _OTHER.sub("", text.replace("\r\n", "\n")))
    pieces = [piece if n % 2 else str(safe_block(piece)) for n, piece in enumerate(_SGR.split(plain))]
    if len(pieces) == 1:
        return [(style, pieces[0])]
    return [(f"{style} {own}".strip(), part) for own, part, *_ in to_formatted_text(ANSI("".join(pieces)))]
