"""Folder: a Messages with a name; its verbs act on its messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.core import job as jobs
from agent.core.job import Job
from agent.core.messages import Messages
from agent.mail import query
from agent.mail.safe import safe
from agent.store import folders
from agent.store.folders import FolderRow

if TYPE_CHECKING:
    from agent.core.account import Account
    from agent.core.context import Context


class Folder(Messages):
    """One folder of an account."""

    def __init__(self, context: Context, account: Account, row: FolderRow) -> None:
        super().__init__(context, query.Folder(row.id))
        self._account = account
        self._row = row

    @property
    def id(self) -> int:
        """The number of the folder in the store."""
        return self._row.id

    @property
    def account(self) -> Account:
        """The account it belongs to."""
        return self._account

    @property
    def name(self) -> str:
        """The whole name, as the server has it."""
        return self._row.name

    @property
    def role(self) -> str:
        """One of inbox sent drafts trash archive junk all flagged, or empty."""
        return self._account.role_of(self._row)

    @property
    def selectable(self) -> bool:
        """Whether it can hold messages."""
        return self._row.selectable

    @property
    def synced(self) -> float | None:
        """When it was last known to equal the server, in seconds since 1970."""
        row = self._context.read(folders.get, self._row.id)
        return row.synced if row else None

    def sync(self) -> Job:
        """Fetch what is new in this folder now."""
        label = f"synced {self}"
        return jobs.request(self._context, self._account.id, "sync", label, folders=[self.name])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folder) and other._row.id == self._row.id

    def __hash__(self) -> int:
        return hash(("folder", self._row.id))

    def __str__(self) -> str:
        return safe(f"{self._account.name}/{self.name}")

    def _title(self) -> str:
        return str(self)
