from __future__ import annotations

from pathlib import Path

import pytest

from agent import builtin
from agent.app import Agent
from agent.config.load import load_text
from agent.config.paths import Paths


@pytest.fixture
def idle(tmp_path: Path) -> Agent:
    """An agent with the built-in commands that was never started."""
    config = "accounts: {work: {address: ann@example.org, local: true}}"
    agent = Agent(load_text(config, "config.yaml"), Paths.under(tmp_path))
    builtin.install(agent.context)
    return agent
