"""What the tests of hooks, rules and replies share: an agent with automation, and mail for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message as Parsed
from typing import Any

import pytest

from agent import api
from agent.app import Agent
from agent.core.account import Account
from agent.core.job import Job, Jobs
from agent.core.message import Message
from tests.harness.agents import Agents, TestClock
from tests.harness.dovecot import Dovecot
from tests.harness.sink import Sink, Stored


class Desk:
    """One user's agent, which answers mail by itself; `clock` is its clock."""

    def __init__(self, make_agent: Agents, dovecot: Dovecot, sink: Sink, user: str) -> None:
        self.make_agent, self.dovecot, self.sink, self.user = make_agent, dovecot, sink, user
        self.clock = TestClock(time.time())
        self.address = f"{user}@example.org"
        self._number = 0

    def open(self, register: Callable[[Agent], None] = lambda agent: None, **options: Any) -> Agent:
        """Start the agent, let `register` add hooks and rules, and take the base line."""
        self.agent = self.make_agent(
            self.user, clock=self.clock, serve=False, automation=True, fetch={"idle": False}, **options
        )
        api.activate(self.agent.context)
        register(self.agent)
        self.agent.serve(lazy=True)
        self.work.sync().wait(20)
        return self.agent

    def reopen(self, register: Callable[[Agent], None] = lambda agent: None, **options: Any) -> Agent:
        """Stop the agent and start another on the same data."""
        self.make_agent.stop(self.agent)
        return self.open(register, **options)

    @property
    def work(self) -> Account:
        return self.agent.context.accounts["work"]

    @property
    def told(self) -> list[str]:
        """What the user was told so far."""
        return list(self.agent.context.messages)

    def letter(self, sender: str = "bob@example.com", text: str = "Are you there?", **headers: str) -> bytes:
        """Return mail for this user; `headers` replace the usual ones, an empty one takes it out."""
        self._number += 1
        fields = {
            "From": f"Bob <{sender}>",
            "To": f"Ann <{self.address}>",
            "Subject": f"Question {self._number}",
            "Message-ID": f"<{self.user}.{self._number}@example.com>",
            "Date": "Mon, 02 Nov 2026 10:00:00 +0000",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        return f"{head}\r\n{text}\r\n".encode()

    def deliver(
        self, sender: str = "bob@example.com", *, envelope: str | None = None, **headers: str
    ) -> None:
        """Deliver one message to the INBOX."""
        path = sender if envelope is None else envelope
        self.dovecot.deliver(self.user, self.letter(sender, **headers), path)

    def settle(self, account: str = "work") -> None:
        """Sync, and wait until everything is handled and sent."""
        self.agent.context.accounts[account].sync().wait(20)
        assert self.agent.wait_idle(20), self.agent.pending()

    def newest(self) -> Message:
        found = self.work.inbox.first()
        assert found is not None
        return found

    def agent_jobs(self) -> list[Job]:
        """Return what was asked for, newest first."""
        return list(Jobs(self.agent.context))

    def replies(self) -> list[tuple[Stored, Parsed]]:
        """Return what was sent, parsed."""
        return [(stored, message_from_bytes(stored.data)) for stored in self.sink.messages]


@pytest.fixture
def desk(make_agent: Agents, dovecot: Dovecot, sink: Sink, user: str) -> Iterator[Desk]:
    """An agent with automation, not started yet: `desk.open(register)`."""
    yield Desk(make_agent, dovecot, sink, user)
    api.activate(None)
