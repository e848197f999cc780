"""Bytes of a message to what is shown, searched and saved. Pure; never raises; linear, with limits.

The fast parser makes the tree; what it refuses, or understands so that parts are lost, the tolerant
splitter takes. Octets and texts are decoded when they are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

import fast_mail_parser
import msgspec

from agent.mail import body, mime
from agent.mail.charset import codec_of
from agent.mail.header import (
    ATTACHMENT,
    BOUNCE,
    CALENDAR,
    MAX_LINE,
    SIGNATURE,
    Envelope,
    envelope_of,
    header_fields,
    header_of,
    read_fields,
)
from agent.mail.html import html_links
from agent.mail.html_text import html_to_text
from agent.mail.mime import MAX_DEPTH, MAX_PARTS
from agent.mail.parameters import content_type, parse_parameters
from agent.mail.part import Part, single
from agent.mail.quote import snippet_of, unflow

MAX_TEXT = 8 << 20  # characters of text that is shown
MAX_INDEX = 256 << 10  # characters that go into the index
_MAX_LINKS = 1_000

_LINK = re.compile(r"\b(?:https?://|mailto:)[^\s<>\"\u00a0\u2028\u2029]+", re.IGNORECASE)
_INLINE_PGP = b"-----BEGIN PGP SIGNED MESSAGE-----"


class Parsed:
    """A message, parsed. Texts are computed when first asked for."""

    def __init__(
        self, raw: bytes, header: bytes, fields: dict[str, str], root: Part, defects: tuple[str, ...]
    ) -> None:
        self._raw = raw
        self._header = header
        self._defects = defects
        self.root = root
        self._shown = body.shown(root)
        self.attachments = body.attachments(root, self._shown)
        self.envelope = self._envelope(envelope_of(fields))

    def __repr__(self) -> str:
        return f"<parsed {self.root.type} of {len(self._raw)} octets>"

    def _envelope(self, envelope: Envelope) -> Envelope:
        traits = envelope.traits & ~(ATTACHMENT | CALENDAR | SIGNATURE)
        if not traits & BOUNCE and self.attachments:
            traits |= ATTACHMENT
        if body.has_calendar(self.parts):
            traits |= CALENDAR
        if body.has_signature(self.parts) or _INLINE_PGP in self._raw[:MAX_TEXT]:
            traits |= SIGNATURE
        return msgspec.structs.replace(envelope, traits=traits) if traits != envelope.traits else envelope

    @property
    def traits(self) -> int:
        """The traits of the envelope, those that the parts tell included."""
        return self.envelope.traits

    @cached_property
    def headers(self) -> list[tuple[str, str]]:
        """All header fields in order, decoded."""
        return header_fields(self._header)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """All parts in order, the root first, those of messages within too."""
        return tuple(self.root.walk()) if self.root.parts else (self.root,)

    @cached_property
    def text(self) -> str:
        """What a person reads: the plain text, else the HTML as text; several parts one after the other."""
        return _text_of(self.root)

    @cached_property
    def html(self) -> str:
        """The HTML of the message, empty when there is none."""
        pages = [part.text for part in body.readable(self.root, html=True) if part.type == "text/html"]
        return "\n".join(pages)[:MAX_TEXT]

    @cached_property
    def links(self) -> tuple[str, ...]:
        """The http and mailto links of the text and the HTML, each once, in order."""
        in_text = [_trimmed(found) for found in _LINK.findall(self.text)]
        return tuple(dict.fromkeys([*in_text, *html_links(self.html)]))[:_MAX_LINKS]

    @cached_property
    def snippet(self) -> str:
        """The beginning of the text without quotes, one line of at most 200 characters."""
        return snippet_of(self.text)

    @cached_property
    def index_text(self) -> str:
        """What the index takes as body: the text, that of messages within and of attached text files."""
        if not self.root.parts:
            return self.text[:MAX_INDEX]
        pieces = [self.text]
        room = MAX_INDEX - len(self.text)
        for part in self.parts[1:]:
            if room <= 0:
                break
            if part.is_message and part.parts:
                pieces.append(_text_of(part.parts[0]))
            elif part in self.attachments and part.type in ("text/plain", "text/calendar", "text/x-patch"):
                pieces.append(part.text)
            else:
                continue
            room -= len(pieces[-1])
        return "\n".join(pieces)[:MAX_INDEX]

    @property
    def defects(self) -> tuple[str, ...]:
        """What is wrong with the message, in words; decodes its text to find out."""
        found = list(self._defects)
        for part in self._shown.values():
            part.text  # noqa: B018  (decodes)
            if part.charset and codec_of(part.charset) is None:
                found.append(f"part {part.number}: unknown charset {part.charset[:40]!r}")
            if part.damaged:
                found.append(f"part {part.number}: damaged transfer encoding")
        return tuple(found)


def parse(raw: bytes) -> Parsed:
    """Parse a message, or the beginning of one; never raises."""
    header = header_of(raw)
    fields = read_fields(header)
    if root := single(raw, header, fields):
        return Parsed(raw, header, fields, root, ())
    rescue = _Rescue(raw)
    defects: list[str] = []
    if len(header) <= MAX_LINE:  # the fast parser takes quadratic time for some headers
        root = _fast(raw, rescue)
    if root is None:
        split = rescue.split
        defects += split.defects
        root = _tree(split.root, rescue, defects)
    return Parsed(raw, header, fields, root, tuple(defects))


class _Rescue:
    """The tolerant tree of a message, made when it is needed; gives a part's octets by number."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @cached_property
    def split(self) -> mime.Split:
        return mime.split(self.raw)

    @cached_property
    def _by_number(self) -> dict[str, Part]:
        return {part.number: part for part in _tree(self.split.root, self, []).walk()}

    def __call__(self, number: str) -> bytes:
        part = self._by_number.get(number)
        return part.bytes if part else b""


