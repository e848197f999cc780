"""Fixtures for every test: real servers to talk to."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from tests.harness import dovecot as dovecot_server
from tests.harness.dovecot import Dovecot


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """A running Dovecot, one per test process; without it the test is skipped, or fails in CI."""
    reason = dovecot_server.why_missing()
    if reason and os.environ.get("AGENT_REQUIRE_DOVECOT") == "1":
        pytest.fail(f"AGENT_REQUIRE_DOVECOT=1, but: {reason}")
    if reason:
        pytest.skip(reason)
    with dovecot_server.running() as server:
        yield server


@pytest.fixture
def user() -> str:
    """A user name on the Dovecot that no other test has; its mailbox is empty."""
    return f"user{uuid.uuid4().hex[:12]}"
