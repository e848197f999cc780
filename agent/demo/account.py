"""The demo account as every command uses it: a server on loopback and a throw-away data folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.config.paths import Paths
from agent.config.schema import Config
from agent.demo.server import DemoServer, demo_config


@contextmanager
def demo() -> Iterator[tuple[Config, Paths]]:
    """Run the demo server while the block runs; everything is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="agent-demo.") as folder, DemoServer() as server:
        yield demo_config(server), Paths.under(Path(folder))
