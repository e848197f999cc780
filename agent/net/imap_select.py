"""What SELECT and STATUS tell of a folder, QRESYNC's changes included (RFC 7162)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agent.errors import NetworkError, Refused
from agent.mail import flags
from agent.net.base import Changes, FlagState, FolderState, Told
from agent.net.imap_folders import decoded
from agent.net.imap_syntax import Value, flag_words, items, number, uid_list, values
from agent.net.wire import Response

_CODE = re.compile(rb"\[([A-Z0-9-]+)(?: ([^\]]*))?\]", re.IGNORECASE)
_EARLIER = b"(EARLIER) "
_MOST_VANISHED = 3_000_000


class Selecting:
    """Collects the answer to one SELECT."""

    def __init__(self, since: tuple[int, int] | None) -> None:
        self._since = since
        self._begin()

    def _begin(self) -> None:
        self.exists = 0
        self.uidvalidity = 0
        self.uidnext: int | None = None
        self._modseq: int | None = None
        self._keywords = False
        self._kept: int | None = None
        self._writable = True
        self._flags: list[FlagState] = []
        self._vanished: list[int] = []
        self._overflow = False

    def note(self, response: Response) -> None:
        """Take one untagged response."""
        if response.kind == "EXISTS":
            self.exists = max(0, response.number)
        elif response.kind == "OK":
            self._note_code(response.text)
        elif response.kind == "VANISHED":
            self._note_vanished(response.text)
        elif response.kind == "FETCH":
            found = items(response.parts)
            uid, had = number(found.get(b"UID")), found.get(b"FLAGS")
            if uid is not None and isinstance(had, list):
                words = b" ".join(flag for flag in had if isinstance(flag, bytes))
                self._flags.append(FlagState(uid, *flag_words(words), number(found.get(b"MODSEQ"))))

    def _note_vanished(self, text: bytes) -> None:
        text = text.strip()
        if text[: len(_EARLIER)].upper() == _EARLIER:
            text = text[len(_EARLIER) :]
        try:
            self._vanished += uid_list(text, _MOST_VANISHED)
        except NetworkError:
            self._overflow = True

    def _note_code(self, text: bytes) -> None:
        match = _CODE.match(text)
        if match is None:
            return
        code, value = match[1].upper(), match[2] or b""
        if code == b"CLOSED":  # what came before is about the folder that was left
            self._begin()
        elif code == b"UIDVALIDITY":
            self.uidvalidity = number(value) or 0
        elif code == b"UIDNEXT":
            self.uidnext = number(value)
        elif code == b"HIGHESTMODSEQ":
            self._modseq = number(value) or None
        elif code == b"PERMANENTFLAGS":
            self._keywords = b"\\*" in value
            self._kept = flag_words(value.strip(b"()"))[0] | (flags.FORWARDED if self._keywords else 0)

    def end(self, text: bytes) -> None:
        """Take the text of the final OK."""
        self._writable = not text.upper().startswith(b"[READ-ONLY]")

    def state(self, what: str) -> FolderState:
        """Return the state; raises Refused when the folder has no lasting UIDs."""
        if not self.uidvalidity:
            raise Refused(f"{what}: the server gives the messages no lasting numbers (no UIDVALIDITY)")
        return FolderState(
            self.uidvalidity,
            self.uidnext,
            self.exists,
            self._modseq,
            self._keywords,
            self._kept,
            self._writable,
            self._changes(),
        )

    def _changes(self) -> Changes | None:
        # A modification sequence that went back is a server restored from a backup: compare anew.
        if self._since is None or self._since[0] != self.uidvalidity or self._overflow:
            return None
        if self._modseq is None or self._modseq < self._since[1]:
            return None
        return Changes(tuple(self._flags), tuple(self._vanished))


def state_of_status(responses: Iterable[Response], what: str) -> FolderState:
    """Return the state that a STATUS answer tells; raises Refused when it tells nothing."""
    for response in responses:
        state = _state(told_of(response))
        if state is not None:
            return state
    raise Refused(f"{what}: the server tells nothing about the folder", permanent=False)


def states_of_status(responses: Iterable[Response]) -> dict[str, FolderState]:
    """Return the states that STATUS answers tell: name -> state."""
    told = [told for response in responses if (told := told_of(response)) is not None]
    return {each.name: state for each in told if (state := _state(each)) is not None}


def _state(told: Told | None) -> FolderState | None:
    if told is None or not told.uidvalidity:
        return None
    return FolderState(told.uidvalidity, told.uidnext, told.exists or 0, told.modseq)


def told_of(response: Response) -> Told | None:
    """Return what a STATUS response tells of which folder; None for every other response."""
    if response.kind != "STATUS":
        return None
    read: list[Value] = values(response.parts)
    if not read or not isinstance(read[0], bytes):
        return None
    name, found = decoded(read[0]), items(response.parts)
    return Told(
        "INBOX" if name.upper() == "INBOX" else name,
        number(found.get(b"UIDVALIDITY")),
        number(found.get(b"UIDNEXT")),
        number(found.get(b"MESSAGES")),
        number(found.get(b"HIGHESTMODSEQ")) or None,
    )
