"""One measurement: seconds and peak memory of a command, or of a program in a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

LOOK_EVERY_S = 0.01
ENDS_S = 10.0  # for a program whose terminal has gone


class Failed(Exception):
    """The command could not be measured; the text says why."""


@dataclass(frozen=True, slots=True)
class Measured:
    """How long it took, the most memory it had, and what it said or found."""

    seconds: float
    memory_mb: float | None = None
    detail: str = ""


def command(
    arguments: Sequence[str | Path],
    env: Mapping[str, str] | None = None,
    timeout_s: float = 1800,
) -> Measured:
    """Run a command to its end; `detail` is its output."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(argument) for argument in arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | dict(env or {}),
        start_new_session=True,
    )
    assert process.stdout is not None
    memory = Memory(process.pid)
    output = bytearray()
    try:
        while part := _read_until(process.stdout.fileno(), began + timeout_s, memory):
            output += part
    finally:
        process.wait()
        seconds = time.perf_counter() - began
        process.stdout.close()
    text = output.decode(errors="replace").strip()
    if process.returncode:
        last = text.rpartition("\n")[2][-300:]
        raise Failed(f"{Path(arguments[0]).name} ended with {process.returncode}: {last}")
    return Measured(seconds, memory.peak_mb, text)


def best_of(found: Sequence[Measured]) -> Measured:
    """Return the quickest of several runs: what others do to the machine only adds; all are told."""
    quickest = min(found, key=lambda each: each.seconds)
    slowest = max(each.seconds for each in found)
    return replace(quickest, detail=f"best of {len(found)}, {quickest.seconds:.3f}-{slowest:.3f} s")


class Memory:
    """The peak memory of a running program, asked for again and again.

    Not getrusage: what it tells of a child begins with the memory of the parent that forked it.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.peak_mb: float | None = None

    def look(self) -> None:
        """Read the high-water mark; the last one read counts."""
        with contextlib.suppress(OSError):
            found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
            if found:
                self.peak_mb = int(found[1]) / 1024


def until_screen_shows(
    arguments: Sequence[str | Path],
    pattern: str,
    env: Mapping[str, str] | None = None,
    quit_keys: bytes = b"q",
    timeout_s: float = 600,
) -> Measured:
    """Run a program in an 80x24 terminal and time it until its output matches; then leave it."""
    began = time.perf_counter()
    with Screen(arguments, env) as screen:
        screen.until(pattern, timeout_s)
        found = Measured(time.perf_counter() - began, screen.memory_mb)
        try:
            screen.leave(quit_keys)
        except Failed as error:
            return replace(found, detail=f"did not end by itself: {error}")
    return found


class Screen:
    """A program in an 80x24 terminal, for the time of a with block."""

    def __init__(self, arguments: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        self._name = str(arguments[0])
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(dict(env or {}) | {"TERM": "xterm"})
            os.execvp(self._name, [str(argument) for argument in arguments])
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._memory = Memory(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGHUP)
        os.close(self._terminal)
        deadline = time.perf_counter() + ENDS_S
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if time.perf_counter() > deadline:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(LOOK_EVERY_S)

    @property
    def memory_mb(self) -> float | None:
        """The most memory it had so far."""
        self._memory.look()
        return self._memory.peak_mb

    def until(self, pattern: str, timeout_s: float = 60) -> None:
        """Wait until the output matches."""
        wanted, seen, deadline = re.compile(pattern.encode()), bytearray(), time.perf_counter() + timeout_s
        while not wanted.search(seen):
            part = _read_until(self._terminal, deadline, self._memory)
            if not part:
                raise Failed(f"{self._name} ended: {_tail(seen)}")
            seen += part
        self._memory.look()

    def until_quiet(self, seconds: float) -> None:
        """Wait until nothing has been painted for so long."""
        while select.select([self._terminal], [], [], seconds)[0] and os.read(self._terminal, 1 << 16):
            pass

    def answer_to(self, keys: bytes) -> float:
        """Press keys; return the seconds until something is painted."""
        began = time.perf_counter()
        os.write(self._terminal, keys)
        if not _read_until(self._terminal, began + 60, self._memory):
            raise Failed(f"{self._name} ended at {keys!r}")
        return time.perf_counter() - began

    def leave(self, keys: bytes) -> float | None:
        """Press the keys that end the program, and wait for its end; return its peak memory in MB."""
        os.write(self._terminal, keys)
        while _read_until(self._terminal, time.perf_counter() + 60, self._memory):
            pass
        return self._memory.peak_mb


def _read_until(source: int, deadline: float, memory: Memory) -> bytes:
    """Read some bytes; none at the end. Kills the program's process group when the time is over."""
    while not select.select([source], [], [], LOOK_EVERY_S)[0]:
        memory.look()
        if time.perf_counter() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(memory.pid, signal.SIGKILL)
            raise Failed("took too long and was ended")
    memory.look()
    try:
        return os.read(source, 1 << 16)
    except OSError:  # a terminal whose program has ended
        return b""


def _tail(seen: bytearray) -> str:
    return re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]|[\x00-\x1f]+", b" ", seen)[-200:].decode(errors="replace").strip()
