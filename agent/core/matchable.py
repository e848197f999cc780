"""A message of the store as a query's predicate sees it: its row, and the bytes where they are at hand."""

from __future__ import annotations

from functools import cached_property

from agent.mail.header import ATTACHMENT, AUTOMATIC, BOUNCE, CALENDAR, LIST, SIGNATURE
from agent.mail.parse import Parsed
from agent.store import threads
from agent.store.db import Row, Transaction
from agent.store.folders import FolderRow
from agent.store.tags import split_tags

_TRAITS = {
    "automatic": AUTOMATIC,
    "list": LIST,
    "bounce": BOUNCE,
    "attachment": ATTACHMENT,
    "calendar": CALENDAR,
    "signature": SIGNATURE,
}


class Stored:
    """One message for query_match; `parsed` is what its bytes say, None when only its header is known."""

    def __init__(
        self, db: Transaction, row: Row, parsed: Parsed | None, account: str, folder: FolderRow
    ) -> None:
        self._db = db
        self._parsed = parsed
        self.row: int = row["id"]
        self.id = str(self.row)
        self.message_id: str = row["message_id"]
        self.account = account
        self.folder = folder.name
        self.folder_row = folder.id
        self.role = folder.role
        self.subject: str = row["subject"]
        self.from_: str = row["from_"] or ""
        self.to: str = row["to_"] or ""
        self.cc: str = row["cc"] or ""
        self.bcc: str = row["bcc"] or ""
        self.list_id: str = row["list_id"] or ""
        self.people = "\n".join(filter(None, (self.from_, self.to, self.cc, self.bcc)))
        self.flags: int = row["flags"]
        self.tags = split_tags(row["tags"])
        self.date: int = row["date"]
        self.received: int = row["received"]
        self.size: int = row["size"]
        self._traits: int = parsed.traits if parsed is not None else row["traits"]

    @cached_property
    def body(self) -> str:
        """The text that is indexed."""
        return self._parsed.index_text if self._parsed is not None else ""

    @property
    def filenames(self) -> tuple[str, ...]:
        """The names of the attachments."""
        return tuple(part.name for part in self._parsed.attachments) if self._parsed is not None else ()

    def trait(self, name: str) -> bool:
        """Tell whether it is automatic, list or bounce, or has an attachment, calendar or signature."""
        return bool(self._traits & _TRAITS[name])

    def in_thread(self, value: str) -> bool:
        """Tell whether the message with this m.id or Message-ID is in the same thread."""
        named, parameter = threads.named(value)
        own, number = threads.named(self.id)
        return bool(self._db.execute(f"SELECT ({own}) IN ({named})", (number, parameter)).fetchone()[0])
