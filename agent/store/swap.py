"""Put a rebuilt store into its place, also at the next start when that was cut off. See salvage.py."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def finish(path: Path, stamp: str) -> None:
    """Complete a rebuild that was cut off when the new file was ready but not in its place."""
    if ready(path).exists():
        swap(path, path.with_name(f"{path.name}.damaged-{stamp}"))


def ready(path: Path) -> Path:
    """Return where the new file lies until it is complete."""
    return path.with_name(path.name + ".rebuilt")


def swap(path: Path, kept: Path) -> None:
    """Put the new file into the place of the damaged one, which is kept."""
    # The log first: beside the new file it would be taken for the new file's.
    for suffix in ("-wal", "-shm", "-journal", ""):
        with contextlib.suppress(FileNotFoundError):
            os.rename(path.with_name(path.name + suffix), kept.with_name(kept.name + suffix))
    os.replace(ready(path), path)
    path.with_name(path.name + ".suspect").unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Make a file or folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
