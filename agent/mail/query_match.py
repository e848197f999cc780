"""A query as a Python predicate: what rules ask, and what filters a server's wider answer. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from agent.mail import flags
from agent.mail.query import (
    All,
    And,
    Date,
    Folder,
    Has,
    Id,
    Ids,
    In,
    InAccount,
    Is,
    Node,
    Not,
    Or,
    Person,
    Size,
    Tag,
    ThreadOf,
    Words,
)
from agent.mail.words import tokens

MUTED = "$Muted"

_FLAGS = {
    "read": flags.SEEN,
    "flagged": flags.FLAGGED,
    "answered": flags.ANSWERED,
    "forwarded": flags.FORWARDED,
    "draft": flags.DRAFT,
    "deleted": flags.DELETED,
}
_INDEXED = ("subject", "people", "body", "filename")
_PEOPLE = {"from": "from_", "to": "to", "cc": "cc", "bcc": "bcc", "list": "list_id"}


class Matchable(Protocol):
    """What a query asks of one message; each attribute is read only when a node needs it.

    The texts of headers are decoded and in the form the store keeps (`Name <addr>, ...`).
    """

    @property
    def row(self) -> int:
        """The row id, which Ids names."""

    @property
    def id(self) -> str:
        """What `m.id` says."""

    @property
    def message_id(self) -> str:
        """The Message-ID without brackets."""

    @property
    def account(self) -> str:
        """The account's name."""

    @property
    def folder(self) -> str:
        """The folder's name."""

    @property
    def folder_row(self) -> int:
        """The folder's row id, which Folder names."""

    @property
    def role(self) -> str:
        """The folder's role, or an empty text."""

    @property
    def subject(self) -> str: ...

    @property
    def from_(self) -> str: ...

    @property
    def to(self) -> str: ...

    @property
    def cc(self) -> str: ...

    @property
    def bcc(self) -> str: ...

    @property
    def list_id(self) -> str: ...

    @property
    def people(self) -> str:
        """All of from, to, cc and bcc as one text, as it is indexed."""

    @property
    def body(self) -> str:
        """The text that is indexed."""

    @property
    def filenames(self) -> Sequence[str]:
        """The names of the attachments."""

    @property
    def flags(self) -> int:
        """Bits of mail.flags."""

    @property
    def tags(self) -> Collection[str]: ...

    @property
    def date(self) -> int:
        """The Date header, or the time of arrival where it says nothing."""

    @property
    def received(self) -> int:
        """The time of arrival."""

    @property
    def size(self) -> int:
        """Octets of the whole message."""

    def trait(self, name: str) -> bool:
        """Tell whether it is automatic, list or bounce, or has an attachment, calendar or signature."""

    def in_thread(self, value: str) -> bool:
        """Tell whether the message with this m.id or Message-ID is in the same thread."""


def matches(node: Node, subject: Matchable) -> bool:
    """Tell whether a query holds for one message."""
    return Matcher(subject).holds(node)


class Matcher:
    """Asks several queries about one message; its words are split once."""

    def __init__(self, subject: Matchable) -> None:
        self._subject = subject
        self._lines: dict[str, str] = {}

    def holds(self, node: Node) -> bool:
        """Tell whether a query holds for the message."""
        match node:
            case And(items):
                return all(self.holds(item) for item in items)
            case Or(items):
                return any(self.holds(item) for item in items)
            case Not(item):
                return not self.holds(item)
            case All():
                return True
            case Words(field, text, kind):
                return self._has_words(field, text, kind)
            case Person(field, text):
                return text.casefold() in getattr(self._subject, _PEOPLE[field]).casefold()
            case Is(name) | Has(name):
                return self._state(name)
            case _:
                return self._lies(node)

    def _lies(self, node: Node) -> bool:
        """Answer for nodes about the place, the name, the date and the size of the message."""
        subject = self._subject
        match node:
            case Tag(name):
                return any(_same(name, tag) for tag in subject.tags)
            case In(name):
                return _same(name, subject.folder) or _same(name, subject.role)
            case InAccount(name):
                return _same(name, subject.account)
            case Id(value):
                return value in (subject.id, subject.message_id)
            case ThreadOf(value):
                return subject.in_thread(value)
            case Date(field, since, before):
                return _between(subject.received if field == "received" else subject.date, since, before)
            case Size(larger, smaller):
                size = subject.size
                return (larger is None or size > larger) and (smaller is None or size < smaller)
            case Folder(number):
                return subject.folder_row == number
            case Ids(numbers):
                return subject.row in numbers
            case _:
                raise TypeError(f"no predicate for {type(node).__name__}")

    def _state(self, name: str) -> bool:
        if name == "unread":
            return not self._subject.flags & flags.SEEN
        if name == "muted":
            return any(_same(MUTED, tag) for tag in self._subject.tags)
        bit = _FLAGS.get(name)
        return bool(self._subject.flags & bit) if bit else self._subject.trait(name)

    def _has_words(self, field: str, text: str, kind: str) -> bool:
        words = tokens(text)
        if not words:
            return False
        sought = f" {' '.join(words)}" + ("" if kind == "prefix" else " ")
        fields = _INDEXED if field == "any" else (field,)
        return any(sought in self._line(name) for name in fields)

    def _line(self, field: str) -> str:
        """Return the words of a field with a blank before and after each."""
        if field not in self._lines:
            text = (
                "\n".join(self._subject.filenames) if field == "filename" else getattr(self._subject, field)
            )
            self._lines[field] = f" {' '.join(tokens(text))} "
        return self._lines[field]


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _between(at: int, since: int | None, before: int | None) -> bool:
    return (since is None or since <= at) and (before is None or at < before)
