"""agent.log: one file, 0600, in plain lines; nothing of it reaches the terminal."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

_SIZE, _KEEP = 1 << 20, 3


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Write what the agent logs to a file while the block runs; mail data is escaped.

    Of other libraries only warnings: nothing of theirs may land on the screen.
    """
    handler = _Private(path, maxBytes=_SIZE, backupCount=_KEEP, encoding="utf-8")
    handler.setFormatter(_Escaped("%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"))
    top, ours = logging.getLogger(), logging.getLogger("agent")
    level = ours.level
    top.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        top.removeHandler(handler)
        ours.setLevel(level)
        handler.close()


class _Private(RotatingFileHandler):
    """A log that only its owner may read, also after it was begun anew; a full disk stops nothing."""

    def _open(self) -> TextIOWrapper:
        file = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(file, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: the terminal belongs to the console."""


class _Escaped(logging.Formatter):
    """Makes control characters visible, for a log is read in terminals too; a record is one paragraph."""

    def format(self, record: logging.LogRecord) -> str:
        first, *more = super().format(record).split("\n")
        return "\n    ".join(_visible(line) for line in (first, *more))


def _visible(line: str) -> str:
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in line)
