"""Messages in memory, for views: what a list needs of a message, without a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.mail.address import Address

ANN, BOB = Address("Ann", "ann@example.org"), Address("Bob", "bob@example.org")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Letter:
    """A message as views see it."""

    id: str
    subject: str = "Subject"
    from_: Address = ANN
    to: tuple[Address, ...] = (BOB,)
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    date: datetime = NOW - timedelta(hours=1)
    size: int = 2048
    unread: bool = False
    flagged: bool = False
    answered: bool = False
    forwarded: bool = False
    tags: tuple[str, ...] = ()
    snippet: str = ""
    list_id: str = ""
    text: str = ""
    html: str = ""
    begun: bool = True
    fetched: bool = True
    attachments: tuple[Any, ...] = ()
    parts: tuple[Any, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Shelf:
    """An ordered source of messages; it counts how many rows were asked for."""

    letters: list[Any] = field(default_factory=list)
    revision: int = 0
    asked: int = 0

    def count(self) -> int:
        return len(self.letters)

    def page(self, offset: int, limit: int) -> Sequence[Any]:
        found = self.letters[offset : offset + limit]
        self.asked += len(found)
        return found

    def position(self, message: Any) -> int | None:
        names = [letter.id for letter in self.letters]
        return names.index(message.id) if message.id in names else None

    def change(self, letters: list[Any]) -> None:
        """Put other messages in, as a commit does."""
        self.letters = letters
        self.revision += 1


def shelf(count: int) -> Shelf:
    """Return a source of so many messages: m0 is the first."""
    return Shelf([Letter(f"m{n}", subject=f"message {n}") for n in range(count)])
