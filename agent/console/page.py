"""What a message looks like: header block, attachments, body, wrapped to a width. Pure.

Built on the `reader` thread: a hostile message may take up to two seconds to parse and render.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.console.fragments import Line, wrap
from agent.console.rows import human_size
from agent.mail.safe import safe, safe_block

if TYPE_CHECKING:
    from agent.core.message import Message
    from agent.mail.address import Address

_QUOTE = re.compile(r"^((?:> ?)+)")
_LINK = re.compile(r"https?://[^\s<>\"]+|mailto:[^\s<>\"]+")
_LABEL = 9


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of a message; `body` is where the text begins."""

    rows: tuple[Line, ...]
    body: int
    whole: bool  # the body was there


def head_of(message: Message, width: int) -> list[Line]:
    """Return the usual headers, from the listing alone."""
    fields = [
        ("From", _people([message.from_])),
        ("To", _people(message.to)),
        ("Cc", _people(message.cc)),
        ("Bcc", _people(message.bcc)),
        ("Reply-To", _people(message.reply_to) if tuple(message.reply_to) != (message.from_,) else ""),
        ("Date", f"{message.date:%a %d %b %Y, %H:%M %z}"),
        ("List", safe(message.list_id)),
        ("Tags", " ".join(safe(tag) for tag in message.tags if not tag.startswith("$"))),
        ("Subject", safe(message.subject) or "(no subject)"),
    ]
    return [row for label, text in fields if text for row in _field(label, text, width)]


def page_of(message: Message, width: int, *, all_headers: bool, column: int) -> Page:
    """Return the page of a message; text is wrapped at `column` or the width, whichever is less."""
    if all_headers and (headers := message.headers):
        rows = [row for name, value in headers for row in _field(safe(name), safe(value), width)]
    else:
        rows = head_of(message, width)
    whole, begun = message.fetched, message.begun
    if begun and not whole:
        rows += _field("Note", f"only the beginning of its {human_size(message.size)} is here", width)
    for part in message.attachments if begun else ():
        name = safe(part.name) or "(no name)"
        rows += _field(
            "Attached", f"{name}  {safe(part.type)}  {human_size(part.size)}", width, "class:attachment"
        )
    rows.append([("class:rule", "─" * width)])
    body = len(rows)
    if begun:
        rows += _body(message, max(20, min(width, column)))
    return Page(tuple(rows), body, whole)


def _people(addresses: tuple[Address, ...] | list[Address]) -> str:
    return ", ".join(safe(str(address)) for address in addresses if address.addr or address.name)


def _field(label: str, text: str, width: int, style: str = "") -> list[Line]:
    style = style or ("class:header.subject" if label == "Subject" else "class:header.value")
    line: Line = [("class:header.name", f"{label + ':':<{_LABEL}} "), (style, text)]
    return wrap(line, width, " " * (_LABEL + 1))


def _body(message: Message, width: int) -> list[Line]:
    if _is_html(message):
        return _html_rows(message.html, width)
    text = message.text
    rows: list[Line] = []
    signature = False
    for line in safe_block(text).rstrip("\n").split("\n"):
        signature = signature or line == "-- "
        rows += text_rows(line, width, "class:signature" if signature else "")
    return rows


def _is_html(message: Message) -> bool:
    """Tell whether HTML is all there is to read."""
    leaves = [part for whole in message.parts for part in whole.walk() if not part.parts]
    plain = any(part.type == "text/plain" and part.disposition != "attachment" for part in leaves)
    return bool(message.html) and not plain


def text_rows(line: str, width: int, style: str) -> list[Line]:
    """Return the rows of a line of text: quotes coloured by depth, links marked."""
    quote = _QUOTE.match(line)
    prefix = ""
    if quote:
        depth = quote[1].count(">")
        style, prefix = f"class:quote{1 + (depth - 1) % 3}", quote[1]
    return wrap(_linked(line, style), width, prefix)


def _linked(line: str, style: str) -> Line:
    parts: Line = []
    end = 0
    for match in _LINK.finditer(line):
        parts += [(style, line[end : match.start()]), (f"{style} class:link".strip(), match[0])]
        end = match.end()
    parts.append((style, line[end:]))
    return [part for part in parts if part[1]] or [("", "")]


def _html_rows(source: str, width: int) -> list[Line]:
    from agent.mail import html

    rendered = html.render(source, width)
    rows: list[Line] = []
    for line in rendered.lines:
        rows += wrap(list(line), width)
    if rendered.links:
        rows += [[("", "")], [("class:header.name", "Links")]]
        for number, link in enumerate(rendered.links, 1):
            rows += wrap([("class:linknumber", f"[{number}] "), ("class:link", safe(link))], width, "    ")
    return rows
