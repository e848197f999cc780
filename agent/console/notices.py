"""What the user is told: one line at the bottom, and all of it in the log view. Any thread tells."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

from agent.console.fragments import Line
from agent.mail.safe import safe, safe_block

_KEPT = 1_000


class Notices(logging.Handler):
    """The last lines told or logged; `line` is the one to show now."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(logging.INFO)
        self.changed: Callable[[], None] = lambda: None
        self.line: Line = []
        self._now = now
        self._all: deque[Line] = deque(maxlen=_KEPT)
        self._guard = threading.Lock()
        self._told = 0

    def start(self) -> None:
        """Listen to the agent's log."""
        logging.getLogger("agent").addHandler(self)

    def stop(self) -> None:
        """Stop listening."""
        logging.getLogger("agent").removeHandler(self)

    def tell(self, text: str, *, error: bool = False) -> None:
        """Show a line until the next key press; only its first line, the log view has the rest."""
        style = "class:error" if error else "class:told"
        first, _, rest = text.strip().partition("\n")
        self.line = [(style, str(safe(first)) + (" …  :log has it all" if rest else ""))]
        self._keep(text, "class:log.error" if error else "")
        self.changed()

    def ask(self, question: str) -> None:
        """Show a question until the next key press."""
        self.line = [("class:pending", str(safe(question)))]
        self.changed()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a log record; an error is shown too. What the user should know is told beside it."""
        text = self.format(record)
        if record.levelno >= logging.ERROR:
            self.tell(text, error=True)
        else:
            self._keep(text, "class:log.warning" if record.levelno >= logging.WARNING else "")
            self.changed()

    def clear(self) -> None:
        """Take the line away."""
        self.line = []

    def lines(self) -> Sequence[Line]:
        """Return everything that is kept, oldest first."""
        with self._guard:
            return list(self._all)

    def _keep(self, text: str, style: str) -> None:
        time = f"{self._now():%H:%M:%S}  "
        with self._guard:
            for number, line in enumerate(safe_block(text.strip()).split("\n")):
                self._all.append([("class:log.time", " " * len(time) if number else time), (style, line)])
