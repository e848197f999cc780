"""`agent init`: writes a commented config.yaml and init.py to begin with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import resources

from agent.config.paths import Paths, ensure_private


def write_starters(paths: Paths, *, force: bool = False) -> Iterator[str]:
    """Write the files that are not there yet, 0600; yield what was done, one line each."""
    ensure_private(paths.config_dir)
    templates = resources.files("agent") / "starters"
    for path in (paths.config_file, paths.init_file):
        if path.exists() and not force:
            yield f"kept {path}"
            continue
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write((templates / path.name).read_text(encoding="utf-8"))
        path.chmod(0o600)
        yield f"wrote {path}"
    yield "next: edit config.yaml, then run `agent doctor`"
