"""A tolerant MIME splitter: bytes of any damage to a tree with limits. Pure, iterative, linear.

One pass over the lines that begin with `--` finds all boundaries, however deep they are nested. It is
used where the fast parser refuses a message, and gives nodes of the same shape.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field

from agent.mail.charset import base64_bytes
from agent.mail.header import decode_text
from agent.mail.parameters import content_type, parse_parameters

MAX_DEPTH = 100
MAX_PARTS = 10_000

_FIELD = rb"(?!--)[!-9;-~]++[ \t]*+:[^\n]*+(?:\n|\Z)(?:[ \t][^\n]*+(?:\n|\Z))*+"
# A line of rubbish is skipped where the header plainly goes on behind it.
_HEADER = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:>?From [^\n]*+\n)?(?:[ \t]+[^\s][^\n]*+\n)?(?:"
    + _FIELD
    + rb"|(?!--)[^\r\n][^\n]*+\n(?=[A-Za-z-]{2,40}:))*+"
)
_BLANK = re.compile(rb"[ \t]*\r?\n")
_DELIMITER = re.compile(rb"^--([^\r\n]++)\r?(?:\n|\Z)", re.MULTILINE)
_UNFOLD = re.compile(r"\r?\n(?=[ \t])")
_UU = re.compile(rb"^begin [0-7]{3,4} [^\r\n]*\r?\n", re.MULTILINE)


@dataclass(slots=True, eq=False)
class Node:
    """A part of the tree; `content` is decoded when asked for, None for a multipart."""

    raw: bytes
    start: int
    end: int
    headers: dict[str, list[str]]
    content_type: str
    parameters: dict[str, str]
    encoding: str
    disposition: str | None
    filename: str
    content_id: str | None
    children: list[Node] = field(default_factory=list)

    @property
    def is_message(self) -> bool:
        """Whether the part is a message of its own."""
        return self.content_type in ("message/rfc822", "message/global")

    @property
    def is_multipart(self) -> bool:
        """Whether the part has parts only."""
        return self.content_type.startswith("multipart/")

    @property
    def content(self) -> bytes | None:
        """The octets of the part with its transfer encoding undone."""
        return None if self.is_multipart and self.children else self.decoded()

    def decoded(self) -> bytes:
        """Return the octets of the part, whatever its kind; damage is skipped, never an error."""
        body = self.raw[self.start : self.end]
        if self.encoding == "base64":
            return base64_bytes(body)
        if self.encoding == "quoted-printable":
            return binascii.a2b_qp(body)
        if self.encoding in ("x-uuencode", "uuencode", "x-uue"):
            return _uudecode(body)
        return body


@dataclass(slots=True)
class Split:
    """A split message, and what was wrong with it."""

    root: Node
    defects: list[str]


class _Splitter:
    def __init__(self, raw: bytes, depth: int, budget: list[int]) -> None:
        self.raw = raw
        self.depth = depth
        self.budget = budget  # parts still allowed, shared with messages within
        self.defects: list[str] = []
        self.stack: list[Node] = []
        self.boundaries: dict[bytes, int] = {}

    def run(self) -> Node:
        root = self._open(0, "text/plain")
        for found in _DELIMITER.finditer(self.raw, root.start):
            if self.boundaries:
                self._delimiter(found)
            else:
                break
        self._close(0, len(self.raw))
        return root

    def _delimiter(self, found: re.Match[bytes]) -> None:
        line = found[1].rstrip()
        closing = line not in self.boundaries
        if closing:
            line = line[:-2] if line.endswith(b"--") else b""
        level = self.boundaries.get(line)
        if level is None:
            return
        end = found.start()
        end -= 2 if self.raw[end - 2 : end] == b"\r\n" else 1
        self._close(level + 1, max(end, 0))
        if closing:
            del self.boundaries[line]
            self.stack.pop().end = found.end()
        else:
            self._child(self.stack[level], found.end())

    def _child(self, parent: Node, start: int) -> None:
        if self.budget[0] <= 0:
            self._once(f"more than {MAX_PARTS} parts; the rest is left out")
            return
        if not self.raw[start : start + 8].strip() and start + 8 >= len(self.raw):
            return  # the closing delimiter lost its dashes
        default = "message/rfc822" if parent.content_type == "multipart/digest" else "text/plain"
        parent.children.append(self._open(start, default))

    def _open(self, start: int, default: str) -> Node:
        """Read the part that begins at `start`, and the message in it if it is one."""
        node = first = self._entity(start, default)
        while True:
            self.budget[0] -= 1
            self.stack.append(node)
            deep = len(self.stack) + self.depth > MAX_DEPTH
            if deep and (node.is_message or node.is_multipart):
                self._once(f"nested deeper than {MAX_DEPTH}; the rest is left out")
                return first
            boundary = node.parameters.get("boundary", "").rstrip()
            if node.is_multipart and boundary:
                self.boundaries.setdefault(boundary.encode("utf-8", "replace"), len(self.stack) - 1)
            if not node.is_message or self.budget[0] <= 0:
                return first
            if node.encoding not in ("", "7bit", "8bit", "binary"):
                return first  # decoded and split once its end is known
            node.children.append(inner := self._entity(node.start, "text/plain"))
            node = inner

    def _close(self, level: int, end: int) -> None:
        while len(self.stack) > level:
            node = self.stack.pop()
            node.end = max(end, node.start)
            for boundary, place in list(self.boundaries.items())[-1:]:
                if place >= len(self.stack):
                    del self.boundaries[boundary]
            if node.is_multipart and not node.children:
                self._once("a multipart without parts")
            if node.is_message and not node.children and len(self.stack) + self.depth < MAX_DEPTH:
                inner = _Splitter(node.decoded(), self.depth + len(self.stack) + 1, self.budget)
                node.children.append(inner.run())
                self.defects += inner.defects

    def _entity(self, start: int, default: str) -> Node:
        found = _HEADER.match(self.raw, start)
        end = found.end() if found else start
        blank = _BLANK.match(self.raw, end)
        if not blank and end < len(self.raw):
            self._once("a header does not end with an empty line")
        return _node(self.raw, self.raw[start:end], blank.end() if blank else end, default)

    def _once(self, defect: str) -> None:
        if defect not in self.defects:
            self.defects.append(defect)


def split(raw: bytes) -> Split:
    """Split a message into its parts; never raises."""
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")
    splitter = _Splitter(raw, 0, [MAX_PARTS])
    root = splitter.run()
    return Split(root, splitter.defects)


def _node(raw: bytes, header: bytes, body: int, default: str) -> Node:
    headers: dict[str, list[str]] = {}
    text = _UNFOLD.sub("", header[: 1 << 20].decode("latin-1"))
    for line in text.split("\n", 5000)[:5000]:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), []).append(value.strip()[: 1 << 16])

    def first(name: str) -> str:
        return headers[name][0] if name in headers else ""

    kind, parameters = content_type(first("content-type"), default)
    disposition, more = parse_parameters(first("content-disposition"))
    content_id = decode_text(first("content-id")).strip("<> ")
    return Node(
        raw,
        body,
        len(raw),
        headers,
        kind,
        parameters,
        first("content-transfer-encoding").partition(";")[0].strip(" \"'").lower(),
        disposition or None,
        more.get("filename") or parameters.get("name", ""),
        content_id or None,
    )


def _uudecode(body: bytes) -> bytes:
    found = _UU.search(body)
    if not found:
        return body
    result = []
    for line in body[found.end() :].split(b"\n"):
        line = line.rstrip(b"\r")
        if line in (b"end", b"`", b""):
            break
        try:
            result.append(binascii.a2b_uu(line))
        except binascii.Error:  # trailing rubbish: the first octet says how much counts
            count = ((line[0] - 32) & 63) * 4 // 3 + 4
            try:
                result.append(binascii.a2b_uu(line[:count]))
            except binascii.Error:
                continue
    return b"".join(result)
