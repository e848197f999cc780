"""A process beside ours that parses what comes in bulk: ours stays free for keys, commits and the wire.

The in: threads take turns with it; whoever does not get it parses by itself, and so does everybody
when something goes wrong with it. It begins with the first batch and ends with `rest` or with us.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import struct
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import IO

import msgspec

from agent.core import bodies
from agent.mail.header import Envelope
from agent.net.base import Fetched
from agent.store.contents import Body, Incoming

_log = logging.getLogger("agent.parsing")
_PATIENCE_S = 60.0  # for a batch: no message takes more than 2 s, and few take more than a millisecond
_LENGTH = struct.Struct(">I")

Asked = tuple[bytes, int]  # bytes, announced octets
Read = tuple[Envelope, Body]  # the body without its bytes, which need not come back
_encode = msgspec.msgpack.Encoder().encode
_asked = msgspec.msgpack.Decoder(list[Asked])
_read = msgspec.msgpack.Decoder(list[Read])


class Parser:
    """The process, and whose turn it is."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._usable = True

    def parsed(
        self, batches: Iterable[list[Fetched]], *, beside: bool
    ) -> Generator[list[Incoming], None, None]:
        """Yield the messages of each batch, parsed; `beside` us while the next one comes from the wire.

        Never raises for a message; what `batches` raises comes after all it gave. Who does not read
        to the end has to close the iterator.
        """
        if not (beside and self._usable) or not self._turn.acquire(blocking=False):
            yield from map(_here, batches)
            return
        try:
            yield from self._beside(batches)
        finally:
            self._turn.release()

    def rest(self) -> None:
        """End the process, for there is nothing to do for long; does nothing when it is another's turn."""
        if self._turn.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._turn.release()

    def close(self) -> None:
        """End the process for good, also in the middle of a batch."""
        self._usable = False
        self._end()

    def _beside(self, batches: Iterable[list[Fetched]]) -> Iterator[list[Incoming]]:
        """Keep one batch at the process; two could make each of us wait for the other to read."""
        there: list[Fetched] = []
        try:
            for batch in batches:
                done = self._take(there) if there else None
                there = []
                self._put(batch)
                there = batch
                if done is not None:
                    yield done
        except GeneratorExit:
            self._end()  # nobody will read what it is about to answer
            raise
        except Exception:
            if there:
                yield self._take(there)
            raise
        if there:
            yield self._take(there)

    def _put(self, batch: Sequence[Fetched]) -> None:
        try:
            if self._process is None and self._usable:
                self._process = _started()
            if self._process is not None and self._process.stdin is not None:
                _write(self._process.stdin, _encode([(each.raw or b"", each.size) for each in batch]))
        except OSError as error:
            self._fail(error)

    def _take(self, batch: Sequence[Fetched]) -> list[Incoming]:
        """Return what the process made of a batch, or what we make of it when there is none any more."""
        try:
            if self._process is not None and self._process.stdout is not None:
                found = _read.decode(_frame(self._process.stdout.fileno(), _PATIENCE_S))
                return [
                    bodies.received_as(each, envelope, body)
                    for each, (envelope, body) in zip(batch, found, strict=True)
                ]
        except (OSError, ValueError) as error:
            self._fail(error)
        return _here(batch)

    def _fail(self, error: Exception) -> None:
        if self._usable:  # else it was closed while we waited
            _log.warning("parsing goes on without a process of its own: %s", error or type(error).__name__)
        self._usable = False
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what it did not take before it was killed
                    pipe.close()


def _here(batch: Sequence[Fetched]) -> list[Incoming]:
    return [bodies.received(each) for each in batch]


def _started() -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C and the end of the terminal are not for it. -P: nothing is imported
    # from the working directory.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        bufsize=0,
    )


def _write(pipe: IO[bytes], frame: bytes) -> None:
    left = memoryview(_LENGTH.pack(len(frame)) + frame)
    while left:
        left = left[os.write(pipe.fileno(), left) :]


def _frame(pipe: int, patience_s: float | None) -> bytes:
    """Read one frame; raises ConnectionError at the end, TimeoutError when nothing comes for too long."""
    [length] = _LENGTH.unpack(_exactly(pipe, _LENGTH.size, patience_s))
    return _exactly(pipe, length, patience_s)


def _exactly(pipe: int, size: int, patience_s: float | None) -> bytes:
    pieces, missing = [], size
    came = select.poll()  # select takes no descriptor from 1024 on, and every account has some
    came.register(pipe, select.POLLIN)
    while missing:
        if patience_s is not None and not came.poll(patience_s * 1000):
            raise TimeoutError(f"no answer within {patience_s:.0f} s")
        piece = os.read(pipe, min(missing, 1 << 20))
        if not piece:
            raise ConnectionError("it ended")
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _serve() -> None:
    """Be the process: parse batches until the one who asks is gone."""
    with contextlib.suppress(ConnectionError):
        while True:
            found = [bodies.read(raw, size) for raw, size in _asked.decode(_frame(0, None))]
            answer = [(envelope, msgspec.structs.replace(body, raw=b"")) for envelope, body in found]
            _write(sys.stdout.buffer, _encode(answer))


if __name__ == "__main__":
    _serve()
