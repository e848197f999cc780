"""Servers that do exactly what a test writes down: a script for each connection, nothing else.

`Scripted` plays any protocol; `imap` and `smtp` return scripts that answer like a small, well-behaved
server except where the test says otherwise. What the clients sent is kept, apart for clear and TLS.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

DEADLINE_S = 20.0


class Gone(Exception):
    """The client closed the connection."""


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: Scripted, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self._file = sock.makefile("rb")
        self.tls = False

    def send(self, *lines: bytes | str) -> None:
        """Send each line with CRLF."""
        self.raw(b"".join((line.encode() if isinstance(line, str) else line) + b"\r\n" for line in lines))

    def raw(self, data: bytes) -> None:
        """Send octets."""
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Gone from error

    def line(self) -> bytes:
        """Read a line without its end."""
        try:
            line = self._file.readline()
        except (OSError, ValueError) as error:
            raise Gone from error
        if not line:
            raise Gone
        self.server.note(line, self.tls)
        return line.rstrip(b"\r\n")

    def octets(self, count: int) -> bytes:
        """Read exactly `count` octets."""
        data = self._file.read(count)
        self.server.note(data, self.tls)
        return data

    def secure(self) -> None:
        """Do the server's half of a TLS handshake."""
        assert self.server.context is not None
        try:
            self.sock = self.server.context.wrap_socket(self.sock, server_side=True)
        except OSError as error:
            raise Gone from error
        self._file = self.sock.makefile("rb")
        self.tls = True

    def close(self) -> None:
        """Close in an orderly way."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._file.close()
        self.sock.close()

    def reset(self) -> None:
        """Close by a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._file.close()
        self.sock.close()


Script = Callable[[Peer], None]


class Scripted:
    """A server on loopback that plays one script for every connection."""

    host = "localhost"

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.context = context
        self.clear = bytearray()  # what came without encryption
        self.secret = bytearray()  # what came inside of TLS
        self.failures: list[BaseException] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._peers: list[Peer] = []
        self._threads = [threading.Thread(target=self._accept, name="scripted", daemon=True)]

    def start(self) -> None:
        """Begin to accept."""
        self._threads[0].start()

    def stop(self) -> None:
        """Close every connection, and raise what a script raised."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self._peers:
            peer.close()
        for thread in self._threads:
            thread.join(DEADLINE_S)
        if self.failures:
            raise self.failures[0]

    def note(self, data: bytes, tls: bool) -> None:
        """Keep what a client sent."""
        (self.secret if tls else self.clear).extend(data)

    @property
    def received(self) -> bytes:
        """All that clients sent."""
        return bytes(self.clear + self.secret)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(DEADLINE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(self, sock)
            self._peers.append(peer)
            thread = threading.Thread(target=self._play, args=(peer,), name="scripted peer", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, peer: Peer) -> None:
        try:
            self.script(peer)
        except Gone:
            pass
        except BaseException as error:
            self.failures.append(error)
        finally:
            peer.close()


@contextmanager
def scripted(script: Script, context: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """Run a scripted server for the length of a block."""
    server = Scripted(script, context)
    server.start()
    try:
        yield server
    finally:
        server.stop()


# What answers a command: the peer, the tag, and the rest of the line.
Answer = Callable[[Peer, bytes, bytes], None]

SELECTED = (
    b"* FLAGS (\\Answered \\Seen)",
    b"* OK [PERMANENTFLAGS (\\Answered \\Seen \\*)] ok",
    b"* 3 EXISTS",
    b"* 0 RECENT",
    b"* OK [UIDVALIDITY 7] ok",
    b"* OK [UIDNEXT 4] next",
)


def imap(
    answers: Mapping[str, Answer] | None = None,
    *,
    capabilities: str = "IMAP4rev1 IDLE LITERAL+ UIDPLUS",
    greeting: bytes = b"* OK ready",
) -> Script:
    """Return the script of an IMAP server; `answers` maps commands such as `UID FETCH` to functions."""
    special = {name.encode(): answer for name, answer in (answers or {}).items()}

    def run(peer: Peer) -> None:
        if greeting:
            peer.send(greeting)
        while True:
            tag, _, rest = peer.line().partition(b" ")
            words = rest.upper().split()
            name = b" ".join(words[:2]) if words[:1] == [b"UID"] else words[0] if words else b""
            if name in special:
                special[name](peer, tag, rest)
            elif name == b"CAPABILITY":
                peer.send(b"* CAPABILITY " + capabilities.encode(), tag + b" OK done")
            elif name == b"STARTTLS":
                peer.send(tag + b" OK go ahead")
                peer.secure()
            elif name == b"SELECT":
                peer.send(*SELECTED, tag + b" OK [READ-WRITE] selected")
            elif name == b"LOGOUT":
                peer.send(b"* BYE bye", tag + b" OK bye")
                return
            else:
                peer.send(tag + b" OK done")

    return run


def replying(*lines: bytes, end: bytes = b"OK done") -> Answer:
    """Return an answer of these lines and the tagged end."""

    def answer(peer: Peer, tag: bytes, rest: bytes) -> None:
        peer.send(*lines, tag + b" " + end)

    return answer


def smtp(
    answers: Mapping[str, Callable[[Peer, bytes], None]] | None = None,
    *,
    extensions: str = "8BITMIME|SMTPUTF8",
    tls_extensions: str | None = None,
    greeting: bytes = b"220 ready",
) -> Script:
    """Return the script of an SMTP server; messages are read to the final dot and accepted."""
    special = {name.encode(): answer for name, answer in (answers or {}).items()}

    def run(peer: Peer) -> None:
        peer.send(greeting)
        while True:
            line = peer.line()
            name = line.upper().split()[0] if line else b""
            if name in special:
                special[name](peer, line)
            elif name == b"EHLO":
                offered = tls_extensions if peer.tls and tls_extensions is not None else extensions
                words = ["scripted", *(word for word in offered.split("|") if word)]
                peer.send(*(f"250-{word}" for word in words[:-1]), f"250 {words[-1]}")
            elif name == b"STARTTLS":
                peer.send(b"220 go ahead")
                peer.secure()
            elif name == b"AUTH":
                peer.send(b"235 in")
            elif name == b"DATA":
                peer.send(b"354 go on")
                while peer.line() != b".":
                    pass
                peer.send(b"250 kept")
            elif name == b"QUIT":
                peer.send(b"221 bye")
                return
            else:
                peer.send(b"250 ok")

    return run
