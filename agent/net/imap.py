"""IMAP: the Backend for servers. Everything by UID, PEEK always, never a plain EXPUNGE.

Belongs to the thread `in:<account>`. Extensions are used where offered: CONDSTORE, ESEARCH, MOVE, UIDPLUS,
LITERAL+, COMPRESS, and those of the session.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from agent.errors import CommandError, Refused
from agent.net.base import Fetched, FlagState, Letter, Moved, Pushed
from agent.net.imap_append import ensure_keywords, uids_of, words_of
from agent.net.imap_fetch import FetchReader
from agent.net.imap_session import Session
from agent.net.imap_syntax import split_set, uid_list, uid_set
from agent.net.imap_watch import idle
from agent.net.wire import guard, quote

_COPYUID = re.compile(rb"\[COPYUID (\d+) ([\d:,]+) ([\d:,]+)\]", re.IGNORECASE)
_ALL = re.compile(rb"\bALL ([\d:,]+)", re.IGNORECASE)
_OPEN_SET = re.compile(r"(\d+):\*")
_SLACK = 100_000  # messages that may have come since EXISTS was told


class ImapBackend(Session):
    """One connection to an IMAP server; `secret` is called for the password or token at each login."""

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

    def heads(self, uids: str, octets: int, *, start: int = 0) -> Iterator[Fetched]:
        """Fetch some octets of messages, by default the first; `raw` may be shorter than `size` says."""
        return self._fetch(uids, [self._items("", f"<{start}.{octets}>")], FetchReader.heads)

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
            ensure_keywords(words)
            if words:
                store = [f"{sign}FLAGS.SILENT", f"({' '.join(words)})"]
                self._run_through([["UID STORE", part, *store] for part in split_set(uids)], "the flags are")

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
        told = self.append_all(folder, [Letter(raw, tuple(flags), received)])
        return None if told is None else (told[0], told[1][0])

    @property
    def appends_many(self) -> bool:
        """Whether `append_all` takes more than one message (MULTIAPPEND)."""
        return "MULTIAPPEND" in self.capabilities

    def append_all(self, folder: str, letters: Sequence[Letter]) -> tuple[int, list[int]] | None:
        """Append messages with one command, all of them or none; return (uidvalidity, uids) when told."""
        what = "a message" if len(letters) == 1 else f"{len(letters)} messages"
        words = words_of(letters, binary="BINARY" in self.capabilities)
        answer = self._run("APPEND", self._name(folder), *words, what=f"storing {what} in {folder!r} is")
        return uids_of(answer.text, len(letters))

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
