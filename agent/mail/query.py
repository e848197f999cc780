"""A search as a tree of frozen nodes: the one form behind `/`, keywords, rules and `search()`.

query_parse.py and query_keywords.py make it, query_match.py evaluates it in Python; the store
renders it to SQL and the wire to IMAP SEARCH. `str(node)` is the query language again.
All of it is pure and may run on any thread.

>>> str(Person("from", "bob") & ~Is("unread"))
'from:bob -is:unread'
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.errors import CommandError, did_you_mean

WORD_FIELDS = ("any", "subject", "body", "filename")
WORD_KINDS = ("word", "phrase", "prefix")
PERSON_FIELDS = ("from", "to", "cc", "bcc", "list")
IS_NAMES = (
    "unread",
    "read",
    "flagged",
    "answered",
    "forwarded",
    "draft",
    "deleted",
    "automatic",
    "list",
    "bounce",
    "muted",
)
HAS_NAMES = ("attachment", "calendar", "signature")
DATE_FIELDS = ("date", "received")

# Words the parser gives a meaning of their own.
OPERATORS = ("AND", "OR", "NOT")
# What may stand in a value without quotes.
_PLAIN = re.compile(r'[^\s()"\\*:-][^\s()"\\*:]*')
_PLAIN_VALUE = re.compile(r'[^\s()"\\*]+')
# The first and the last second that can be written as a date.
_EARLIEST, _LATEST = -62135596800, 253402300799
_UNITS = ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "k"))


class Node:
    """A question about one message; combine with `&`, `|`, `~` and `-`."""

    __slots__ = ()

    def __and__(self, other: Node) -> Node:
        return all_of((self, other))

    def __or__(self, other: Node) -> Node:
        return any_of((self, other))

    def __sub__(self, other: Node) -> Node:
        return all_of((self, none_of(other)))

    def __invert__(self) -> Node:
        return none_of(self)


@dataclass(frozen=True, slots=True)
class All(Node):
    """Every message."""

    def __str__(self) -> str:
        return "*"


@dataclass(frozen=True, slots=True)
class And(Node):
    """All of the items hold; build it with `&` or `all_of`."""

    items: tuple[Node, ...]

    def __str__(self) -> str:
        return " ".join(_inner(item) for item in self.items)


@dataclass(frozen=True, slots=True)
class Or(Node):
    """At least one of the items holds; build it with `|` or `any_of`."""

    items: tuple[Node, ...]

    def __str__(self) -> str:
        return " OR ".join(_inner(item) for item in self.items)


@dataclass(frozen=True, slots=True)
class Not(Node):
    """The item does not hold; build it with `~` or `none_of`."""

    item: Node

    def __str__(self) -> str:
        return f"-{_inner(self.item)}"


@dataclass(frozen=True, slots=True)
class Words(Node):
    """The words of `text` stand side by side in one text of the message; accents and case do not count.

    `field` is one of WORD_FIELDS; `any` means subject, people, body or attachment names. With
    `kind` "prefix" the last word may go on. "word" and "phrase" mean the same and only tell whether
    there is a blank in the text, so `kind` is corrected when the node is made. A text without a
    letter or digit matches nothing.
    """

    field: str
    text: str
    kind: str = "word"

    def __post_init__(self) -> None:
        _check("field", self.field, WORD_FIELDS)
        _check("kind of words", self.kind, WORD_KINDS)
        if self.kind != "prefix":
            object.__setattr__(self, "kind", "phrase" if len(self.text.split()) > 1 else "word")

    def __str__(self) -> str:
        prefix = "" if self.field == "any" else f"{self.field}:"
        star = "*" if self.kind == "prefix" else ""
        plain = _PLAIN.fullmatch(self.text) and self.text not in OPERATORS
        return f"{prefix}{self.text if plain else _quoted(self.text)}{star}"


@dataclass(frozen=True, slots=True)
class Person(Node):
    """`text` is a part of the header's text `Name <addr>, ...`, any case; `list` is the List-Id."""

    field: str
    text: str

    def __post_init__(self) -> None:
        _check("field", self.field, PERSON_FIELDS)

    def __str__(self) -> str:
        return f"{self.field}:{_value(self.text)}"


@dataclass(frozen=True, slots=True)
class Is(Node):
    """A flag or trait of the message, one of IS_NAMES."""

    name: str

    def __post_init__(self) -> None:
        _check("is:", self.name, IS_NAMES)

    def __str__(self) -> str:
        return f"is:{self.name}"


@dataclass(frozen=True, slots=True)
class Has(Node):
    """Something the message contains, one of HAS_NAMES."""

    name: str

    def __post_init__(self) -> None:
        _check("has:", self.name, HAS_NAMES)

    def __str__(self) -> str:
        return f"has:{self.name}"


