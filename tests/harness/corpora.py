"""Real messages beside the repository; where they are absent, tests that need them say so and skip."""

from __future__ import annotations

from pathlib import Path

CORPORA = Path(__file__).parents[2].parent / "shared" / "corpora"


def why_missing(name: str = "") -> str | None:
    """Return why the corpora (or one of them) cannot be used, None if they can."""
    path = CORPORA / name
    return None if path.exists() else f"no corpora at {path}"
