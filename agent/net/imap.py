"""IMAP: the Backend for servers. Everything by UID, PEEK always, never a plain EXPUNGE.

Belongs to the thread `in:<account>`. Extensions are used where offered: QRESYNC, CONDSTORE, ESEARCH,
MOVE, UIDPLUS, SPECIAL-USE, LITERAL+, COMPRESS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from agent.errors import AuthError, CommandError, NetworkError, Refused
from agent.mail.header import LISTING_FIELDS
from agent.net.base import Fetched, FlagState, FolderInfo, FolderState, Moved, Pushed, Server
from agent.net.imap_fetch import FetchReader
from agent.net.imap_folders import encoded, listed, with_roles
from agent.net.imap_login import log_in
from agent.net.imap_select import Selecting, state_of_status
from agent.net.imap_syntax import split_set, uid_list, uid_set, wire_date
from agent.net.imap_watch import Watch, idle
from agent.net.said import refusal
from agent.net.secrets import Forgetting
from agent.net.tls import Handshakes
from agent.net.wire import Answer, Client, Wire, guard, quote

_COPYUID = re.compile(rb"\[COPYUID (\d+) ([\d:,]+) ([\d:,]+)\]", re.IGNORECASE)
_APPENDUID = re.compile(rb"\[APPENDUID (\d+) (\d+)\]", re.IGNORECASE)
_ALL = re.compile(rb"\bALL ([\d:,]+)", re.IGNORECASE)
_KEYWORD = re.compile(r"\\?[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")
_OPEN_SET = re.compile(r"(\d+):\*")
_SLACK = 100_000  # messages that may have come since EXISTS was told


class ImapBackend:
    """One connection to an IMAP server; `secret` is called for the password or token at each login."""

    def __init__(
        self,
        server: Server,
        secret: Callable[[], str],
        *,
        listing_fields: Sequence[str] = (),
        compress: bool | None = None,
        handshakes: Handshakes | None = None,
        connect_s: float = 15.0,
        read_s: float = 60.0,
    ) -> None:
        self.server = server
        self.capabilities: frozenset[str] = frozenset()
        self._secret = secret
        self._fields = " ".join(listing_fields or LISTING_FIELDS).upper()
        self._compress = compress
        self._handshakes = handshakes or Handshakes()
        self._limits = {"connect_s": connect_s, "read_s": read_s}
        self._client: Client | None = None
        self._selected: str | None = None
        self._opened: FolderState | None = None
        self._enabled: frozenset[str] = frozenset()
        self._raw_names: dict[str, bytes] = {}
        self._watch = Watch()

    def __repr__(self) -> str:
        state = f"in {self._selected!r}" if self._selected else "connected" if self.connected else "offline"
        return f"<imap {self.server.user}@{self.server} {state}>"

    @property
    def selected(self) -> str | None:
        """The selected folder."""
        return self._selected

    @property
    def opened(self) -> FolderState | None:
        """What `select` told of the selected folder; its UIDs mean the same until another select."""
        return self._opened if self._selected is not None else None

    @property
    def connected(self) -> bool:
        """Whether there is a connection that has not failed."""
        return self._client is not None and not self._client.wire.stream.broken

    @property
    def can_idle(self) -> bool:
        """Whether the server tells of changes by itself."""
        return "IDLE" in self.capabilities

    @property
    def can_resync(self) -> bool:
        """Whether `select` with `since` answers with the changes (QRESYNC)."""
        return "QRESYNC" in self._enabled

    @property
    def has_modseq(self) -> bool:
        """Whether flags can be asked for by `changed_since` (CONDSTORE)."""
        return bool(self._enabled)

    # The session

    def connect(self) -> None:
        """Connect, secure and log in."""
        self.close()
        client = Client(self.server, self._handshakes, **self._limits)
        self._client = client
        try:
            if self.server.security == "starttls":
                self._start_tls(client)
            log_in(client, self.server, self._secret)
            self._discover(client)
        except AuthError:
            self.close()
            if isinstance(self._secret, Forgetting):
                self._secret.forget()
            raise
        except BaseException:
            self.close()
            raise

    def _start_tls(self, client: Client) -> None:
        if client.wire.state != "NONAUTH":  # a PREAUTH greeting would skip TLS (CVE-2020-14093)
            raise client.wire.abandoned("the server wants to skip TLS (PREAUTH)")
        client.starttls()

    def _discover(self, client: Client) -> None:
        wire = client.wire
        self.capabilities = client.normalised_capabilities()
        wire.capabilities = tuple(sorted(self.capabilities))
        if "ENABLE" in self.capabilities and (wanted := self.capabilities & {"QRESYNC", "CONDSTORE"}):
            answer = wire.run("ENABLE", "QRESYNC" if "QRESYNC" in wanted else "CONDSTORE")
            told = b" ".join(r.text for r in answer.responses if r.kind == "ENABLED").upper().decode("ascii")
            self._enabled = frozenset(told.split()) & {"QRESYNC", "CONDSTORE"}
        wanted_here = not wire.stream.local if self._compress is None else self._compress
        if wanted_here and "COMPRESS=DEFLATE" in self.capabilities:
            wire.compress()

    def close(self) -> None:
        """Say goodbye without waiting and close; never raises."""
        client, self._client = self._client, None
        self._selected, self._enabled = None, frozenset()
        self._watch = Watch()
        if client is None:
            return
        try:
            if not client.wire.stream.broken and client.wire.reading is None:
                client.wire.stream.sock.settimeout(2)
                client.wire.submit("LOGOUT")
        except (NetworkError, OSError):
            pass
        client.wire.stream.close()

    def abort(self) -> None:
        """Hang up at once, from any thread: a command on the wire ends with a NetworkError."""
        if (client := self._client) is not None:
            client.wire.stream.abort()

    @property
    def _wire(self) -> Wire:
        if self._client is None or self._client.wire.stream.broken:
            raise NetworkError(f"{self.server}: not connected")
        return self._client.wire

    def _run(self, *words: str | bytes, what: str) -> Answer:
        answer = self._wire.run(*words)
        for response in answer.responses:
            self._watch.note(response)
        if answer.status != "OK":
            raise refusal(f"{self.server}: {what} refused", answer.text)
        return answer

    def _name(self, folder: str) -> str | bytes:
        guard(folder)
        raw = self._raw_names.get(folder) or encoded(folder)
        return quote(raw.decode("ascii")) if raw.isascii() else raw

    # Folders

    def folders(self) -> list[FolderInfo]:
        """List all folders, with their roles."""
        marked = "SPECIAL-USE" in self.capabilities
        wants_marks = marked and "LIST-EXTENDED" in self.capabilities
        words = ["LIST", '""', '"*"'] + (["RETURN (SPECIAL-USE)"] if wants_marks else [])
        answer = self._run(*words, what="the list of folders is")
        found, self._raw_names = listed(answer.responses)
        return with_roles(found, marked)

    def status(self, folder: str) -> FolderState:
        """Ask for the state of a folder that is not selected."""
        wanted = "MESSAGES UIDNEXT UIDVALIDITY" + (" HIGHESTMODSEQ" if self.has_modseq else "")
        answer = self._run("STATUS", self._name(folder), f"({wanted})", what=f"STATUS of {folder!r} is")
        return state_of_status(answer.responses, f"{self.server}: {folder!r}")

    def select(self, folder: str, *, since: tuple[int, int] | None = None) -> FolderState:
        """Select a folder; `since` is (uidvalidity, modseq) for servers with QRESYNC."""
        words: list[str | bytes] = ["SELECT", self._name(folder)]
        if since and self.can_resync:
            words.append(f"(QRESYNC ({since[0]} {since[1]}))")
        else:
            since = None
        self._selected = None
        wire, selecting = self._wire, Selecting(since)
        tag = wire.submit(*words)
        for response in wire.responses(tag):
            selecting.note(response)
        answer = wire.answer(tag)
        if answer.status != "OK":
            raise refusal(f"{self.server}: the folder {folder!r} cannot be opened", answer.text)
        selecting.end(answer.text)
        self._selected = folder
        wire.state = "SELECTED"
        self._watch.select(selecting.exists)
        if selecting.uidnext is None and selecting.uidvalidity:  # some servers tell it in STATUS only
            selecting.uidnext = self.status(folder).uidnext
        self._opened = selecting.state(f"{self.server}: {folder!r}")
        return self._opened

    def create_folder(self, name: str) -> None:
        """Create and subscribe a folder."""
        self._run("CREATE", self._name(name), what=f"creating the folder {name!r} is")
        self._wire.run("SUBSCRIBE", self._name(name))

    def rename_folder(self, name: str, new: str) -> None:
        """Rename a folder, and its subscription with it."""
        self._leave(name)
        self._run("RENAME", self._name(name), self._name(new), what=f"renaming {name!r} to {new!r} is")
        self._wire.run("UNSUBSCRIBE", self._name(name))
        self._wire.run("SUBSCRIBE", self._name(new))
        self._raw_names.pop(name, None)

    def delete_folder(self, name: str) -> None:
        """Delete a folder and what is in it."""
        self._leave(name)
        self._run("DELETE", self._name(name), what=f"deleting the folder {name!r} is")
        self._wire.run("UNSUBSCRIBE", self._name(name))
        self._raw_names.pop(name, None)

    def _leave(self, folder: str) -> None:
        if self._selected == folder and "UNSELECT" in self.capabilities:  # CLOSE would expunge
            self._run("UNSELECT", what="UNSELECT is")
            self._selected = None

    # Reading

    def flags(self, uids: str = "1:*", *, changed_since: int | None = None) -> Iterator[FlagState]:
        """Fetch flags of a UID set such as `1:*` or `3:9,12`, while they arrive."""
        items = "(UID FLAGS MODSEQ)" if self.has_modseq else "(UID FLAGS)"
        modifier = [f"(CHANGEDSINCE {changed_since})"] if changed_since is not None else []
        return self._fetch(uids, [items, *modifier], FetchReader.flags)

    def headers(self, uids: str) -> Iterator[Fetched]:
        """Fetch listing headers, flags, date and size, while they arrive, in the server's order."""
        return self._fetch(uids, [self._items(f"HEADER.FIELDS ({self._fields})")], FetchReader.headers)

    def messages(self, uids: str) -> Iterator[Fetched]:
        """Fetch whole messages, while they arrive; raises ShortBody after the last if some were short."""
        return self._fetch(uids, [self._items("")], FetchReader.messages)

    def heads(self, uids: str, octets: int) -> Iterator[Fetched]:
        """Fetch the first octets of messages, while they arrive; `raw` may be shorter than `size` says."""
        return self._fetch(uids, [self._items("", f"<0.{octets}>")], FetchReader.heads)

    def _items(self, section: str, part: str = "") -> str:
        modseq = " MODSEQ" if self.has_modseq else ""
        return f"(UID FLAGS INTERNALDATE RFC822.SIZE{modseq} BODY.PEEK[{section}]{part})"

    def _fetch(self, uids: str, words: list[str], rows: Callable[[FetchReader], Any]) -> Iterator[Any]:
        sets = split_set(uids)
        open_set = _OPEN_SET.fullmatch(uids)  # `n:*` names the last message even when it is below n
        least = int(open_set[1]) if open_set else 0
        return self._rows(sets, words, rows, least)

    def _rows(
        self, sets: list[str], words: list[str], rows: Callable[[FetchReader], Any], least: int
    ) -> Generator[Any, None, None]:
        for uids in sets:
            wire = self._wire
            reader = FetchReader(wire, wire.submit("UID FETCH", uids, *words), self._watch.note, least)
            yield from rows(reader)

    def uids(self, criteria: str = "ALL") -> list[int]:
        """Run UID SEARCH with criteria that are plain ASCII words of ours."""
        return self._search([criteria])

    def search(self, criteria: Sequence[str | bytes]) -> list[int]:
        """Run UID SEARCH: str are words of ours, bytes are the user's text in UTF-8."""
        charset = (
            [] if all(isinstance(word, str) or word.isascii() for word in criteria) else ["CHARSET UTF-8"]
        )
        words: list[str | bytes] = [*charset]
        for word in criteria:
            if isinstance(word, bytes) and b"\0" in word:
                raise CommandError("NUL cannot be searched for")
            words.append(word if isinstance(word, str) or not word.isascii() else quote(word.decode("ascii")))
        return self._search(words)

    def _search(self, words: Sequence[str | bytes]) -> list[int]:
        extended = "ESEARCH" in self.capabilities
        answer = self._run(
            "UID SEARCH", *(["RETURN (ALL)"] if extended else []), *words, what="the search is"
        )
        found: list[int] = []
        for response in answer.responses:
            if response.kind == "ESEARCH" and (match := _ALL.search(response.text)):
                found += uid_list(match[1], self._watch.exists + _SLACK)
            elif response.kind == "SEARCH":
                found += [int(word) for word in response.text.split() if word.isdigit()]
        return found

    def find_message_id(self, message_id: str) -> list[int]:
        """Return the UIDs whose Message-ID header contains `message_id` (with no brackets)."""
        guard(message_id)
        return self.search(["HEADER Message-ID", message_id.encode()])

    # Changing

    def change_flags(self, uids: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Add and remove wire words (mail.flags.to_wire) on a UID set."""
        for sign, words in (("+", add), ("-", remove)):
            for word in words:
                if not _KEYWORD.fullmatch(word):
                    raise CommandError(f"{word!r} cannot be a tag on an IMAP server; use letters and digits")
            for part in split_set(uids) if words else ():
                self._run(
                    "UID STORE", part, f"{sign}FLAGS.SILENT", f"({' '.join(words)})", what="the flags are"
                )

    def copy(self, uids: str, folder: str) -> Moved:
        """Copy messages to a folder of the same account."""
        parts = [self._transfer("UID COPY", part, folder) for part in split_set(uids)]
        return _merged(parts)

    def move(self, uids: str, folder: str) -> Moved:
        """Move messages (RFC 6851), else COPY, verify, \\Deleted, UID EXPUNGE.

        Without UIDPLUS the originals stay, marked \\Deleted, and the result says so (`left`).
        """
        if "MOVE" in self.capabilities:
            parts = [self._transfer("UID MOVE", part, folder) for part in split_set(uids)]
        else:
            parts = [self._move_by_copy(part, folder) for part in split_set(uids)]
        return _merged(parts)

    def _transfer(self, command: str, uids: str, folder: str) -> Moved:
        self._watch.expect_removals(_most(uids) if command == "UID MOVE" else 0)
        answer = self._run(command, uids, self._name(folder), what=f"{command[4:].lower()} to {folder!r} is")
        self._watch.expect_removals(0)
        texts = [r.text for r in answer.responses if r.kind == "OK"] + [answer.text]
        match = next((match for text in texts if (match := _COPYUID.search(text))), None)
        if match is None:
            return Moved()
        old, new = uid_list(match[2]), uid_list(match[3])
        return Moved(int(match[1]), dict(zip(old, new, strict=True)) if len(old) == len(new) else {})

    def _move_by_copy(self, uids: str, folder: str) -> Moved:
        here = self.uids(f"UID {uids}")
        if not here:
            return Moved()
        before = None if "UIDPLUS" in self.capabilities else self.status(folder).exists
        moved = self._transfer("UID COPY", uid_set(here), folder)
        if moved.uids:
            here = [uid for uid in here if uid in moved.uids]  # only what has provably arrived goes
        elif before is None or self.status(folder).exists - before < len(here):
            raise Refused(
                f"{self.server}: {folder!r} shows fewer messages than were copied; nothing was removed"
            )
        self.change_flags(uid_set(here), add=["\\Deleted"])
        if "UIDPLUS" not in self.capabilities:
            return Moved(left=True)
        self._expunge(uid_set(here))
        return moved

    def append(
        self, folder: str, raw: bytes, flags: Sequence[str] = (), received: int | None = None
    ) -> tuple[int, int] | None:
        """Append a message; return (uidvalidity, uid) when the server tells (UIDPLUS)."""
        for word in flags:
            if not _KEYWORD.fullmatch(word):
                raise CommandError(f"{word!r} cannot be a tag on an IMAP server; use letters and digits")
        words: list[str | bytes] = ["APPEND", self._name(folder), f"({' '.join(flags)})"]
        if received is not None:
            words.append(wire_date(received))
        answer = self._run(*words, raw, what=f"storing a message in {folder!r} is")
        match = _APPENDUID.search(answer.text)
        return (int(match[1]), int(match[2])) if match else None

    def expunge(self, uids: str) -> None:
        """Remove messages for good: \\Deleted and UID EXPUNGE; raises Refused without UIDPLUS."""
        if "UIDPLUS" not in self.capabilities:
            raise Refused(
                f"{self.server}: the server can only remove all deleted messages of a folder at once "
                "(no UIDPLUS); nothing was removed"
            )
        for part in split_set(uids):
            self.change_flags(part, add=["\\Deleted"])
            self._expunge(part)

    def _expunge(self, uids: str) -> None:
        for part in split_set(uids):
            self._watch.expect_removals(_most(part))
            self._run("UID EXPUNGE", part, what="removing is")
            self._watch.expect_removals(0)

    # Waiting

    def rest(self, timeout_s: float, wake_fd: int) -> Pushed:
        """Wait for the server (IDLE in the selected folder), the timeout, or a byte on wake_fd.

        Returns at once what was pushed during earlier commands. Without IDLE, asks when time is over.
        """
        wire = self._wire
        if self._watch.pending:
            return self._watch.take()
        if self.can_idle and self._selected:
            return self._watch.take(idle(wire, self._watch, timeout_s, wake_fd))
        _, woken = wire.stream.wait(timeout_s, wake_fd)
        return self._watch.take(woken=True) if woken else self.noop()

    def noop(self) -> Pushed:
        """Ask whether anything happened in the selected folder."""
        self._run("NOOP", what="NOOP is")
        return self._watch.take()


def _most(uids: str) -> int:
    # How many messages a set of ours can name.
    if "*" in uids:
        return 1 << 62
    return len(set(uid_list(uids.encode("ascii"))))


def _merged(parts: Sequence[Moved]) -> Moved:
    uids = {old: new for part in parts for old, new in part.uids.items()}
    validity = next((part.uidvalidity for part in parts if part.uidvalidity), None)
    return Moved(validity, uids, any(part.left for part in parts))
