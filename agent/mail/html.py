"""HTML mail to styled, wrapped lines with numbered links. Pure; nothing is ever fetched; iterative and linear.

What a browser would not show is left out. mail.html_text is for the index, replies and scripts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from selectolax.lexbor import LexborNode

from agent.mail.html_lines import Fragment, Lines
from agent.mail.html_page import DROPPED, hidden, page_of, target_of, tiny
from agent.mail.safe import cell_width, safe

_BLOCKS = frozenset(
    "p div section article header footer main aside nav center address figure figcaption form fieldset h1 h2 h3"
    " h4 h5 h6 ul ol dl dt dd li blockquote pre table tr td th tbody thead tfoot caption hr body html details"
    " summary menu".split()
)
_GAPS = frozenset("p h1 h2 h3 h4 h5 h6 ul ol dl blockquote pre table".split())
_STYLES = {
    **dict.fromkeys(("b", "strong", "th", "h3", "h4", "h5", "h6"), "bold"),
    **dict.fromkeys(("i", "em", "cite", "dfn"), "italic"),
    **dict.fromkeys(("s", "del", "strike"), "strike"),
    **dict.fromkeys(("code", "tt", "kbd", "samp"), "class:code"),
    **dict.fromkeys(("h1", "h2"), "class:heading bold"),
    "u": "underline",
    "a": "class:link",
}
_HOST = re.compile(
    r"\s*(?:https?://)?(?:www\.)?((?:[\w-]{1,63}\.){1,10}[a-z]{2,24})(?:[/:?#]\S*)?\s*", re.IGNORECASE
)
_TINY_IMAGE = re.compile(r"\s*[0-2](?:px|\.0)?\s*", re.IGNORECASE)
_GRID_ROWS, _GRID_CELL = 200, 30


@dataclass(frozen=True, slots=True)
class Rendered:
    """Lines of (style, text), and the targets of the links: `links[0]` is shown as [1]."""

    lines: list[list[Fragment]]
    links: list[str]


def render(html: str, width: int) -> Rendered:
    """Return HTML as lines of at most `width` cells (20 at least); its text is safe for a terminal."""
    page = _Page(Lines(max(width, 20)))
    stack: list[tuple[LexborNode, bool]] = [(page_of(html), False)]
    while stack and not page.lines.full:
        node, leaving = stack.pop()
        if leaving:
            page.leave(node)
        elif node.is_text_node:
            page.text(node.text_content or "")
        elif node.is_element_node and page.enter(node):
            stack.append((node, True))
            children = []
            child = node.child
            while child is not None:
                children.append((child, False))
                child = child.next
            stack.extend(reversed(children))
    return Rendered(page.lines.finish(), page.links)


@dataclass(slots=True)
class _Page:
    """What is open around the current node of the walk."""

    lines: Lines
    links: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    styles: list[str] = field(default_factory=list)
    lists: list[int | None] = field(default_factory=list)  # the last number; None for bullets
    tiny: list[bool] = field(default_factory=lambda: [False])
    quotes: int = 0
    pre: int = 0
    shown: list[str] = field(default_factory=list)  # the text of the open link

    def text(self, text: str) -> None:
        if self.tiny[-1]:
            return
        if self.shown:
            self.shown.append(text)
        style = " ".join(dict.fromkeys(self.styles))
        if self.pre:
            self.lines.verbatim(text, style)
        else:
            self.lines.words(text, style)

    def enter(self, node: LexborNode) -> bool:
        """Begin an element; tell whether to go into it."""
        tag = node.tag or ""
        if tag in DROPPED:
            return False
        attributes = node.attributes
        if hidden(attributes):
            return False
        if tag in ("br", "img", "hr"):
            self._empty(tag, attributes)
            return False
        if tag in _BLOCKS:
            self._gap(tag)
            if tag == "table" and (rows := grid_of(node)):
                for row in rows:
                    self.lines.verbatim(f"{row}\n", "")
                self._gap(tag)
                return False
            self._indent(tag)
        if style := _STYLES.get(tag):
            self.styles.append(style)
        if tag == "a":
            self.shown = [""]
        small = tiny(attributes)
        self.tiny.append(self.tiny[-1] if small is None else small)
        return True

    def leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        self.tiny.pop()
        if tag == "a":
            self._link(target_of(node.attributes.get("href")))
        if tag in _STYLES:
            self.styles.pop()
        if tag in _BLOCKS:
            self._dedent(tag)
            self._gap(tag)

    def _gap(self, tag: str) -> None:
        # A list within a list begins right below its line.
        if tag in _GAPS and not (tag in ("ul", "ol", "p") and self.lists):
            self.lines.gap()
        else:
            self.lines.flush()

    def _empty(self, tag: str, attributes: dict[str, str | None]) -> None:
        if tag == "br":
            self.lines.newline()
        elif tag == "hr":
            self.lines.rule()
        else:
            alt = " ".join((attributes.get("alt") or "").split())
            sizes = (attributes.get("width") or "", attributes.get("height") or "")
            if alt and not any(_TINY_IMAGE.fullmatch(size) for size in sizes):
                self.lines.words(f"[{alt}]", "class:image")

    def _indent(self, tag: str) -> None:
        if tag == "blockquote":
            self.quotes += 1
            self.lines.push(f"class:quote{min(self.quotes, 3)}", "> ")
        elif tag in ("ul", "ol"):
            self.lists.append(0 if tag == "ol" else None)
            self.lines.push("", "  " if len(self.lists) > 1 else "")
        elif tag == "li":
            bullet = "• "
            if self.lists and (number := self.lists[-1]) is not None:
                self.lists[-1] = number + 1
                bullet = f"{number + 1}. "
            self.lines.push("", " " * len(bullet))
            self.lines.bullet = bullet
        elif tag == "dd":
            self.lines.push("", "    ")
        elif tag == "pre":
            self.pre += 1

    def _dedent(self, tag: str) -> None:
        if tag == "pre":
            self.pre -= 1
        elif tag in ("blockquote", "ul", "ol", "li", "dd"):
            self.lines.pop()
            if tag == "blockquote":
                self.quotes -= 1
            elif tag == "li":
                self.lines.bullet = ""
            elif tag != "dd":
                self.lists.pop()

    def _link(self, target: str) -> None:
        text, self.shown = "".join(self.shown), []
        if not target or self.tiny[-1]:
            return
        number = self.numbers.get(target)
        if number is None:
            self.links.append(target)
            number = self.numbers[target] = len(self.links)
        self.lines.attach(f"[{number}]", "class:linknumber")
        if host := lying_host(text, target):
            self.lines.attach(f"(really {host})", "class:warning")


def lying_host(text: str, target: str) -> str:
    """Return the host of a link whose text names another host, else nothing."""
    said = _HOST.fullmatch(text[:2000])
    real = _HOST.fullmatch(target[:2000])
    if not said or not real:
        return ""
    one, other = said[1].lower(), real[1].lower()
    same = one == other or one.endswith(f".{other}") or other.endswith(f".{one}")
    return "" if same else str(safe(other))


def grid_of(table: LexborNode) -> list[str]:
    """Return a small table of data as lines in columns; nothing for tables that only lay out."""
    if table.css_first("table table, td img, td p, td div, td ul, td h1, td a") is not None:
        return []
    rows = table.css("tr")
    if not 2 <= len(rows) <= _GRID_ROWS:
        return []
    cells = [
        [" ".join(str(safe(cell.text(separator=" "))).split()) for cell in row.css("td, th")] for row in rows
    ]
    columns = max(map(len, cells), default=0)
    if columns < 2 or columns > _GRID_CELL or any(len(cell) > _GRID_CELL for row in cells for cell in row):
        return []
    widths = [max(cell_width(row[n]) for row in cells if n < len(row)) for n in range(columns)]
    return [
        "  ".join(cell + " " * (widths[n] - cell_width(cell)) for n, cell in enumerate(row)).rstrip()
        for row in cells
        if any(row)
    ]


def html_links(html: str) -> list[str]:
    """Return the http and mailto targets of a page, each once, in order."""
    if "href" not in html and "HREF" not in html:
        return []
    found = (target_of(node.attributes.get("href")) for node in page_of(html).css("a[href], area[href]"))
    return list(dict.fromkeys(link for link in found if link))
