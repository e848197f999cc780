"""Styled words to wrapped lines with indentation: the paper that mail.html writes on. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.mail.safe import cell_width, safe

Fragment = tuple[str, str]
MAX_LINES = 20_000
_LEAST_ROOM = 10  # cells that indentation leaves for text


@dataclass(slots=True)
class Lines:
    """Lines of at most `width` cells; `prefix` is what each begins with, `bullet` what the next one does."""

    width: int
    lines: list[list[Fragment]] = field(default_factory=list)
    prefix: list[Fragment] = field(default_factory=list)
    bullet: str = ""
    _line: list[Fragment] = field(default_factory=list)
    _column: int = 0
    _indent: int = 0
    _blank: bool = False
    _gap: int | None = None  # how many indentations the empty line has that is to come

    @property
    def full(self) -> bool:
        """Whether no more lines are taken."""
        return len(self.lines) >= MAX_LINES

    def push(self, style: str, text: str) -> None:
        """Begin an indentation; one that would leave no room for text takes none."""
        self.flush()
        room = self.width - sum(cell_width(each) for _, each in self.prefix)
        self.prefix.append((style, text if room - len(text) >= _LEAST_ROOM else ""))

    def pop(self) -> None:
        """End the last indentation."""
        self.flush()
        self.prefix.pop()

    def words(self, text: str, style: str) -> None:
        """Write running text; white space only separates."""
        text = text.replace("\xa0", " ")
        if text[:1].isspace():
            self._blank = True
        for word in safe(text).split():
            self._word(word, style)
            self._blank = True
        if text and not text[-1].isspace() and text.strip():
            self._blank = False

    def attach(self, text: str, style: str) -> None:
        """Write a word right behind the last one, on its line where there is room."""
        self._blank, blank = False, self._blank
        self._word(str(safe(text)), style)
        self._blank = blank

    def _word(self, word: str, style: str) -> None:
        cells = cell_width(word)
        blank = 1 if self._blank and self._line and self._column > self._indent else 0
        if self._line and self._column + blank + cells > self.width and self._column > self._indent:
            self._end()
            blank = 0
        if not self._line:
            self._start()
        while self._column + blank + cells > self.width:
            head = self._head(word)
            self._line.append((style, head))
            word = word[len(head) :]
            cells = cell_width(word)
            if not word:
                self._column = self.width
                return
            self._end()
            self._start()
        self._line.append((style, " " * blank + word))
        self._column += blank + cells

    def _head(self, word: str) -> str:
        """Return as much of a long word as the line takes, at least a character."""
        left = self.width - self._column
        for place, char in enumerate(word):
            left -= cell_width(char)
            if left < 0:
                return word[: max(place, 1)]
        return word

    def verbatim(self, text: str, style: str) -> None:
        """Write text as it stands, with its line ends and blanks; too long lines are broken."""
        for n, line in enumerate(text.replace("\r\n", "\n").expandtabs(8).split("\n")):
            if n:
                self.newline()
            line = safe(line)
            while line:
                if not self._line:
                    self._start()
                head = self._head(line)
                self._line.append((style, head))
                self._column += cell_width(head)
                line = line[len(head) :]
                if line:
                    self._end()

    def rule(self) -> None:
        """Draw a line over the whole width."""
        self.flush()
        self._start()
        self._line.append(("class:rule", "─" * (self.width - self._column)))
        self.flush()

    def newline(self) -> None:
        """End the line, or leave an empty one."""
        if not self._line and self.lines and self.lines[-1] and not self.full:
            self.lines.append(self._empty_line(len(self.prefix)))
        self.flush()

    def flush(self) -> None:
        """End the line if there is one."""
        if self._line:
            self._end()
        self._blank = False

    def gap(self) -> None:
        """Leave an empty line before what comes next."""
        self.flush()
        self._gap = len(self.prefix) if self._gap is None else min(self._gap, len(self.prefix))

    def finish(self) -> list[list[Fragment]]:
        """Return the lines, without empty ones at the end."""
        self.flush()
        while self.lines and not any(text.strip() for _, text in self.lines[-1]):
            self.lines.pop()
        return self.lines

    def _start(self) -> None:
        if self._gap is not None and self.lines and any(text.strip("> ") for _, text in self.lines[-1]):
            self.lines.append(self._empty_line(self._gap))
        self._gap = None
        self._line = [each for each in self.prefix if each[1]]
        self._column = self._indent = sum(cell_width(text) for _, text in self._line)
        if self.bullet and self._line:
            self._line[-1] = ("class:bullet", self.bullet)
        self.bullet = ""
        self._blank = False

    def _empty_line(self, depth: int) -> list[Fragment]:
        return [(style, text.rstrip()) for style, text in self.prefix[:depth] if text.strip()]

    def _end(self) -> None:
        if not self.full:
            self.lines.append(_joined(self._line))
        self._line = []
        self._column = self._indent = 0


def _joined(line: list[Fragment]) -> list[Fragment]:
    """Return a line with neighbours of one style as one fragment."""
    result: list[Fragment] = []
    for style, text in line:
        if result and result[-1][0] == style:
            result[-1] = (style, result[-1][1] + text)
        else:
            result.append((style, text))
    return result