@dataclass(frozen=True, slots=True)
class Tag(Node):
    """The message carries the tag, any case (IMAP keywords have none)."""

    name: str

    def __str__(self) -> str:
        return f"tag:{_value(self.name)}"


@dataclass(frozen=True, slots=True)
class In(Node):
    """The message is in the folder of this name or role, any case."""

    folder: str

    def __str__(self) -> str:
        return f"in:{_value(self.folder)}"


@dataclass(frozen=True, slots=True)
class InAccount(Node):
    """The message belongs to the account of this name, any case."""

    name: str

    def __str__(self) -> str:
        return f"account:{_value(self.name)}"


@dataclass(frozen=True, slots=True)
class Id(Node):
    """The message with this m.id, or the messages with this Message-ID (no brackets)."""

    value: str

    def __str__(self) -> str:
        return f"id:{_value(self.value)}"


@dataclass(frozen=True, slots=True)
class ThreadOf(Node):
    """The messages in one thread with the message of this m.id or Message-ID."""

    value: str

    def __str__(self) -> str:
        return f"thread:{_value(self.value)}"


@dataclass(frozen=True, slots=True)
class Date(Node):
    """since <= date < before, in seconds since 1970; None leaves that side open.

    `date` is what the Date header says, or the time of arrival where it says nothing; `received`
    is the time of arrival.
    """

    field: str
    since: int | None = None
    before: int | None = None

    def __post_init__(self) -> None:
        _check("field", self.field, DATE_FIELDS)

    def __str__(self) -> str:
        if self.field == "date" and self.before is None and self.since is not None:
            return f"since:{_moment(self.since)}"
        if self.field == "date" and self.since is None and self.before is not None:
            return f"before:{_moment(self.before)}"
        return f"{self.field}:{_moment(self.since)}..{_moment(self.before)}"


@dataclass(frozen=True, slots=True)
class Size(Node):
    """More octets than `larger` and fewer than `smaller`; None leaves that side open."""

    larger: int | None = None
    smaller: int | None = None

    def __str__(self) -> str:
        if self.smaller is None and self.larger is not None:
            return f"larger:{_octets(self.larger)}"
        if self.larger is None and self.smaller is not None:
            return f"smaller:{_octets(self.smaller)}"
        return f"size:{_octets(self.larger)}..{_octets(self.smaller)}"


@dataclass(frozen=True, slots=True)
class Folder(Node):
    """The message is in the folder with this row id; made by live objects, never read from text."""

    id: int

    def __str__(self) -> str:
        return f"<folder {self.id}>"


@dataclass(frozen=True, slots=True)
class Ids(Node):
    """The message is one of these row ids: a frozen selection, never read from text."""

    ids: tuple[int, ...]

    def __str__(self) -> str:
        return f"<{len(self.ids)} chosen>"


NOTHING = Not(All())


def all_of(items: Iterable[Node]) -> Node:
    """Join nodes by AND: nested ones are flattened, doubles and what changes nothing dropped."""
    found: dict[Node, None] = {}
    for item in items:
        for part in item.items if isinstance(item, And) else (item,):
            if part == NOTHING:
                return NOTHING
            if part != All():
                found[part] = None
    return _one_or(And, tuple(found), All())


def any_of(items: Iterable[Node]) -> Node:
    """Join nodes by OR: nested ones are flattened, doubles and what changes nothing dropped."""
    found: dict[Node, None] = {}
    for item in items:
        for part in item.items if isinstance(item, Or) else (item,):
            if part == All():
                return All()
            if part != NOTHING:
                found[part] = None
    return _one_or(Or, tuple(found), NOTHING)


def none_of(item: Node) -> Node:
    """Negate a node; a double negation is dropped."""
    return item.item if isinstance(item, Not) else Not(item)


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and all nodes inside it, outermost first."""
    yield node
    items = node.items if isinstance(node, And | Or) else (node.item,) if isinstance(node, Not) else ()
    for item in items:
        yield from walk(item)


def _one_or(join: type[And] | type[Or], items: tuple[Node, ...], none: Node) -> Node:
    return join(items) if len(items) > 1 else items[0] if items else none


def _inner(item: Node) -> str:
    """Write a node as an operand of another one."""
    return f"({item})" if isinstance(item, And | Or) else str(item)


def _check(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise CommandError(
            f"unknown {what} {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}"
        )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _value(text: str) -> str:
    return text if _PLAIN_VALUE.fullmatch(text) else _quoted(text)


def _moment(at: int | None) -> str:
    """Write a point in time so that it can be read back in any time zone."""
    if at is None:
        return ""
    day = datetime.fromtimestamp(min(max(at, _EARLIEST), _LATEST), UTC)
    return day.isoformat(timespec="seconds").replace("+00:00", "Z")


def _octets(count: int | None) -> str:
    if count is None:
        return ""
    for unit, letter in _UNITS:
        if count and count % unit == 0:
            return f"{count // unit}{letter}"
    return str(count)
