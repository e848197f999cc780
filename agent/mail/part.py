"""One part of a message. Pure; its octets are decoded when they are asked for, and once."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from fast_mail_parser import ParseError

from agent.mail.charset import codec_of, decode_bytes
from agent.mail.parameters import content_type

_ONE_TEXT = re.compile(r"(text/(?:plain|html))[ \t]*+(?:;[^\x80-\xff]*)?", re.IGNORECASE | re.ASCII)
_NOT_ENCODED = frozenset({"", "7bit", "8bit", "binary"})
_FIRST_LINE = re.compile(rb"From |[!-9;-~]++:")
_NO_FIELD = re.compile(rb"\n(?![ \t]|[!-9;-~]++:)")
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_META_WITHIN = 2048  # octets of a page in which its charset may stand


class Node(Protocol):
    """What a parser tells of a part."""

    @property
    def headers(self) -> dict[str, list[str]]: ...
    @property
    def content(self) -> builtins.bytes | None: ...


class Text:
    """The node of a message that is nothing but a text: most are, and they need no parser."""

    __slots__ = ("_fields", "_raw", "_start")

    def __init__(self, fields: dict[str, str], raw: builtins.bytes, start: int) -> None:
        self._fields = fields
        self._raw = raw
        self._start = start

    @property
    def headers(self) -> dict[str, list[str]]:
        return {name: [value] for name, value in self._fields.items()}

    @property
    def content(self) -> builtins.bytes:
        return self._raw[self._start :]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of a message: `number` as IMAP counts ("2.1"; "" is a multipart root), `type` in lower case.

    `name` is what the sender calls the file: never a path to write to without mail.safe.safe_filename.
    """

    number: str
    type: str
    name: str
    disposition: str | None
    content_id: str | None
    parts: tuple[Part, ...]
    _node: Node = field(repr=False)
    _rescue: Callable[[str], builtins.bytes] = field(repr=False)
    _known: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of Content-Type."""
        if "parameters" not in self._known:
            self._known["parameters"] = content_type(self.header("content-type"))[1]
        found: dict[str, str] = self._known["parameters"]
        return found

    @property
    def charset(self) -> str | None:
        """The declared charset, None when there is none."""
        return self.parameters.get("charset") or None

    @property
    def size(self) -> int:
        """Octets, decoded."""
        return len(self.bytes)

    @property
    def text(self) -> str:
        """The text of a text part, its lines ended by LF; empty for other parts."""
        if "text" not in self._known:
            self._known["text"] = self._decoded() if self.type.startswith(("text/", "message/")) else ""
        return str(self._known["text"])

    def _decoded(self) -> str:
        data, charset = self.bytes, self.charset
        if self.type == "text/html" and codec_of(charset) in (None, "ascii") and not data.isascii():
            found = _META.search(data[:_META_WITHIN])
            charset = found[1].decode("ascii") if found else charset
        text = decode_bytes(data, charset)
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        return text.removeprefix("\ufeff")

    def header(self, name: str) -> str:
        """Return the first header of this name (any case) of the part itself, empty when there is none."""
        for key, values in self._node.headers.items():
            if key.lower() == name and values:
                return values[0]
        return ""

    def walk(self) -> Iterator[Part]:
        """Yield the part and all below it, in order."""
        stack = [self]
        while stack:
            part = stack.pop()
            yield part
            stack.extend(reversed(part.parts))

    @property
    def is_multipart(self) -> bool:
        """Whether it has parts only."""
        return self.type.startswith("multipart/")

    @property
    def is_message(self) -> bool:
        """Whether it is a message of its own."""
        return self.type in ("message/rfc822", "message/global")

    @property
    def damaged(self) -> bool:
        """Whether decoding its octets met damage; known once they were asked for."""
        return bool(self._known.get("damaged"))

    @property
    def bytes(self) -> builtins.bytes:
        """The octets with the transfer encoding undone; empty for a multipart."""
        if "bytes" not in self._known:
            try:
                content = self._node.content
            except ParseError:  # the fast parser refuses damaged base64
                content = self._rescue(self.number)
                self._known["damaged"] = True
            self._known["bytes"] = content or b""
        content = self._known["bytes"]
        return content if isinstance(content, builtins.bytes) else b""


def single(raw: builtins.bytes, header: builtins.bytes, fields: dict[str, str]) -> Part | None:
    """Return the part of a message that is one plain text or page, None where a parser has to look."""
    kind = fields.get("content-type", "text/plain")
    found = _ONE_TEXT.fullmatch(kind)
    encoding = fields.get("content-transfer-encoding", "").lower()
    if not found or encoding not in _NOT_ENCODED or "name" in kind.lower():
        return None
    disposition = fields.get("content-disposition")
    if disposition not in (None, "inline") or "content-id" in fields:
        return None
    if not _FIRST_LINE.match(header) or _NO_FIELD.search(header):
        return None
    start = len(header) + 4
    if raw[start - 4 : start] != b"\r\n\r\n":
        return None
    part = Part("1", found[1].lower(), "", disposition, None, (), Text(fields, raw, start), _no_rescue)
    part._known["parameters"] = content_type(kind)[1]
    return part


def _no_rescue(_: str) -> builtins.bytes:
    return b""
