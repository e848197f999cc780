"""Account and the mapping of all accounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from agent.config.schema import AccountConfig
from agent.core import job as jobs
from agent.core.folder import Folder
from agent.core.job import Job
from agent.core.messages import Messages
from agent.core.progress import Progress
from agent.errors import CommandError, NotFound, did_you_mean
from agent.mail import query
from agent.mail.address import Address
from agent.mail.safe import safe
from agent.store import folders
from agent.store.folders import FolderRow

if TYPE_CHECKING:
    from agent.core.context import Context
    from agent.net.base import FolderInfo


class Folders(Mapping[str, Folder]):
    """The folders of an account by name."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def __getitem__(self, name: str) -> Folder:
        return self._account[name]

    def __iter__(self) -> Iterator[str]:
        return iter([row.name for row in self._account._rows()])

    def __len__(self) -> int:
        return len(self._account._rows())

    def __repr__(self) -> str:
        return f"<{len(self)} folders of {self._account.name}: {', '.join(safe(name) for name in self)}>"


class Account:
    """One account of config.yaml: its folders, its addresses, its wire."""

    def __init__(self, context: Context, account: int, config: AccountConfig, name: str) -> None:
        self._context = context
        self._id = account
        self._config = config
        self._name = name
        self.status = "offline"  # what the wire's thread says: offline, connecting, online, or why not
        self.progress: Progress | None = None  # of the long work that the wire's thread is at

    @property
    def id(self) -> int:
        """The number of the account in the store."""
        return self._id

    @property
    def name(self) -> str:
        """The name in config.yaml."""
        return self._name

    @property
    def config(self) -> AccountConfig:
        """What config.yaml says of it."""
        return self._config

    @property
    def address(self) -> Address:
        """The main address."""
        return Address(self._config.name, self._config.address)

    @property
    def identities(self) -> tuple[Address, ...]:
        """The main address and the aliases."""
        aliases = [Address(alias.name or self._config.name, alias.address) for alias in self._config.aliases]
        return (self.address, *aliases)

    def signature_for(self, address: Address) -> str:
        """Return the signature of one of the addresses; empty when it has none."""
        for alias in self._config.aliases:
            if alias.address.casefold() == address.addr.casefold() and alias.signature:
                return alias.signature
        return self._config.signature or ""

    @property
    def online(self) -> bool:
        """Whether this process holds a connection to its server."""
        return self.status == "online"

    # -- folders -----------------------------------------------------------------------------

    @property
    def folders(self) -> Folders:
        """All folders by name."""
        return Folders(self)

    @property
    def inbox(self) -> Folder:
        """The inbox."""
        return self.role("inbox")

    @property
    def sent(self) -> Folder:
        """Where copies of sent mail are kept."""
        return self.role("sent")

    @property
    def drafts(self) -> Folder:
        """Where drafts are kept."""
        return self.role("drafts")

    @property
    def trash(self) -> Folder:
        """Where trashed mail goes."""
        return self.role("trash")

    @property
    def archive(self) -> Folder:
        """Where archived mail goes."""
        return self.role("archive")

    @property
    def junk(self) -> Folder:
        """Where junk goes."""
        return self.role("junk")

    def __getitem__(self, name: str) -> Folder:
        row = self._context.read(folders.find, self._id, name)
        if row is None or not row.present:
            known = [row.name for row in self._rows()]
            raise NotFound(f"{self._name} has no folder {name!r}{did_you_mean(name, known)}")
        return self.of_row(row)

    def __contains__(self, name: object) -> bool:
        row = self._context.read(folders.find, self._id, name) if isinstance(name, str) else None
        return row is not None and row.present

    def role(self, role: str) -> Folder:
        """Return the folder with a role; raises CommandError when there is none."""
        for known, name in self._config.folders.items():
            if known == role:
                return self[name]
        for row in self._rows():
            if self.role_of(row) == role:
                return self.of_row(row)
        raise CommandError(
            f"{self._name} has no {role} folder; name one under accounts.{self._name}.folders.{role}, "
            f"or create_folder({role.capitalize()!r})"
        )

    def role_of(self, row: FolderRow | FolderInfo) -> str:
        """Return the role of a folder: config.yaml's word before the server's."""
        for role, name in self._config.folders.items():
            if name == row.name:
                return role
        return "" if row.role in self._config.folders else row.role

    def folder(self, folder: Folder | str) -> Folder:
        """Return a folder given as such or by name."""
        return folder if isinstance(folder, Folder) else self[folder]

    def of_row(self, row: FolderRow) -> Folder:
        """Return the live folder of a row."""
        return Folder(self._context, self, row)

    def _rows(self) -> list[FolderRow]:
        return self._context.read(folders.of_account, self._id)

    def create_folder(self, name: str) -> Job:
        """Create a folder on the server."""
        return self._request("create", f"created folder {name}", name=name)

    def rename_folder(self, name: str, new: str) -> Job:
        """Rename a folder on the server."""
        return self._request("rename", f"renamed folder {name} to {new}", name=self[name].name, new=new)

    def delete_folder(self, name: str, confirm: bool = False) -> Job:
        """Delete a folder and its messages on the server: this cannot be undone.

        Raises CommandError for a folder with messages unless `confirm` is set.
        """
        folder = self[name]
        if (held := folder.count()) and not confirm:
            raise CommandError(f"{folder} holds {held} messages; say delete_folder({name!r}, confirm=True)")
        return self._request("delete", f"deleted folder {name}", name=folder.name)

    def sync(self) -> Job:
        """Fetch what is new in all folders now."""
        if self._config.local:
            return jobs.nothing(self._context, f"{self._name} is kept here only")
        return self._request("sync", f"synced {self._name}")

    def _request(self, kind: str, label: str, **args: str) -> Job:
        return jobs.request(self._context, self._id, kind, label, **args)

    @property
    def messages(self) -> Messages:
        """All messages of the account."""
        return Messages(self._context, query.InAccount(self._name))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Account) and other._id == self._id

    def __hash__(self) -> int:
        return hash(("account", self._id))

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"<account {self._name} {self._config.address} · {safe(self.status)}>"


class Accounts(Mapping[str, Account]):
    """All accounts of config.yaml by name, in its order."""

    def __init__(self) -> None:
        self._by_name: dict[str, Account] = {}
        self._by_id: dict[int, Account] = {}

    def add(self, account: Account) -> None:
        """Add an account; app.py does so at start."""
        self._by_name[account.name] = account
        self._by_id[account.id] = account

    def by_id(self, account: int) -> Account:
        """Return the account with a number of the store; raises CommandError when it is not configured."""
        if account not in self._by_id:
            raise CommandError(f"the account of this message is no longer in config.yaml (number {account})")
        return self._by_id[account]

    def __getitem__(self, name: str) -> Account:
        if name not in self._by_name:
            raise NotFound(f"there is no account {name!r}{did_you_mean(name, self._by_name)}")
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self._by_name.values())) or "<no accounts; run `agent init`>"
