"""What an incoming backend and an outgoing transport promise, in the agent's own words.

Every method blocks and belongs to the one thread that owns the connection. UIDs only: sequence
numbers never leave the module that speaks the protocol. All raise NetworkError (AuthError,
TLSError, Refused) and nothing else for what the server or the network does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from agent.errors import NetworkError, Refused

ROLES = ("inbox", "sent", "drafts", "trash", "archive", "junk", "all", "flagged")


@dataclass(frozen=True, slots=True)
class Server:
    """Where to connect and how; secrets are handed over separately, when they are needed."""

    host: str
    port: int
    security: str = "tls"  # tls | starttls | none
    user: str = ""
    ca: str = ""  # a file with issuers to trust besides the system's
    insecure: bool = False  # allow security none to another machine
    auth: str = "password"  # password | oauth2 | none

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class ShortBody(NetworkError):
    """Messages arrived with fewer octets than their RFC822.SIZE; `uids` names them, `sizes` both counts.

    Raised after all others of the same FETCH were handed out; the connection is still good.
    """

    def __init__(self, message: str, sizes: dict[int, tuple[int, int]]) -> None:
        super().__init__(message)
        self.sizes = sizes  # uid -> (received, announced)
        self.uids = tuple(sizes)


class SenderRefused(Refused):
    """The return path was refused, before any recipient was named."""


@dataclass(frozen=True, slots=True)
class FolderInfo:
    """A folder as the server lists it; `role` is one of ROLES or empty."""

    name: str
    delimiter: str | None = "/"
    role: str = ""
    selectable: bool = True
    state: FolderState | None = None  # from `survey`, where the server told it


@dataclass(frozen=True, slots=True)
class FolderState:
    """What SELECT or STATUS tells; None means that the server did not say."""

    uidvalidity: int
    uidnext: int | None
    exists: int
    modseq: int | None = None
    keywords: bool = False  # new keywords may be stored (PERMANENTFLAGS has \*)
    kept: int | None = None  # the flags that may be stored, bits as in mail.flags
    writable: bool = True
    changes: Changes | None = None  # with QRESYNC: what happened since the given modseq


@dataclass(frozen=True, slots=True)
class FlagState:
    """The flags of one message as the server has them; `bits` and `tags` as in mail.flags."""

    uid: int
    bits: int
    tags: frozenset[str] = frozenset()
    modseq: int | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """Flag changes and removals in the selected folder since a known moment."""

    flags: tuple[FlagState, ...] = ()
    vanished: tuple[int, ...] = ()


class Fetched(msgspec.Struct, frozen=True, gc=False):  # a hundred thousand of them in a listing
    """One message from the wire.

    `header` holds the header fields of a listing, `raw` the whole message in the bytes of the
    server. Either is None when it was not asked for. A body shorter than `size` announces never
    arrives here: the backend raises instead.
    """

    uid: int
    bits: int
    tags: frozenset[str]
    received: int  # INTERNALDATE, seconds since 1970
    size: int  # RFC822.SIZE, octets
    header: bytes | None = None
    raw: bytes | None = None
    modseq: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What a server says unasked of a folder that is not selected; None is what it did not say."""

    name: str
    uidvalidity: int | None = None
    uidnext: int | None = None
    exists: int | None = None
    modseq: int | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it is appended to a folder; `flags` are wire words (mail.flags.to_wire)."""

    raw: bytes
    flags: tuple[str, ...] = ()
    received: int | None = None  # INTERNALDATE, seconds since 1970


@dataclass(frozen=True, slots=True)
class Pushed:
    """What came unasked: anything new, any flags, any removals in the selected folder; news of others."""

    arrivals: bool = False
    flags: bool = False
    removals: bool = False
    woken: bool = False  # the wake socket was written to
    elsewhere: tuple[Told, ...] = ()
    overflow: bool = False  # the server has ceased to tell of other folders

    @property
    def here(self) -> bool:
        """Whether anything happened in the selected folder."""
        return self.arrivals or self.flags or self.removals


@dataclass(frozen=True, slots=True)
class Moved:
    """Where messages went: old UID -> new UID; empty when the server does not tell (no UIDPLUS)."""

    uidvalidity: int | None = None
    uids: dict[int, int] = field(default_factory=dict)
    left: bool = False  # without UIDPLUS: the originals are still there, marked \Deleted


class Backend(Protocol):
    """One connection to a store of mail. `select` comes before everything about messages."""

    @property
    def selected(self) -> str | None:
        """The selected folder."""

    @property
    def opened(self) -> FolderState | None:
        """What `select` told of the selected folder; its UIDs mean the same until another select."""

    @property
    def can_idle(self) -> bool:
        """Whether `rest` is told of changes by the server."""

    def connect(self) -> None:
        """Connect, secure and log in."""

    def close(self) -> None:
        """Close the connection; never raises."""

    def abort(self) -> None:
        """Hang up at once, from any thread: a command on the wire ends with a NetworkError."""

    def folders(self) -> list[FolderInfo]:
        """List all folders."""

    def survey(self, wanted: Callable[[str], bool]) -> list[FolderInfo]:
        """List all folders, with the states of the wanted ones; asks for all of it at once where that goes."""

    def watch_all(self) -> bool:
        """Ask to be told of changes in all folders from now on; return whether the server will."""

    def pushed(self) -> Pushed:
        """Return what was pushed during earlier commands, without asking."""

    def status(self, folder: str) -> FolderState:
        """Ask for the state of a folder that need not be selected."""

    def select(self, folder: str, *, since: tuple[int, int] | None = None) -> FolderState:
        """Select a folder; `since` is (uidvalidity, modseq) for servers with QRESYNC."""

    def flags(self, uids: str = "1:*", *, changed_since: int | None = None) -> Iterator[FlagState]:
        """Fetch flags of a UID set such as `1:*` or `3:9,12`."""

    def headers(self, uids: str) -> Iterator[Fetched]:
        """Fetch listing headers, flags, date and size, in the server's order."""

    def messages(self, uids: str) -> Iterator[Fetched]:
        """Fetch whole messages (PEEK: nothing is marked read)."""

    def heads(self, uids: str, octets: int, *, start: int = 0) -> Iterator[Fetched]:
        """Fetch some octets of messages (BODY.PEEK[]<start.n>); `raw` is shorter than `size` says."""

    def uids(self, criteria: str = "ALL") -> list[int]:
        """Run UID SEARCH with criteria that are plain ASCII words of ours."""

    def search(self, criteria: Sequence[str | bytes]) -> list[int]:
        """Run UID SEARCH CHARSET UTF-8 with user text given as bytes."""

    def find_message_id(self, message_id: str) -> list[int]:
        """Return the UIDs whose Message-ID header contains `message_id` (with no brackets)."""

    def change_flags(self, uids: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Add and remove wire words (mail.flags.to_wire) on a UID set."""

    def move(self, uids: str, folder: str) -> Moved:
        """Move messages (RFC 6851), else COPY, verify, \\Deleted, UID EXPUNGE; never a plain EXPUNGE."""

    def copy(self, uids: str, folder: str) -> Moved:
        """Copy messages."""

    def append(
        self, folder: str, raw: bytes, flags: Sequence[str] = (), received: int | None = None
    ) -> tuple[int, int] | None:
        """Append a message; return (uidvalidity, uid) when the server tells (UIDPLUS)."""

    @property
    def appends_many(self) -> bool:
        """Whether `append_all` takes more than one message."""

    def append_all(self, folder: str, letters: Sequence[Letter]) -> tuple[int, list[int]] | None:
        """Append messages at once, all of them or none; return (uidvalidity, uids) when the server tells."""

    def expunge(self, uids: str) -> None:
        """Remove messages for good: \\Deleted and UID EXPUNGE; raises Refused without UIDPLUS."""

    def create_folder(self, name: str) -> None:
        """Create and subscribe a folder."""

    def rename_folder(self, name: str, new: str) -> None:
        """Rename a folder."""

    def delete_folder(self, name: str) -> None:
        """Delete a folder and what is in it."""

    def rest(self, timeout_s: float, wake_fd: int) -> Pushed:
        """Wait for the server (IDLE in the selected folder), the timeout, or a byte on wake_fd."""

    def noop(self) -> Pushed:
        """Ask whether anything happened in the selected folder."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who a message goes to on the wire; an empty sender is the null return path."""

    sender: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the server said to an accepted message.

    `refused` are recipients it turned down, with its reply: `450 ...` may pass, `550 ...` is final.
    """

    response: str
    refused: dict[str, str] = field(default_factory=dict)


class Transport(Protocol):
    """A way out for mail."""

    def connect(self) -> None:
        """Connect, secure and log in."""

    def send(self, envelope: Envelope, data: bytes, before_end: Callable[[], None]) -> Receipt:
        """Send one message.

        `before_end` is called after all of the message but before the final dot has left: what it
        commits tells a message that may have been sent from one that cannot have been. An error
        before it means not sent; a NetworkError (not Refused) after it means uncertain.
        """

    def close(self) -> None:
        """Close the connection; never raises."""

    def abort(self) -> None:
        """Hang up at once, from any thread; what was being sent ends as if the network had failed."""
