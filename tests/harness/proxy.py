"""A TCP proxy that breaks connections at a chosen byte or word, stalls them, slows them down.

`up` is from the client to the server, `down` the way back.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from tests.harness.loop import LoopThread

Direction = Literal["up", "down"]
CHUNK = 65536


@dataclass(slots=True)
class Cut:
    """A cut to come: at a number of bytes of one connection, or at a regular expression."""

    direction: Direction
    at: re.Pattern[bytes] | None
    after: int | None
    keep: bool
    reset: bool
    reply_lost: bool
    times: int
    done: threading.Event = field(default_factory=threading.Event)

    def find(self, stream: bytearray, start: int, searched: int) -> int | None:
        """Return the offset in the stream up to which bytes still pass, None for not yet."""
        if self.after is not None:
            return max(self.after, start) if len(stream) >= self.after else None
        assert self.at is not None
        match = self.at.search(stream, searched)
        return None if match is None else max(match.end() if self.keep else match.start(), start)


@dataclass(slots=True)
class Link:
    """One proxied connection and all it carried."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    up: bytearray = field(default_factory=bytearray)
    down: bytearray = field(default_factory=bytearray)
    reply_lost: Cut | None = None


class Proxy:
    """Listens on a free port of 127.0.0.1 and passes everything on, but for what it is told."""

    host = "localhost"

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self._loop = LoopThread("proxy")
        self._cuts: list[Cut] = []
        self._replacements: list[tuple[Direction, bytes, bytes]] = []
        self._rate: float | None = None
        self._latency_s = 0.0
        self._shared = False
        self._free: dict[Direction, float] = {}  # when the line they share has carried what is on it
        self._refusing = False
        self.links: list[Link] = []
        self.port = 0

    def start(self) -> None:
        """Listen."""
        self._loop.start()
        self._loop.run(self._listen())

    def stop(self) -> None:
        """Drop all connections and close the port."""
        self._loop.run(self._close())
        self._loop.stop()

    @property
    def sent(self) -> bytes:
        """All bytes clients have sent, connection after connection."""
        return b"".join(bytes(link.up) for link in self.links)

    @property
    def received(self) -> bytes:
        """All bytes servers have sent, connection after connection."""
        return b"".join(bytes(link.down) for link in self.links)

    def cut(
        self,
        direction: Direction,
        *,
        at: bytes | None = None,
        after: int | None = None,
        keep: bool = True,
        reset: bool = False,
        times: int = 1,
    ) -> Cut:
        """Cut a connection where `at` (a regular expression) passes, or after so many bytes.

        With `keep` the matching bytes still arrive. `reset` sends RST in place of FIN.
        """
        pattern = None if at is None else re.compile(at, re.DOTALL)
        return self._add(Cut(direction, pattern, after, keep, reset, False, times))

    def lose_reply(self, to: bytes, times: int = 1) -> Cut:
        """Deliver the request that matches `to`, then cut in place of passing its reply on."""
        return self._add(Cut("up", re.compile(to, re.DOTALL), None, True, False, True, times))

    def replace(self, direction: Direction, old: bytes, new: bytes) -> None:
        """Replace bytes within lines, for instance to strip a capability. Lines then pass whole."""
        self._replacements = [*self._replacements, (direction, old, new)]

    def throttle(self, bytes_per_s: float | None, latency_s: float = 0.0, *, shared: bool = False) -> None:
        """Slow down each direction, of each connection or of all together; None is full speed."""
        self._rate, self._latency_s, self._shared = bytes_per_s, latency_s, shared

    def stall(self) -> None:
        """Pass nothing on any more, but keep the connections: a dead link that nobody reports."""
        self._loop.run(self._flow(False))

    def resume(self) -> None:
        """Let the held bytes pass."""
        self._loop.run(self._flow(True))

    def refuse(self, refusing: bool = True) -> None:
        """Drop every new connection at once, or accept them again."""
        self._refusing = refusing

    def cut_all(self, *, reset: bool = False) -> None:
        """Cut the connections there are now."""
        self._loop.run(self._cut_all(reset))

    def heal(self) -> None:
        """Forget all faults; what was stalled passes."""
        self._cuts, self._replacements, self._refusing = [], [], False
        self.throttle(None)
        self.resume()

    def _add(self, cut: Cut) -> Cut:
        self._cuts = [*self._cuts, cut]
        return cut

    async def _listen(self) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        await self._cut_all(False)

    async def _cut_all(self, reset: bool) -> None:
        for link in self.links:
            _hang_up(link, reset)

    async def _flow(self, flowing: bool) -> None:
        (self._flowing.set if flowing else self._flowing.clear)()

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self._refusing:
            client.transport.abort()
            return
        try:
            server_reader, server = await asyncio.open_connection(*self._target)
        except OSError:
            client.transport.abort()
            return
        link = Link(client, server)
        self.links.append(link)
        _no_delay(client, server)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(
                self._pass(link, "up", reader, server), self._pass(link, "down", server_reader, client)
            )
        _hang_up(link, reset=False)

    async def _pass(
        self, link: Link, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry one direction of a link until it ends or is cut."""
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=256)
        carrier = asyncio.create_task(self._carry(direction, late, writer))
        stream: bytearray = getattr(link, direction)
        searched = 0
        with contextlib.suppress(OSError):
            while chunk := await self._read(direction, reader):
                await self._flowing.wait()
                if direction == "down" and link.reply_lost is not None:
                    link.reply_lost.done.set()
                    break
                start = len(stream)
                stream += chunk
                cut, end = self._due(direction, stream, start, searched)
                await late.put((time.monotonic() + self._latency_s, bytes(stream[start:end])))
                if cut is not None and not cut.reply_lost:
                    await late.join()
                    _hang_up(link, cut.reset)
                    cut.done.set()
                    break
                if cut is not None:
                    link.reply_lost, searched = cut, end
        await late.put((0, b""))
        await carrier
        if link.reply_lost is not None and link.reply_lost.done.is_set():
            _hang_up(link, reset=False)

    def _due(
        self, direction: Direction, stream: bytearray, start: int, searched: int
    ) -> tuple[Cut | None, int]:
        """Return the first cut that is due in the new bytes, and how far bytes pass."""
        for cut in self._cuts:
            if cut.direction == direction and cut.times > 0:
                end = cut.find(stream, start, searched)
                if end is not None:
                    cut.times -= 1
                    return cut, len(stream) if cut.reply_lost else end
        return None, len(stream)

    async def _read(self, direction: Direction, reader: asyncio.StreamReader) -> bytes:
        chunk = await reader.read(CHUNK)
        changes = [(old, new) for way, old, new in self._replacements if way == direction]
        if changes and chunk and not chunk.endswith(b"\n"):
            chunk += await reader.readline()
        for old, new in changes:
            chunk = chunk.replace(old, new)
        return chunk

    async def _carry(
        self, direction: Direction, late: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        """Write what is due at the rate of the line; an empty piece is the end."""
        while True:
            due, piece = await late.get()
            if not piece and not due:
                break
            await _sleep_until(due)
            with contextlib.suppress(OSError):
                for slice_ in self._slices(piece):
                    await _sleep_until(self._arrival(direction, len(slice_)))
                    writer.write(slice_)
                    await writer.drain()
            late.task_done()
        with contextlib.suppress(OSError, RuntimeError):
            if writer.can_write_eof():
                writer.write_eof()

    def _arrival(self, direction: Direction, size: int) -> float:
        """Return when so many bytes have come through a line that may be busy with earlier ones."""
        now = time.monotonic()
        if not self._rate:
            return now
        begins = max(now, self._free.get(direction, now)) if self._shared else now
        self._free[direction] = begins + size / self._rate
        return self._free[direction]

    def _slices(self, piece: bytes) -> Iterator[bytes]:
        size = max(1, int(self._rate / 20)) if self._rate else CHUNK
        for offset in range(0, len(piece), size):
            yield piece[offset : offset + size]


async def _sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))


def _no_delay(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _hang_up(link: Link, reset: bool) -> None:
    if reset:
        with contextlib.suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            link.client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    link.client.transport.abort()
    link.server.transport.abort()