class _Suspect(Exception):
    """The fast parser's tree lost something."""


def _fast(raw: bytes, rescue: _Rescue) -> Part | None:
    """Return the fast parser's tree, None when it refuses the message or plainly mistook it."""
    try:
        return _tree(fast_mail_parser.parse_email_tree(raw, mode="lazy"), rescue, None)
    except (fast_mail_parser.ParseError, _Suspect):
        return None


# -- the tree --------------------------------------------------------------------------------


_Node = fast_mail_parser.PyLazyMimePart | mime.Node


def _tree(root: _Node, rescue: _Rescue, defects: list[str] | None) -> Part:
    """Number the parts as IMAP does; with defects=None a doubtful node raises _Suspect instead."""
    left = [MAX_PARTS]

    def build(node: _Node, number: str, prefix: str, depth: int) -> Part:
        left[0] -= 1
        if defects is None and (_is_doubtful(node) or depth > MAX_DEPTH or left[0] < 0):
            raise _Suspect
        kind = node.content_type.lower()
        parts: tuple[Part, ...] = ()
        children: Sequence[_Node] = node.children
        if kind.startswith("multipart/"):
            dot = f"{prefix}." if prefix else ""
            parts = tuple(
                build(child, f"{dot}{n}", f"{dot}{n}", depth + 1) for n, child in enumerate(children, 1)
            )
        elif children:
            inner = children[0]
            is_tree = inner.content_type.lower().startswith("multipart/")
            parts = (build(inner, f"{number}.TEXT" if is_tree else f"{number}.1", number, depth + 1),)
        return Part(
            number, kind, _name(node), _disposition(node), node.content_id or None, parts, node, rescue
        )

    is_tree = root.content_type.lower().startswith("multipart/")
    return build(root, "" if is_tree else "1", "", 0)


def _is_doubtful(node: _Node) -> bool:
    kind = node.content_type
    if kind[:10].lower() == "multipart/":
        return not node.children
    return "/" not in kind or " " in kind or '"' in kind or kind[:6].lower() == "x-sun-"


def _disposition(node: _Node) -> str | None:
    return node.disposition.strip().lower() if node.disposition else None


def _name(node: _Node) -> str:
    """Return the file name; read anew where the fast parser's one shows signs of a misreading."""
    name = node.filename
    if isinstance(node, mime.Node):
        return name
    if name and name.isprintable() and not any(sign in name for sign in ("=?", "\ufffd", '"')):
        return name
    if not name and node.disposition is None and "name" not in str(node.headers.get("Content-Type", "")):
        return name
    headers = {key.lower(): values[0] for key, values in node.headers.items() if values}
    given = parse_parameters(headers.get("content-disposition", ""))[1].get("filename")
    return given or content_type(headers.get("content-type", ""))[1].get("name", "")


# -- texts -----------------------------------------------------------------------------------


def _text_of(root: Part) -> str:
    pieces = []
    for part in body.readable(root, html=False):
        if part.type == "text/html":
            pieces.append(html_to_text(part.text[:MAX_TEXT]))
        elif part.parameters.get("format", "").lower() == "flowed":
            pieces.append(unflow(part.text[:MAX_TEXT], part.parameters.get("delsp", "").lower() == "yes"))
        else:
            pieces.append(part.text)
    return "\n".join(pieces)[:MAX_TEXT]


def _trimmed(link: str) -> str:
    """Return a link without the punctuation of the sentence around it."""
    link = link[:4000].rstrip(".,;:!?'*_")
    for opening, closing in ("()", "[]", "{}"):
        while link.endswith(closing) and link.count(closing) > link.count(opening):
            link = link[:-1].rstrip(".,;:!?'*_")
    return link


__all__ = ["Parsed", "Part", "parse"]
