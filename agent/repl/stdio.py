"""Standard input and output while the console owns the terminal.

File descriptors 1 and 2 become a pipe that the `stdio` thread reads, so that the output of child
processes and C code lands in the transcript too; 0 reads as empty. sys.stdout and sys.stderr go to
the transcript directly: what statements print stays in order, what other threads print is named.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
import threading
from typing import TextIO, cast

from agent.repl.transcript import Transcript
from agent.threads import current, spawn


class Stdio:
    """Takes the three descriptors away from the terminal on `start`, gives them back on `stop`."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._saved: list[int] = []

    def start(self) -> tuple[int, int]:
        """Redirect; return descriptors of the terminal for reading and writing."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._saved = [os.dup(fd) for fd in (0, 1, 2)]
        self._reading, writing = os.pipe()
        self._stopping, self._stop = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, nothing), (1, writing), (2, writing)):
            os.dup2(source, target)
        os.close(nothing)
        os.close(writing)
        self._streams = sys.stdout, sys.stderr
        sys.stdout = cast(TextIO, _Router(self._transcript, 1))
        sys.stderr = cast(TextIO, _Router(self._transcript, 2))
        self._thread = spawn("stdio", self._pump)
        return self._saved[0], self._saved[1]

    def stop(self) -> None:
        """Give the terminal back; what was printed until now is in the transcript."""
        if not self._saved:
            return
        sys.stdout, sys.stderr = self._streams
        for target, saved in enumerate(self._saved):
            os.dup2(saved, target)
            os.close(saved)
        self._saved = []
        os.write(self._stop, b".")
        self._thread.join()
        for fd in (self._reading, self._stopping, self._stop):
            os.close(fd)

    def _pump(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            ready, _, _ = select.select([self._reading, self._stopping], [], [])
            if self._reading not in ready:
                return
            data = os.read(self._reading, 65536)
            if not data:
                return
            self._transcript.write(decoder.decode(data))


class _Router(io.TextIOBase):
    """A text stream that writes to the transcript."""

    def __init__(self, transcript: Transcript, fd: int) -> None:
        self._transcript = transcript
        self._fd = fd
        self._begun = threading.local()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "replace"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        """Write; threads other than `main` are named at the beginning of each line."""
        style = "class:repl.error" if self._fd == 2 else ""
        if current() == "main":
            self._transcript.write(text, style)
            return len(text)
        # A line of another thread goes in whole, so that it never lands inside one of a statement.
        held: str = getattr(self._begun, "text", "") + text
        *whole, self._begun.text = held.split("\n")
        for line in whole:
            self._transcript.show([("class:repl.thread", f"{current()}: "), (style, line)])
        return len(text)
