"""Small batches and short waits, so that a few messages take as many steps as thousands do."""

from __future__ import annotations

from types import ModuleType

from agent.core import (
    appends,
    background,
    exchange,
    inbound,
    outbound,
    patience,
    replay,
    requests,
    sync,
    verbs,
)

SIZES: tuple[tuple[ModuleType, str, object], ...] = (
    (sync, "_LISTING", (6, 12)),
    (sync, "_ROWS", 4),
    (sync, "_ARRIVALS", 3),
    (background, "_ROWS", 5),
    (background, "_INDEXED", 8),
    (requests, "_MESSAGES", 3),
    (requests, "_PUBLISHED_S", 0.0),
    (verbs, "_BULK", 8),
    (replay, "_PIECE", 4),
    (appends, "_MOST", 5),
    (exchange, "_ROWS", 5),
    (inbound, "_GLANCE_S", 1000.0),
    (inbound, "BACKOFF_S", (0.02, 0.1)),
    (patience, "BACKOFF_S", (0.02, 0.1)),
    (patience, "_AT_ONCE_S", 0.01),
    (replay, "_PAUSE_S", (0.05, 0.2)),
    (outbound, "_RETRY_S", (0.02, 0.05)),
)


def shrink() -> None:
    """Change the sizes for this process."""
    for module, name, value in SIZES:
        if hasattr(module, name):
            setattr(module, name, value)
