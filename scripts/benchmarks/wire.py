"""The wire alone: the server's answers read to nowhere, the limit that nobody can beat."""

from __future__ import annotations

import re
import socket
import time
from types import TracebackType
from typing import Self

from scripts.benchmarks.measure import Failed, Measured
from scripts.benchmarks.rows import Row
from scripts.benchmarks.server import USER
from tests.harness.dovecot import Dovecot

LISTING = (
    "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS "
    "(DATE FROM SUBJECT TO CC MESSAGE-ID REFERENCES IN-REPLY-TO LIST-ID)])"
)
ENVELOPES = "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)"
FLAGS = "UID FETCH 1:* (FLAGS)"
BODIES = "UID FETCH 1:* (UID BODY.PEEK[])"
THREADS = "UID THREAD REFERENCES UTF-8 ALL"


class Wire:
    """A logged-in connection with INBOX selected that understands nothing but the end of a reply."""

    def __init__(self, server: Dovecot) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.ports["imap"]))
        self._number = 0
        self._buffer = memoryview(bytearray(1 << 20))
        self._socket.recv(4096)
        self.drain(f"LOGIN {USER} {server.password}")
        self.drain("SELECT INBOX")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._socket.close()

    def drain(self, command: str) -> int:
        """Send a command, read until its tagged reply and return how many bytes came."""
        self._number += 1
        tag = b"t%d" % self._number
        self._socket.sendall(tag + b" " + command.encode() + b"\r\n")
        total, end = 0, b""
        reply = re.compile(rb"(?:^|\r\n)" + tag + rb" (\w+)[^\r\n]*\r\n$")
        while True:
            count = self._socket.recv_into(self._buffer)
            if not count:
                raise Failed(f"the server hung up at {command!r}")
            total += count
            end = (end + bytes(self._buffer[max(0, count - 500) : count]))[-500:]
            if found := reply.search(end):
                if found[1] != b"OK":
                    raise Failed(end.decode(errors="replace"))
                return total


def time_command(server: Dovecot, command: str) -> Measured:
    """Time one command on a connection of its own, login not counted."""
    with Wire(server) as wire:
        began = time.perf_counter()
        size = wire.drain(command)
        return Measured(time.perf_counter() - began, None, f"{size / 1e6:,.1f} MB")


def warm_up(server: Dovecot) -> None:
    """Let the server build its cache, which it does once in a mailbox's life."""
    with Wire(server) as wire:
        wire.drain(ENVELOPES)
        wire.drain(LISTING)


def row(group: str, name: str, command: str) -> Row:
    """Return the row of one command."""
    return Row(group, "wire", f"wire: {name}", lambda bench: time_command(bench.server, command))


ROWS = (
    row("headers", "header fields", LISTING),
    row("headers", "ENVELOPE", ENVELOPES),
    row("mirror", "bodies", BODIES),
    row("again", "flags", FLAGS),
    row("threads", "Dovecot THREAD, first", THREADS),
    row("threads", "Dovecot THREAD, cached", THREADS),
)
