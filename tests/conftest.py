"""Fixtures for every test: real servers, broken lines, and the rules that always hold."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import builtin
from agent.app import Agent
from agent.config.load import load_text
from agent.config.paths import Paths
from tests.harness import corpora as corpora_beside
from tests.harness import dovecot as dovecot_server
from tests.harness.certificates import Authority
from tests.harness.dovecot import Dovecot
from tests.harness.proxy import Proxy
from tests.harness.sink import Sink

pytest_plugins = ["pytester", "tests.harness.always_on"]

# Read now: tests run without the caller's AGENT_ variables.
REQUIRE_DOVECOT = os.environ.get("AGENT_REQUIRE_DOVECOT") == "1"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what was not tested and why, one line per reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """A running Dovecot, one per test process; without it the test is skipped, or fails in CI."""
    reason = dovecot_server.why_missing()
    if reason and REQUIRE_DOVECOT:
        pytest.fail(f"AGENT_REQUIRE_DOVECOT=1, but: {reason}", pytrace=False)
    if reason:
        pytest.skip(reason)
    with dovecot_server.running() as server:
        yield server


@pytest.fixture
def user() -> str:
    """A user name on the Dovecot that no other test has; its mailbox is empty."""
    return f"user{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority for servers of ours."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def start_sink() -> Iterator[Callable[..., Sink]]:
    """Start SMTP sinks: `start_sink(security="starttls", context=..., accounts={...})`."""
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Sink:
            server = Sink(**options)
            server.start()
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def sink(start_sink: Callable[..., Sink]) -> Sink:
    """An SMTP sink without encryption that takes everything."""
    return start_sink()


@pytest.fixture
def start_proxy() -> Iterator[Callable[[int], Proxy]]:
    """Start fault-injecting proxies: `start_proxy(dovecot.ports["imap"])`."""
    with contextlib.ExitStack() as stack:

        def start(port: int) -> Proxy:
            proxy = Proxy(port)
            proxy.start()
            stack.callback(proxy.stop)
            return proxy

        yield start


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real messages; the test is skipped where it is absent."""
    if reason := corpora_beside.why_missing():
        pytest.skip(reason)
    return corpora_beside.CORPORA


@pytest.fixture
def idle(tmp_path: Path) -> Agent:
    """An agent with the built-in commands that was never started."""
    config = "accounts: {work: {address: ann@example.org, local: true}}"
    agent = Agent(load_text(config, "config.yaml"), Paths.under(tmp_path))
    builtin.install(agent.context)
    return agent
