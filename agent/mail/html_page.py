"""A page of HTML as a tree, with limits on what parsers take quadratic time for. Pure; nothing is fetched."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

from agent.mail.safe import safe

MAX_HTML = 2_000_000  # characters

DROPPED = frozenset(
    "script style head title template svg math object iframe frameset noframes select button input textarea"
    " audio video map link meta base canvas datalist dialog".split()
)
_ZERO = r"0(?:\.0+)?(?:px|pt|em|%)?\s*(?:!important\s*)?[;\"']"
_HIDDEN_ATTRIBUTE = re.compile(r"\shidden(?=[\s=/>])")
_MAY_HIDE = tuple(
    (word, re.compile(rf"{word}\s*:\s*{value}"))
    for word, value in (
        ("display", "none"),
        ("visibility", "hidden"),
        ("mso-hide", "all"),
        ("max-height", _ZERO),
        ("opacity", _ZERO),
        ("font-size", r"[01](?![\d]|\.?\d*r?em)"),
    )
)
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all"
    r"|max-height\s*:\s*0(?:\.0+)?(?:px|pt|em|%)?\s*(?:!important\s*)?[;\"']"
    r"|opacity\s*:\s*0(?:\.0+)?\s*(?:!important\s*)?[;\"']",
    re.IGNORECASE,
)
# Layouts set a font size of 0 on a table and another one on what is in it.
_FONT_SIZE = re.compile(r"font-size\s*:\s*(\d{0,4}(?:\.\d{1,4})?)\s*(em|rem|%)?", re.IGNORECASE)
_MAX_STYLE = 4_000
_MAX_LINK = 4_000
_TARGET = re.compile(r"https?://|mailto:", re.IGNORECASE)

# Parsers take quadratic time for the attributes of one tag, and for some nestings.
_LONG_TAG = re.compile(r"<([a-zA-Z][a-zA-Z0-9]{0,20})\b([^<>]{1000,})")
_KEPT_ATTRIBUTE = re.compile(
    r"[\s\"'](href|alt|style|width|height|hidden)\s*=\s*(?:\"([^\"]{0,4000})\"|'([^']{0,4000})'|([^\s\"'>]{1,4000}))",
    re.IGNORECASE,
)
_MANY_TAGS = 2_000
_NESTING = re.compile(
    r"<(/?)(?:(a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)|(p|li|td|th|dd|dt|h[1-6])"
    r"|(div|blockquote|center|section|article|ul|ol|dl|table|span|form|fieldset|pre|address))\b",
    re.IGNORECASE,
)
_MAX_DEPTH = 1_000
_MAX_REOPENED = 100_000  # copies of open formatting tags that paragraphs make
_ANY_TAG = re.compile(r"<[^<>]*>")


def page_of(html: str) -> LexborNode:
    """Return the body of a page; a page beyond the limits goes on as text where it passes them."""
    if "\0" in html:
        html = html.replace("\0", "")
    html = _LONG_TAG.sub(_shorter_tag, html[:MAX_HTML])
    if html.count("<") > _MANY_TAGS:
        html = _within_limits(html)
    tree = LexborHTMLParser(html)
    return tree.body or tree.root or page_of("<p></p>")


def _shorter_tag(found: re.Match[str]) -> str:
    kept: dict[str, str] = {}
    for name, double, single, bare in _KEPT_ATTRIBUTE.findall(found[2][:20_000]):
        kept.setdefault(name.lower(), (double or single or bare).replace('"', "%22"))
    return f"<{found[1]}" + "".join(f' {name}="{value}"' for name, value in kept.items())


def _within_limits(html: str) -> str:
    formats = depth = reopened = 0
    for tag in _NESTING.finditer(html):
        closing, is_format, is_paragraph, _ = tag.groups()
        if is_paragraph:
            reopened += 0 if closing else max(formats, 0)
        elif is_format:
            formats += -1 if closing else 1
        else:
            depth += -1 if closing else 1
            reopened += 0 if closing else max(formats, 0) // 10
        if depth > _MAX_DEPTH or reopened > _MAX_REOPENED:
            return html[: tag.start()] + _ANY_TAG.sub(" ", html[tag.start() :])
    return html


def hidden(attributes: dict[str, str | None]) -> bool:
    """Tell whether browsers do not show a tag with these attributes."""
    if "hidden" in attributes:
        return True
    style = attributes.get("style") or ""
    return _HIDDEN.search(f"{style[:_MAX_STYLE]};") is not None


def tiny(attributes: dict[str, str | None]) -> bool | None:
    """Tell whether a tag makes its text too small to be seen; None where it leaves the size as it is."""
    found = _FONT_SIZE.search((attributes.get("style") or "")[:_MAX_STYLE])
    if found is None:
        return None
    try:
        size = float(found[1])
    except ValueError:
        return False  # a word such as `small`
    return size == 0 if found[2] else size <= 1


def may_hide(html: str) -> bool:
    """Tell whether a page may have something hidden; quick."""
    lower = html.lower()
    if "hidden" in lower and _HIDDEN_ATTRIBUTE.search(lower):
        return True
    if "style" not in lower:
        return False
    return any(word in lower and pattern.search(lower) is not None for word, pattern in _MAY_HIDE)


def target_of(href: str | None) -> str:
    """Return a link worth following, nothing for scripts, fragments and the like."""
    link = "".join((href or "").split())[:_MAX_LINK]
    return str(safe(link)) if _TARGET.match(link) else ""
