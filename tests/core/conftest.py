"""Agents for the tests of the core."""

from __future__ import annotations

from tests.core.automation import desk
from tests.harness.agents import make_agent

__all__ = ["desk", "make_agent"]
