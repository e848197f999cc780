"""The console as a person has it: a real pty, keys typed into it, the screen that comes of them.

No sleeps: `wait` looks until the screen shows what is wanted.

    with Console(["--demo"], home) as console:
        console.wait("Inbox")
        console.type("gg<enter>r")
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType

import pyte

_NAMES = "enter esc tab s-tab space backspace lt up down right left home end pageup pagedown delete f2 f3"
_CODES = r"\r|\x1b|\t|\x1b[Z| |\x7f|<|\x1b[A|\x1b[B|\x1b[C|\x1b[D|\x1b[H|\x1b[F|\x1b[5~|\x1b[6~|\x1b[3~|\x1bOQ|\x1bOR"
_KEYS = dict(zip(_NAMES.split(), _CODES.encode().decode("unicode_escape").split("|"), strict=True))


def keys(text: str) -> list[str]:
    """Return the pieces to send: `gg<enter>`, `<c-o>`; each key is a write of its own."""
    pieces = []
    for part in re.findall(r"<[^<> ]+>|.", text, re.DOTALL):
        name = part[1:-1].lower()
        if len(part) == 1:
            pieces.append(part)
        elif re.fullmatch(r"c-[a-z\\]", name):
            pieces.append(chr(ord(name[2]) & 0x1F))
        else:
            pieces.append(_KEYS[name])
    return pieces


class Console:
    """A program on a pty of its own."""

    def __init__(
        self,
        arguments: list[str],
        *,
        rows: int = 24,
        columns: int = 80,
        env: dict[str, str] | None = None,
        program: list[str] | None = None,
    ) -> None:
        self._screen = pyte.HistoryScreen(columns, rows, history=500)
        self._stream = pyte.ByteStream(self._screen)
        self.sent = b""  # everything the program wrote
        self.fd, child = pty.openpty()
        self.resize(rows, columns)
        self.modes = termios.tcgetattr(child)
        self.process = subprocess.Popen(
            [*(program or [sys.executable, "-m", "agent"]), *arguments],
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **(env or {})},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self._child = child  # kept open, so that the modes can be read after the end
        self._screen.write_process_input = lambda text: os.write(self.fd, text.encode())

    # -- doing -------------------------------------------------------------------------------

    def type(self, text: str) -> None:
        """Press keys."""
        for piece in keys(text):
            os.write(self.fd, piece.encode())
            if piece == "\x1b":  # alone it is Escape; with the next key in one piece it would be Alt
                self._pump(0.08)

    def paste(self, text: str) -> None:
        """Paste text as a terminal does."""
        os.write(self.fd, b"\x1b[200~" + text.encode() + b"\x1b[201~")

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    def signal(self, number: int) -> None:
        """Send the program a signal."""
        self.process.send_signal(number)

    # -- looking -----------------------------------------------------------------------------

    def screen(self) -> str:
        """Return the text of the screen now."""
        self._pump(0)
        return "\n".join(self._row(number).rstrip() for number in range(self._screen.lines))

    def line(self, number: int) -> str:
        """Return one line of the screen; -1 is the last."""
        return self.screen().split("\n")[number]

    def wait(self, pattern: str, timeout_s: float = 15) -> re.Match[str]:
        """Wait until the screen shows a pattern."""
        deadline = time.monotonic() + timeout_s
        while True:
            alive = self._pump(0.02)
            if match := re.search(pattern, self.screen(), re.MULTILINE):
                return match
            if time.monotonic() > deadline or not alive:
                raise AssertionError(f"no {pattern!r} on the screen:\n{self.screen()}")

    def cursor(self) -> str:
        """Return the first row that is shown in reverse: that of the cursor, else the status bar."""
        self._pump(0)
        for number in range(self._screen.lines):
            if self._screen.buffer[number][0].reverse:
                return self._row(number).rstrip()
        return ""

    def _row(self, number: int) -> str:
        # Not `display` of pyte: it fails where half of a wide character was overwritten.
        cells = self._screen.buffer[number]
        return "".join(cells[column].data for column in range(self._screen.columns))

    def wait_cursor(self, pattern: str, timeout_s: float = 15) -> None:
        """Wait until the cursor is on a row that shows a pattern."""
        deadline = time.monotonic() + timeout_s
        while not re.search(pattern, self.cursor()):
            assert time.monotonic() < deadline, f"the cursor is not on {pattern!r}:\n{self.screen()}"
            self._pump(0.02)

    def wait_gone(self, pattern: str, timeout_s: float = 15) -> None:
        """Wait until the screen no longer shows a pattern."""
        deadline = time.monotonic() + timeout_s
        while re.search(pattern, self.screen(), re.MULTILINE):
            assert time.monotonic() < deadline, f"still {pattern!r} on the screen:\n{self.screen()}"
            self._pump(0.02)

    def wait_end(self, timeout_s: float = 15) -> int:
        """Wait until the program has ended; return its exit status."""
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None:
            self._pump(0.02)
            assert time.monotonic() < deadline, f"it did not end:\n{self.screen()}"
        self._pump(0)
        return self.process.returncode

    def restored(self) -> bool:
        """Tell whether the terminal is as it was: modes, no alternate screen, the cursor shown."""
        self._pump(0)
        away = self.sent.rfind(b"\x1b[?1049l") > self.sent.rfind(b"\x1b[?1049h")
        cursor = self.sent.rfind(b"\x1b[?25h") >= self.sent.rfind(b"\x1b[?25l")
        return termios.tcgetattr(self._child) == self.modes and away and cursor

    def _pump(self, wait_s: float) -> bool:
        while select.select([self.fd], [], [], wait_s)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return False
            if not data:
                return False
            self.sent += data
            self._stream.feed(data)
            wait_s = 0.002
        return self.process.poll() is None

    # -- life --------------------------------------------------------------------------------

    def close(self) -> None:
        """End the program whatever it does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.fd)
        os.close(self._child)

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def edit_with(folder: Path, script: str) -> str:
    """Return an $EDITOR that runs a Python script on the file; `text` is what it holds, and what it will."""
    path = folder / "editor.py"
    path.write_text(
        "import pathlib, sys\npath = pathlib.Path(sys.argv[-1])\ntext = path.read_text()\n"
        f"{script}\npath.write_text(text)\n"
    )
    return f"{sys.executable} {path}"
