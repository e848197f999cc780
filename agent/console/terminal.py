"""The terminal the console was started on: lent to other programs as it was found, given back in the end."""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Leave the alternate screen, show the cursor, end bracketed paste and colours.
_PLAIN = b"\x1b[?1049l\x1b[?25h\x1b[?2004l\x1b[0m\r\n"


@dataclass(frozen=True, slots=True)
class Terminal:
    """Descriptors of our own for reading and writing, and the modes it had before."""

    reading: int
    writing: int
    modes: list[Any]

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Give it its old modes for a while; prompt_toolkit's own way leaves some of them changed."""
        ours = termios.tcgetattr(self.reading)
        termios.tcsetattr(self.reading, termios.TCSADRAIN, self.modes)
        try:
            yield
        finally:
            termios.tcsetattr(self.reading, termios.TCSADRAIN, ours)

    def stop_program(self) -> None:
        """Stop the program as Ctrl-Z does; returns when it is continued."""
        with self.lent():
            # To this very thread, so that it does not run on before the stop takes effect.
            signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)

    def restore(self, *, crashed: bool) -> None:
        """Put it back, also when prompt_toolkit could not; a terminal that is gone is no error."""
        with contextlib.suppress(OSError, termios.error):
            termios.tcsetattr(self.reading, termios.TCSADRAIN, self.modes)
            if crashed:
                os.write(self.writing, _PLAIN)
