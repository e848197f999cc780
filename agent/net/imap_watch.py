"""What a server tells unasked of the selected folder and, with NOTIFY (RFC 5465), of the others.

And resting in IDLE until it does (RFC 2177).
"""

from __future__ import annotations

import re
import time

from agent.net.base import Pushed, Told
from agent.net.imap_select import told_of
from agent.net.imap_syntax import uid_ranges
from agent.net.said import refusal
from agent.net.wire import Response, Wire

_FLAGS = re.compile(rb"\bFLAGS \(")
_OVERFLOW = re.compile(rb"\[NOTIFICATIONOVERFLOW\b", re.IGNORECASE)
_MOST_FOLDERS = 10_000
# Whatever happens to the messages of any folder. A name or a list of folders would have to be changed
# later, and Dovecot 2.3 tells nothing more after a second NOTIFY.
_EVENTS = "(MessageNew MessageExpunge FlagChange)"
NOTIFY = f"SET (selected {_EVENTS}) (personal {_EVENTS})"


class Watch:
    """The size of the selected folder and what was pushed since it was last asked for."""

    def __init__(self) -> None:
        self.exists = 0
        self._arrivals = self._flags = self._removals = False
        self._own_removals = 0
        self._elsewhere: dict[str, Told] = {}
        self._overflow = False

    def select(self, exists: int) -> None:
        """Begin with a newly selected folder; what was told of others still holds."""
        self.exists = exists
        self._arrivals = self._flags = self._removals = False
        self._own_removals = 0

    def expect_removals(self, count: int) -> None:
        """Take the next `count` removals for our own."""
        self._own_removals = count

    def note(self, response: Response) -> None:
        """Take one untagged response into account."""
        if response.kind == "EXISTS":
            self._arrivals |= response.number > self.exists
            self._removals |= 0 <= response.number < self.exists
            self.exists = max(0, response.number)
        elif response.kind == "EXPUNGE":
            self._removed(1)
        elif response.kind == "VANISHED" and not response.text.upper().startswith(b"(EARLIER)"):
            self._removed(sum(high - low + 1 for low, high in uid_ranges(response.text)))
        elif response.kind == "FETCH" and _FLAGS.search(response.text):
            self._flags = True
        elif not self.note_elsewhere(response) and response.kind == "OK":
            self._overflow |= _OVERFLOW.match(response.text) is not None

    def note_elsewhere(self, response: Response) -> bool:
        """Take what is told of a folder that is not selected; return whether it was that."""
        told = told_of(response)
        if told is None:
            return False
        if len(self._elsewhere) < _MOST_FOLDERS:
            self._elsewhere[told.name] = told
        else:
            self._overflow = True
        return True

    def _removed(self, count: int) -> None:
        self.exists = max(0, self.exists - count)
        self._own_removals -= count
        self._removals |= self._own_removals < 0

    @property
    def pending(self) -> bool:
        """Whether anything was pushed that `take` has not handed out."""
        return self.pending_here or self._overflow or bool(self._elsewhere)

    @property
    def pending_here(self) -> bool:
        """Whether anything was pushed about the selected folder."""
        return self._arrivals or self._flags or self._removals

    def take(self, woken: bool = False) -> Pushed:
        """Return what was pushed, and forget it."""
        elsewhere = tuple(self._elsewhere.values())
        pushed = Pushed(self._arrivals, self._flags, self._removals, woken, elsewhere, self._overflow)
        self._arrivals = self._flags = self._removals = self._overflow = False
        self._elsewhere = {}
        return pushed


def idle(wire: Wire, watch: Watch, timeout_s: float, wake_fd: int) -> bool:
    """Rest in IDLE until something is pushed, time is over or `wake_fd` is readable (then True)."""
    end = time.monotonic() + timeout_s
    # Some servers tell in IDLE only what happens from then on: what happened before is asked for
    # right in front of it, without waiting for the answer in between.
    noop = wire.submit("NOOP")
    tag = wire.submit("IDLE")
    begun = False
    while not wire.has_ended(tag) and not (begun and wire.has_ended(noop)):
        told = wire.receive()  # the answers come in any order, untagged lines in between
        begun |= told is None
        if isinstance(told, Response):
            watch.note(told)
    for response in wire.responses(noop):
        watch.note(response)
    wire.answer(noop)
    if wire.has_ended(tag):
        raise refusal(f"{wire.server}: IDLE refused", wire.answer(tag).text)
    woken = False
    while not (woken or watch.pending):
        if wire.stream.has_line():
            told = wire.receive()
            if isinstance(told, Response):
                watch.note(told)
            elif wire.has_ended(tag):  # the server ends IDLE by itself
                wire.answer(tag)
                return woken
            continue
        left = end - time.monotonic()
        if left <= 0:
            break
        readable, woken = wire.stream.wait(left, wake_fd)
        if readable:
            wire.stream.fill_now()
    wire.send(b"DONE\r\n")
    for response in wire.responses(tag):
        watch.note(response)
    answer = wire.answer(tag)
    if answer.status != "OK":
        raise refusal(f"{wire.server}: IDLE refused", answer.text)
    return woken
