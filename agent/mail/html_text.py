"""HTML mail to plain text: for the index, replies and scripts, ten times as fast as rendering. Pure, linear.

Nearly all pages are read without a parser, tag by tag; those with hidden text or with elements of
their own rules are parsed. What a browser would not show is left out.
"""

from __future__ import annotations

import re
from html import unescape

from selectolax.lexbor import LexborNode

from agent.mail.html_page import DROPPED, MAX_HTML, hidden, may_hide, page_of, tiny

# What tags are replaced by: a line ends, a paragraph ends, a quote begins, it ends.
_LINE, _GAP, _QUOTE, _UNQUOTE = "\x01", "\x02", "\x03", "\x04"
_OWN = str.maketrans("", "", "\0" + _LINE + _GAP + _QUOTE + _UNQUOTE)
_LINE_TAGS = "div tr dt dd article section header footer center address figure form caption title".split()
_GAP_TAGS = "p h1 h2 h3 h4 h5 h6 ul ol dl table pre".split()
_MARKS_OF = {
    **{slash + tag: _LINE for tag in _LINE_TAGS for slash in ("", "/")},
    **{slash + tag: _GAP for tag in _GAP_TAGS for slash in ("", "/")},
    "br": _LINE,
    "li": f"{_LINE}• ",
    "td": "  ",
    "th": "  ",
    "hr": f"{_LINE}———{_LINE}",
    "blockquote": _QUOTE,
    "/blockquote": _UNQUOTE,
}
_MARK = re.compile(f"([{_LINE}{_GAP}{_QUOTE}{_UNQUOTE}])")
_LINE_ENDS = re.compile(f"{_LINE}[ {_LINE}]*")

# -- tag by tag, as the tokenizer of HTML (13.2.5) does; an end that is missing is the end of the page.

_RAW = ("style", "script", "title")  # all up to the end tag is theirs, and not shown
_ATTRIBUTES = r"[^>=]*+(?:=\s*+(?:\"[^\"]*+\"|'[^']*+'|[^\s>]*+)[^>=]*+)*+>?"
_COMMENT = r"!--(?:-?>|[^-]*+(?:-(?!-!?>)[^-]*+)*+(?:--!?>)?)|[!?/][^>]*+>?"
_TAG = re.compile(
    rf"<(?:(?!(?:{'|'.join(_RAW)})[\s/>])(/?[a-z][^\s/>]*+){_ATTRIBUTES}|{_COMMENT}|"
    + "|".join(rf"{tag}{_ATTRIBUTES}[^<]*+(?:<(?!/{tag}[\s/>])[^<]*+)*+(?:</{tag}[^>]*+>?)?" for tag in _RAW)
    + ")",
    re.IGNORECASE,
)
_HARMLESS = frozenset({*_RAW, "head", "link", "meta", "base", "input", "map", "canvas"})  # without a text
_PARSED = (DROPPED - _HARMLESS) | {"plaintext", "xmp", "listing", "noembed"}


def html_to_text(html: str) -> str:
    """Return the text of a page, a line per paragraph, quotes behind `> `; not made safe for a terminal."""
    html = html[:MAX_HTML]
    if any(mark in html for mark in ("\0", _LINE, _GAP, _QUOTE, _UNQUOTE)):
        html = html.translate(_OWN)
    hides = may_hide(html)
    text = None if hides else _read(html)
    return _lines_of(_parsed(html, hides) if text is None else text)


def _read(html: str) -> str | None:
    """Return the text of a page with its marks; None where only a parser knows."""
    pieces = _TAG.split(html)
    tags = {tag: tag.lower() if tag else "" for tag in set(pieces[1::2])}
    if not _PARSED.isdisjoint(tags.values()):
        return None
    if "pre" in tags.values():
        _keep_lines(pieces)
    marks = {tag: _MARKS_OF.get(lower, "") for tag, lower in tags.items()}
    pieces[1::2] = [marks[tag] for tag in pieces[1::2]]
    text = "".join(pieces)
    return unescape(text) if "&" in text else text


def _keep_lines(pieces: list[str], *, attributes: bool = False) -> None:
    """Mark the line ends of preformatted text in text, tag, text ...; `attributes` may stand before a text."""
    inside = False
    for n in range(1, len(pieces), 2):
        tag = (pieces[n] or "").lower()
        inside = tag == "pre" or (inside and tag != "/pre")
        if inside and "\n" in pieces[n + 1]:
            before, end, text = pieces[n + 1].partition(">") if attributes else ("", "", pieces[n + 1])
            pieces[n + 1] = before + end + text.replace("\n", _LINE)


# -- with a parser ---------------------------------------------------------------------------

_START = re.compile(r"<(/?[a-z][^\s/<>]*+)", re.IGNORECASE)
_NOT_TEXT = DROPPED - {"map", "canvas"}


def _parsed(html: str, hides: bool) -> str:
    """Return the text of a page with its marks; these are written in before it is parsed."""
    pieces = _START.split(html)
    tags = {tag: tag.lower() for tag in set(pieces[1::2])}
    if "pre" in tags.values():
        _keep_lines(pieces, attributes=True)
    marked = {tag: f"{_MARKS_OF.get(lower, '')}<{tag}" for tag, lower in tags.items()}
    pieces[1::2] = [marked[tag] for tag in pieces[1::2]]
    root = page_of("".join(pieces))
    if unseen := list(_NOT_TEXT.intersection(tags.values())):
        root.strip_tags(unseen, recursive=True)
    if hides:
        _take_out_hidden(root)
    return root.text(separator="")


def _take_out_hidden(root: LexborNode) -> None:
    for node in root.css("[style], [hidden]"):
        attributes = node.attributes
        if hidden(attributes):
            node.decompose()
        elif tiny(attributes):
            for child in list(node.iter(include_text=True)):
                if child.is_text_node:
                    child.decompose()


# -- marks to lines --------------------------------------------------------------------------


def _lines_of(text: str) -> str:
    text = " ".join(text.split())
    if _QUOTE in text or _UNQUOTE in text:
        return _quoted_lines(text)
    paragraphs = [stripped for each in text.split(_GAP) if (stripped := each.strip(f"{_LINE} "))]
    return _LINE_ENDS.sub("\n", "\n\n".join(paragraphs)).replace(" \n", "\n")


def _quoted_lines(text: str) -> str:
    lines: list[str] = []
    depth = 0
    prefix = ""
    gap = False
    for n, piece in enumerate(_MARK.split(text)):
        if n % 2:
            gap = gap or piece != _LINE
            if piece in (_QUOTE, _UNQUOTE):
                depth = max(0, depth + (1 if piece == _QUOTE else -1))
                prefix = "> " * min(depth, 20)
            continue
        words = piece.strip(" ")
        if not words:
            continue
        if gap and lines:
            lines.append("")
        gap = False
        lines.append(prefix + words if prefix else words)
    return "\n".join(lines)
