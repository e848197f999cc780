"""agent.log: one file, 0600, in plain lines; nothing of it reaches the terminal."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

_SIZE, _KEEP = 1 << 20, 3


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Write what the agent logs to a file while the block runs; mail data is escaped."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
    handler = RotatingFileHandler(path, maxBytes=_SIZE, backupCount=_KEEP, encoding="utf-8")
    handler.setFormatter(_Escaped("%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"))
    logger = logging.getLogger("agent")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()


class _Escaped(logging.Formatter):
    """Makes control characters visible: a log is read in terminals too."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)
