"""Open the store at the start: finish what was cut off, and rebuild a damaged file. On the main thread."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agent.clock import Clock
from agent.errors import Damaged
from agent.store import swap
from agent.store.db import Store

if TYPE_CHECKING:
    from agent.store.accounts import Census

_log = logging.getLogger("agent.opening")


def open_store(store: Store, lock: Path, clock: Clock) -> str:
    """Start the store; return what a person must be told of it, empty when all is well.

    A damaged file is replaced by what can be saved of it. Raises StoreError when that cannot be done.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(clock.now()))
    swap.finish(store.path, stamp)
    try:
        store.start()
    except Damaged as damage:
        from agent.core import bodies
        from agent.store import salvage

        _log.error("%s; rebuilding it", damage)
        saved = salvage.rebuild(store.path, lock, bodies.of_bytes, stamp)
        store.start()
        _log.error("%s was rebuilt: %s", store.path, saved)
        return f"{damage}: {saved}"
    return ""


def left_behind(found: Census) -> str:
    """Return what to tell of an account that the store knows and config.yaml does not."""
    waits = found.waiting()
    return (
        f"account {found.name!r} is not in config.yaml: its {found.messages:,} messages are kept"
        + (f", and {waits} wait" if waits else "")
        + f"; put it back under accounts:, or tell its new name: agent account rename {found.name} NEW"
    )
