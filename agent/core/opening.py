"""Open the store at the start: finish what was cut off, and rebuild a damaged file. On the main thread."""

from __future__ import annotations

import logging
import resource
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

_FILES, _FILES_OF_ACCOUNT = 256, 12  # open at a time; an account has two connections, a bell, a reader


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


def allow_files(accounts: int) -> None:
    """Let the process open as many files as so many accounts need, where the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES + _FILES_OF_ACCOUNT * accounts
    if hard != resource.RLIM_INFINITY and hard < wanted:
        _log.warning("%d accounts need up to %d open files, and ulimit -Hn is %d", accounts, wanted, hard)
        wanted = hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def left_behind(found: Census) -> str:
    """Return what to tell of an account that the store knows and config.yaml does not."""
    waits = found.waiting()
    return (
        f"account {found.name!r} is not in config.yaml: its {found.messages:,} messages are kept"
        + (f", and {waits} wait" if waits else "")
        + f"; put it back under accounts:, or tell its new name: agent account rename {found.name} NEW"
    )
