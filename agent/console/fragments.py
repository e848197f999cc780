"""Lines of styled text: measured, wrapped, cut and filled by terminal cells. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from agent.mail.safe import cell_width, fit

Fragment = tuple[str, str]
Line = list[Fragment]


def width_of(line: Line) -> int:
    """Return the cells a line takes."""
    return sum(cell_width(text) for _, text in line)


def fill(line: Line, width: int, style: str = "") -> Line:
    """Return the line cut or filled to exactly `width` cells, `style` added to all of it."""
    result: Line = []
    left = width
    for own, text in line:
        cells = cell_width(text)
        if cells > left:
            text, cells = fit(text, left), left
        result.append((f"{own} {style}".strip(), text))
        left -= cells
        if left <= 0:
            return result
    if left:
        result.append((style, " " * left))
    return result


def wrap(line: Line, width: int, prefix: str = "") -> list[Line]:
    """Break a line at spaces to at most `width` cells; lines after the first begin with `prefix`."""
    if width_of(line) <= width:
        return [line]
    rows: list[Line] = []
    row: Line = []
    used = 0
    for style, word in _words(line):
        cells = cell_width(word)
        if used + cell_width(word.rstrip()) > width and used > cell_width(prefix if rows else ""):
            rows.append(_trimmed(row))
            row, used = ([("", prefix)] if prefix else []), cell_width(prefix)
            word = word.lstrip(" ")
            cells = cell_width(word)
        while used + cell_width(word.rstrip()) > width:
            head = _head(word, width - used)
            rows.append([*row, (style, head)])
            row, used = ([("", prefix)] if prefix else []), cell_width(prefix)
            word = word[len(head) :]
            cells = cell_width(word)
        if word:
            row.append((style, word))
            used += cells
    if row:
        rows.append(_trimmed(row))
    return rows


def _words(line: Line) -> Iterator[Fragment]:
    """Split into words, each with the spaces behind it."""
    for style, text in line:
        start = 0
        while start < len(text):
            end = text.find(" ", start)
            while 0 <= end < len(text) and text[end] == " ":
                end += 1
            end = len(text) if end < 0 else end
            yield style, text[start:end]
            start = end


def _head(word: str, cells: int) -> str:
    """Return the longest beginning of a word that fits, at least one character."""
    used = 0
    for place, char in enumerate(word):
        used += cell_width(char)
        if used > cells:
            return word[: max(1, place)]
    return word


def _trimmed(row: Line) -> Line:
    return [*row[:-1], (row[-1][0], row[-1][1].rstrip(" "))] if row else row
