"""A session with an IMAP server: connecting, logging in, and everything about folders.

Belongs to the thread `in:<account>`. NOTIFY, LIST-STATUS, QRESYNC, CONDSTORE and SPECIAL-USE are used where
offered, else what every server has.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from agent.errors import NetworkError, Refused
from agent.mail.header import LISTING_FIELDS
from agent.net.base import FolderInfo, FolderState, Pushed, Server
from agent.net.imap_folders import encoded, listed, with_roles
from agent.net.imap_login import log_in
from agent.net.imap_select import Selecting, state_of_status, states_of_status
from agent.net.imap_watch import NOTIFY, Watch
from agent.net.said import refusal
from agent.net.secrets import logging_in
from agent.net.stream import Stream
from agent.net.tls import Handshakes
from agent.net.wire import Answer, Client, Response, Wire, guard, quote

READ_S = 60.0  # without a single octet of an answer the link is dead
_AT_ONCE = 100  # short commands on the wire without waiting for an answer
_AHEAD = 4  # long ones: all of them have to fit into what lies between us and a server that does not read


class Session:
    """What ImapBackend knows of the connection and of folders."""

    def __init__(
        self,
        server: Server,
        secret: Callable[[], str],
        *,
        listing_fields: Sequence[str] = (),
        compress: bool | None = None,
        handshakes: Handshakes | None = None,
        connect_s: float = 15.0,
        read_s: float | None = None,
    ) -> None:
        self.server = server
        self.capabilities: frozenset[str] = frozenset()
        self._secret = secret
        self._fields = " ".join(listing_fields or LISTING_FIELDS).upper()
        self._compress = compress
        self._handshakes = handshakes or Handshakes()
        self._limits = {"connect_s": connect_s, "read_s": READ_S if read_s is None else read_s}
        self._client: Client | None = None
        self._stream: Stream | None = None
        self._aborted = False
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
        client = Client(self.server, self._handshakes, self._begin, **self._limits)
        self._client = client
        with logging_in(self, self._secret):
            if self.server.security == "starttls":
                self._start_tls(client)
            log_in(client, self.server, self._secret)
            self._discover(client)

    def _begin(self, stream: Stream) -> None:
        """Take note of the connection, for `abort`, before the server has said a word."""
        self._stream = stream
        if self._aborted:
            stream.abort()

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
        self._aborted = True
        if (stream := self._stream) is not None:
            stream.abort()

    @property
    def _wire(self) -> Wire:
        if self._client is None or self._client.wire.stream.broken:
            raise NetworkError(f"{self.server}: not connected")
        return self._client.wire

    def _run(self, *words: str | bytes, what: str, asked: str = "") -> Answer:
        """Run a command; what came with its answer is news, but for the kind that was asked for."""
        answer = self._wire.run(*words)
        for response in answer.responses:
            if response.kind != asked:
                self._watch.note(response)
        if answer.status != "OK":
            raise refusal(f"{self.server}: {what} refused", answer.text)
        return answer

    def _run_through(self, commands: Iterable[Sequence[str | bytes]], what: str) -> None:
        """Run commands of which the next goes before the last is answered; keeps nothing of the answers.

        Raises the first refusal, when all have been answered.
        """
        wire, tags = self._wire, deque[bytes]()
        refused: bytes | None = None
        waiting = iter(commands)
        while (words := next(waiting, None)) is not None or tags:
            if words is not None:
                tags.append(wire.submit(*words))
                if len(tags) < _AHEAD:
                    continue
            tag = tags.popleft()
            for response in wire.responses(tag):
                self._watch.note(response)  # with CONDSTORE there is one for every message
            answer = wire.answer(tag)
            if answer.status != "OK" and refused is None:
                refused = answer.text
        if refused is not None:
            raise refusal(f"{self.server}: {what} refused", refused)

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

    def survey(self, wanted: Callable[[str], bool]) -> list[FolderInfo]:
        """List all folders, with the states of the wanted ones: one round trip with LIST-STATUS (RFC 5819).

        Without it STATUS is asked for each, all at once. The selected folder is told without a state when
        something happened there: its STATUS is what this session had seen of it.
        """
        if not {"LIST-STATUS", "LIST-EXTENDED"} <= self.capabilities:
            found = self.folders()
            states = self._states([info.name for info in found if info.selectable and wanted(info.name)])
        else:
            marked = "SPECIAL-USE" in self.capabilities
            returns = f"RETURN ({'SPECIAL-USE ' if marked else ''}STATUS {self._items_of_status})"
            responses = self._run_all([["LIST", '""', '"*"', returns]], "the list of folders is")
            found, self._raw_names = listed(responses)
            found, states = with_roles(found, marked), states_of_status(responses)
        if self._selected and self._watch.pending_here:
            states.pop(self._selected, None)
        return [replace(info, state=states.get(info.name)) for info in found]

    def _states(self, names: Sequence[str]) -> dict[str, FolderState]:
        states: dict[str, FolderState] = {}
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            states |= states_of_status(
                self._run_all([["STATUS", self._name(name), self._items_of_status] for name in some])
            )
        return states

    def _run_all(self, commands: Sequence[Sequence[str | bytes]], what: str = "") -> list[Response]:
        """Run commands that ask for states, without waiting in between; with `what` a refusal is an error."""
        wire = self._wire
        # Dovecot may look after the selected folder as late as with the last of these commands.
        noop = [["NOOP"]] if self._selected else []
        tags = [wire.submit(*words) for words in (*noop, *commands)]
        answers = [wire.end(tag) for tag in tags]
        refused = next((answer for answer in answers if answer.status != "OK"), None)
        if what and refused is not None:
            raise refusal(f"{self.server}: {what} refused", refused.text)
        responses = [response for answer in answers for response in answer.responses]
        for response in responses:
            if response.kind != "STATUS":
                self._watch.note(response)
        return responses

    @property
    def _items_of_status(self) -> str:
        return f"(MESSAGES UIDNEXT UIDVALIDITY{' HIGHESTMODSEQ' if self.has_modseq else ''})"

    def watch_all(self) -> bool:
        """Ask to be told of changes in all folders, selected or not (NOTIFY); return whether it was granted."""
        if "NOTIFY" not in self.capabilities:
            return False
        try:
            self._run("NOTIFY", NOTIFY, what="NOTIFY is")
        except Refused:
            return False
        return True

    def pushed(self) -> Pushed:
        """Return what was pushed during earlier commands, without asking."""
        return self._watch.take()

    def status(self, folder: str) -> FolderState:
        """Ask for the state of a folder that is not selected."""
        what = f"STATUS of {folder!r} is"
        answer = self._run("STATUS", self._name(folder), self._items_of_status, what=what, asked="STATUS")
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
            if not self._watch.note_elsewhere(response):
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
        self._subscribe(name)

    def _subscribe(self, name: str, command: str = "SUBSCRIBE") -> None:
        with contextlib.suppress(Refused):  # it matters to other programs only
            self._run(command, self._name(name), what=f"{command} is")

    def rename_folder(self, name: str, new: str) -> None:
        """Rename a folder, and its subscription with it."""
        self._leave(name)
        self._run("RENAME", self._name(name), self._name(new), what=f"renaming {name!r} to {new!r} is")
        self._subscribe(name, "UNSUBSCRIBE")
        self._subscribe(new)
        self._raw_names.pop(name, None)

    def delete_folder(self, name: str) -> None:
        """Delete a folder and what is in it."""
        self._leave(name)
        self._run("DELETE", self._name(name), what=f"deleting the folder {name!r} is")
        self._subscribe(name, "UNSUBSCRIBE")
        self._raw_names.pop(name, None)

    def _leave(self, folder: str) -> None:
        if self._selected == folder and "UNSELECT" in self.capabilities:  # CLOSE would expunge
            self._run("UNSELECT", what="UNSELECT is")
            self._selected = None
