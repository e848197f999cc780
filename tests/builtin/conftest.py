from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.app import Agent
from tests.harness.demo import demo_agent


@pytest.fixture
def agent() -> Iterator[Agent]:
    """An agent on the demo account."""
    with demo_agent() as agent:
        yield agent
