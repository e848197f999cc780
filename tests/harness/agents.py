"""Real agents for tests: on users of the Dovecot, with an SMTP sink, stopped when the test is over.

agent = make_agent(user)
work = agent.context.accounts["work"]
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.app import Agent
from agent.clock import Clock
from agent.config.load import load_text
from agent.config.paths import Paths
from agent.core.account import Account
from agent.core.messages import Messages
from agent.mail import query
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot
from tests.harness.sink import Sink

MakeAgent = Callable[..., Agent]


class TestClock:
    """A clock that a test moves: wall clock and monotonic clock apart."""

    __test__ = False

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self._now, self._monotonic = now, 1000.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
        self._monotonic += seconds

    def set_back(self, seconds: float) -> None:
        """Set the wall clock back, as a correction of it does."""
        self._now -= seconds


class Agents:
    """Makes agents and stops them; `folder` is where the data of the first kind lies."""

    def __init__(self, dovecot: Dovecot, sink: Sink, folder: Path) -> None:
        self._dovecot = dovecot
        self._sink = sink
        self._folder = folder
        self._running: list[Agent] = []
        self._children: list[subprocess.Popen[str]] = []

    @property
    def paths(self) -> Paths:
        """Where the agents of this test keep their data, unless they are given other paths."""
        return Paths.from_environment(self.environment())

    def environment(self) -> dict[str, str]:
        """Return the variables that lead a program to the same data folder."""
        return {
            "AGENT_CONFIG": str(self._folder / "config"),
            "AGENT_DATA": str(self._folder / "data"),
            "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"],
        }

    def config(self, *users: str, **options: Any) -> str:
        """Return a config.yaml: account `work` for the first user, `home` for the second.

        `imap` and `smtp` change what is said of the servers; other options stand on the account.
        """
        accounts = {}
        for name, user in zip(("work", "home", "third"), users, strict=False):
            imap = {
                "host": self._dovecot.host, "port": self._dovecot.ports["imaps"], "user": user,
                "ca": str(self._dovecot.ca_file), "password": self._dovecot.password,
            } | options.get("imap", {})  # fmt: skip
            smtp = {
                "host": self._sink.host, "port": self._sink.port, "security": "none", "auth": "none",
            } | options.get("smtp", {})  # fmt: skip
            more = {key: value for key, value in options.items() if key not in ("imap", "smtp")}
            accounts[name] = {"address": f"{user}@example.org", "imap": imap, "smtp": smtp, **more}
        return str(yaml.safe_dump({"accounts": accounts}))

    def __call__(
        self, *users: str, clock: Clock | None = None, serve: bool = True, lazy: bool = False,
        automation: bool = False, may_own: bool = True, fill: bool = False, **options: Any,
    ) -> Agent:  # fmt: skip
        """Return a running agent on the data folder of this test.

        It syncs by itself unless `lazy`; bodies of old mail come only on demand unless `fill`.
        """
        config = load_text(self.config(*users, **options), "config.yaml")
        agent = Agent(config, self.paths, clock=clock, automation=automation, may_own=may_own)
        agent.start()
        self._running.append(agent)
        if serve:
            agent.serve(lazy=lazy, fill=fill)
        return agent

    def stop(self, agent: Agent) -> None:
        """Stop one of the agents."""
        self._running.remove(agent)
        agent.stop()

    def spawn(self, *arguments: str, users: tuple[str, ...], **options: Any) -> subprocess.Popen[str]:
        """Start `agent ARGUMENTS` as a process of its own on the same data folder."""
        paths = self.paths
        paths.config_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        paths.config_file.write_text(self.config(*users, **options))
        paths.config_file.chmod(0o600)
        child = subprocess.Popen(
            [sys.executable, "-m", "agent", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **self.environment()},
        )  # fmt: skip
        self._children.append(child)
        return child

    def stop_all(self) -> None:
        """Stop what still runs."""
        for child in self._children:
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
            child.communicate()
        while self._running:
            self._running.pop().stop()


@pytest.fixture
def make_agent(dovecot: Dovecot, sink: Sink, tmp_path: Path) -> Iterator[Agents]:
    """Make agents: `make_agent(user, fetch={"idle": False})`."""
    agents = Agents(dovecot, sink, tmp_path)
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(agents.stop_all)
        yield agents


def work_of(agent: Agent, name: str = "work") -> Account:
    """Return an account of an agent."""
    return agent.context.accounts[name]


def synced(agent: Agent, name: str = "work") -> Account:
    """Sync an account and return it."""
    account = work_of(agent, name)
    account.sync().wait(30)
    return account


def mail(number: int | str, body: str = "Hello.\r\n", **headers: str) -> bytes:
    """Return a message with a subject, a Message-ID and a date of its own."""
    fields = {
        "From": "Bob <bob@example.com>",
        "To": "Ann <ann@example.org>",
        "Subject": f"number {number}",
        "Message-ID": f"<m{number}@example.com>",
        "Date": f"Mon, 02 Nov 2026 10:{number % 60 if isinstance(number, int) else 0:02d}:00 +0000",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return (head + "\r\n" + body).encode()


Copy = tuple[str, int, tuple[str, ...]]


def on_server(dovecot: Dovecot, user: str) -> dict[str, list[Copy]]:
    """Return what the server holds: folder -> (subject, UID, flags) in the order of UIDs."""
    text = dovecot.doveadm(
        "-f", "tab", "fetch", "-u", user, "mailbox uid flags hdr.subject", "mailbox", "*", "all"
    )
    found: dict[str, list[Copy]] = {}
    for line in text.splitlines()[1:]:
        folder, uid, flags, subject = line.split("\t")
        words = tuple(sorted(flag for flag in flags.split() if flag != "\\Recent"))
        found.setdefault(folder, []).append((subject, int(uid), words))
    return {folder: sorted(copies, key=lambda copy: copy[1]) for folder, copies in found.items()}


def in_store(account: Account) -> dict[str, list[Copy]]:
    """Return what the agent shows of an account, in the same form."""
    wire = {"seen": "\\Seen", "flagged": "\\Flagged", "answered": "\\Answered", "draft": "\\Draft",
            "deleted": "\\Deleted", "forwarded": "$Forwarded"}  # fmt: skip
    found: dict[str, list[Copy]] = {}
    for message in Messages(account._context, query.InAccount(account.name)):
        assert message.folder is not None
        words = sorted([wire[flag] for flag in message.flags] + list(message.tags))
        found.setdefault(message.folder.name, []).append((message.subject, message.uid or 0, tuple(words)))
    return {folder: sorted(copies, key=lambda copy: copy[1]) for folder, copies in found.items()}


def assert_equal(account: Account, dovecot: Dovecot, user: str) -> None:
    """Assert that server and store hold the same, after all that was under way has come to an end."""

    def same() -> bool:
        here, there = in_store(account), on_server(dovecot, user)
        if here != there:
            raise AssertionError(f"shown: {here}\nserver: {there}")
        return True

    eventually(same, timeout_s=20, interval_s=0.1)
