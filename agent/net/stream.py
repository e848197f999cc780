"""Bytes to and from one server: buffer, deadlines, TLS, compression, waiting that can be woken.

Belongs to the thread that owns the connection. Raises NetworkError and nothing else.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
import zlib
from collections.abc import Callable

from agent.errors import NetworkError
from agent.net import tls
from agent.net.base import Server

MAX_LINE = 16 << 20  # `UID SEARCH ALL` in a folder of a million messages is a line of 7 MB
MAX_LITERAL = 256 << 20
_CHUNK = 1 << 18
_SLOWEST = 64  # octets a second, below which a server is taken for dead


class Stream:
    """A connected socket with a read buffer; `buffer` from `position` on is what came and is unread."""

    def __init__(
        self,
        server: Server,
        *,
        connect_s: float = 15.0,
        read_s: float = 60.0,
        begun: Callable[[Stream], None] = lambda stream: None,
    ) -> None:
        """Connect; `begun` is given this stream before that, so that another thread can `abort` it."""
        self.server = server
        self.read_s = read_s
        self.buffer = b""
        self.position = 0
        self.broken = False
        self._inflate: zlib._Decompress | None = None
        self._deflate: zlib._Compress | None = None
        self._packed = b""  # received, not yet inflated
        self._aborted = False
        begun(self)
        self.sock: socket.socket
        self._connect(connect_s)

    def _connect(self, connect_s: float) -> None:
        failure: Exception | None = None
        try:
            addresses = socket.getaddrinfo(self.server.host, self.server.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NetworkError(f"{self.server}: cannot connect: {error}") from error
        for family, kind, protocol, _, address in addresses:
            if self._aborted:
                break
            self.sock = socket.socket(family, kind, protocol)
            self.sock.settimeout(connect_s)
            try:
                self.sock.connect(address)
            except OSError as error:
                failure = error
                self.sock.close()
            else:
                self._prepare(self.sock)
                return
        raise NetworkError(f"{self.server}: cannot connect: {failure or 'given up'}") from failure

    def _prepare(self, sock: socket.socket) -> None:
        sock.settimeout(self.read_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else 44 ms for each IDLE/DONE turn
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    @property
    def local(self) -> bool:
        """Whether the server runs on this machine."""
        with contextlib.suppress(OSError):
            return self.sock.getpeername()[0] in ("127.0.0.1", "::1")
        return False

    @property
    def encrypted(self) -> bool:
        """Whether TLS is on."""
        return isinstance(self.sock, ssl.SSLSocket)

    def secure(self, handshakes: tls.Handshakes) -> None:
        """Turn TLS on; raises TLSError, and NetworkError when bytes from before are still unread."""
        if self.position < len(self.buffer):
            self.close()
            raise NetworkError(f"{self.server}: the server sent more before TLS began")
        secured = handshakes.wrap(self.sock, self.server)
        self.sock = secured  # before it is safe to use: `abort` must reach it
        handshakes.shake(secured, self.server)

    def compress(self) -> None:
        """Compress from the next octet on, both ways (RFC 4978)."""
        self._inflate = zlib.decompressobj(-15)
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        self._packed = self.buffer[self.position :]
        self.buffer, self.position = b"", 0

    def fill(self) -> None:
        """Read what there is, at least one octet, waiting up to the read deadline."""
        if self._packed and self._unpack():
            return
        while not self._receive():
            pass

    def fill_now(self) -> bool:
        """Read what is there without waiting; tell whether anything was."""
        if self._packed and self._unpack():
            return True
        self.sock.settimeout(0)
        try:
            return self._receive()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False  # a TLS record that is incomplete or carries no data
        finally:
            if not self.broken:
                self.sock.settimeout(self.read_s)

    def _receive(self) -> bool:
        try:
            data = self.sock.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except TimeoutError as error:
            raise self.failed(f"no answer within {self.read_s:.0f} s") from error
        except OSError as error:
            raise self.failed(f"the connection broke: {error}") from error
        if not data:
            raise self.failed("the server closed the connection")
        if self._inflate:
            self._packed += data
            return self._unpack()
        self._put(data)
        return True

    def _unpack(self) -> bool:
        assert self._inflate is not None
        try:
            data = self._inflate.decompress(self._packed, 1 << 20)  # in pieces: no bomb
        except zlib.error as error:
            raise self.failed(f"the compressed stream is damaged: {error}") from error
        self._packed = self._inflate.unconsumed_tail
        self._put(data)
        return bool(data)

    def _put(self, data: bytes) -> None:
        rest = self.buffer[self.position :]
        self.buffer, self.position = (rest + data if rest else data), 0

    def has_line(self) -> bool:
        """Tell whether `line` can answer from the buffer."""
        return self.buffer.find(b"\n", self.position) >= 0

    def line(self) -> bytes:
        """Read a line with its end."""
        end = self.buffer.find(b"\n", self.position) + 1
        if end:
            line = self.buffer[self.position : end]
            self.position = end
            return line
        return self._long_line()

    def _long_line(self) -> bytes:
        pieces, size, begun = [], 0, time.monotonic()
        while True:
            piece = self.buffer[self.position :]
            end = piece.find(b"\n") + 1
            pieces.append(piece[:end] if end else piece)
            self.position += len(pieces[-1])
            size += len(pieces[-1])
            if end:
                return b"".join(pieces)
            if size > MAX_LINE:
                raise self.failed(f"a line of more than {MAX_LINE >> 20} MB")
            self._ensure_pace(size, begun)
            self.fill()

    def take(self, size: int) -> bytes:
        """Read exactly `size` octets."""
        end = self.position + size
        if end <= len(self.buffer):
            data = self.buffer[self.position : end]
            self.position = end
            return data
        if size > MAX_LITERAL:
            raise self.failed(f"{size} octets announced at once, more than {MAX_LITERAL >> 20} MB")
        pieces, missing, begun = [], size, time.monotonic()
        while missing:
            piece = self.buffer[self.position : self.position + missing]
            pieces.append(piece)
            self.position += len(piece)
            missing -= len(piece)
            if missing:
                self._ensure_pace(size - missing, begun)
                self.fill()
        return b"".join(pieces)

    def _ensure_pace(self, received: int, begun: float) -> None:
        elapsed = time.monotonic() - begun
        if elapsed > self.read_s and received < elapsed * _SLOWEST:
            raise self.failed(f"only {received} octets in {elapsed:.0f} s")

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        if self._deflate:
            data = self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise self.failed(f"the connection broke: {error}") from error

    def wait(self, timeout_s: float, wake_fd: int | None = None) -> tuple[bool, bool]:
        """Wait until something can be read, `wake_fd` is readable or time is over: (data, woken)."""
        if self._packed or (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()):
            return True, False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        if wake_fd is not None and wake_fd >= 0:
            poll.register(wake_fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(0.0, timeout_s) * 1000)}
        return self.sock.fileno() in ready, wake_fd in ready

    def failed(self, what: str) -> NetworkError:
        """Close for good and return the error to raise."""
        self.close()
        return NetworkError(f"{self.server}: {what}")

    def abort(self) -> None:
        """Hang up without closing the socket, which belongs to another thread; never raises."""
        self._aborted = True
        with contextlib.suppress(OSError, AttributeError):  # closed, or not there yet
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; never raises."""
        self.broken = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.sock.close()
