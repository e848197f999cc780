"""Many accounts in one agent: what they share, and the end, where nobody waits for silent servers in turn."""

from __future__ import annotations

import contextlib
import socket
import threading

from agent.core import drafting
from tests.harness.agents import Agents, synced
from tests.harness.sink import Sink


def wires() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith(("in:", "out:")))


def test_logins_under_way_are_given_up_at_the_end(make_agent: Agents, user: str) -> None:
    with contextlib.ExitStack() as stack:
        mute = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        mute.settimeout(10)
        agent = make_agent(user, user, user, imap={"port": mute.getsockname()[1]})
        for _ in range(3):
            connection = stack.enter_context(mute.accept()[0])
            assert connection.recv(1, socket.MSG_PEEK)  # it wants to shake hands, and is not answered
        assert wires() == ["in:home", "in:third", "in:work"]
        make_agent.stop(agent)
        assert wires() == []


def test_the_way_out_has_a_thread_from_the_first_mail_on(make_agent: Agents, user: str, sink: Sink) -> None:
    agent = make_agent(user)
    synced(agent)
    assert wires() == ["in:work"]
    drafting.compose(agent.context, to="bob@example.com", subject="hello", text="Dear Bob").send()
    sink.wait_for(1)
    assert wires() == ["in:work", "out:work"]
