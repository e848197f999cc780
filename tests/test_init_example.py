"""Each block of init.example.py loads by itself, and the whole file does what it says, on the demo server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path

import pytest

from agent import api, builtin, userconf
from agent.app import Agent
from agent.config.paths import Paths
from agent.core.keymap import CONTEXTS
from agent.core.message import Message
from agent.demo.server import DemoServer, demo_config
from tests.harness.agents import TestClock
from tests.harness.conditions import eventually

EXAMPLE = Path(__file__).parents[1] / "init.example.py"
HEAD, *BLOCKS = re.split(r"^# %% ", EXAMPLE.read_text(), flags=re.MULTILINE)
JULY = 1_782_900_000.0  # 2026-07-01: the vacation of the example is on

Load = Callable[[str], Agent]


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(later=None, answer_after=None, samples=False, clock=TestClock(JULY)) as server:
        yield server


@pytest.fixture
def load(server: DemoServer, tmp_path: Path) -> Iterator[Load]:
    """Start an agent on the demo server with some init.py, which must load without a problem."""
    agents: list[Agent] = []

    def start(text: str) -> Agent:
        paths = Paths.under(tmp_path)
        paths.config_dir.mkdir(mode=0o700, exist_ok=True)
        paths.init_file.write_text(text)
        paths.init_file.chmod(0o600)
        agent = Agent(demo_config(server), paths, clock=TestClock(JULY), automation=True)
        agent.start()
        agents.append(agent)
        builtin.install(agent.context)
        # Like the second time the program is started: the folders are known by then.
        agent.serve(lazy=True)
        for account in agent.context.accounts.values():
            account.sync().wait(20)
        assert userconf.load(agent.context, paths.init_file) == []
        return agent

    yield start
    for agent in agents:
        agent.stop()
    api.activate(None)


def letter(sender: str, to: str = "robin@demo.example", text: str = "Hello.", **headers: str) -> bytes:
    fields = {
        "From": sender,
        "To": to,
        "Subject": "Hello",
        "Message-ID": f"<{time.monotonic_ns()}@test.example>",
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return ("".join(f"{name}: {value}\r\n" for name, value in fields.items()) + f"\r\n{text}\r\n").encode()


def settle(agent: Agent) -> None:
    agent.context.accounts["demo"].sync().wait(20)
    assert agent.wait_idle(20), agent.pending()


def newest(agent: Agent) -> Message:
    found = agent.context.accounts["demo"].inbox.sort("-received").first()
    assert found is not None
    return found


@pytest.mark.parametrize("block", BLOCKS, ids=[block.split(".")[0] for block in BLOCKS])
def test_a_block_loads_by_itself(load: Load, block: str) -> None:
    load(f"{HEAD}# {block}")


def test_the_hook_stars_mail_from_bob(server: DemoServer, load: Load) -> None:
    agent = load(EXAMPLE.read_text())
    server.deliver(letter("Bob <bob@elsewhere.example>"))
    settle(agent)
    assert newest(agent).flagged


def test_lists_are_tagged_read_and_nothing_else(server: DemoServer, load: Load) -> None:
    agent = load(EXAMPLE.read_text())
    server.deliver(letter("Bob <bob@elsewhere.example>", List_Id="<talk.example.org>", Subject="urgent"))
    settle(agent)
    assert set(newest(agent).tags) == {"list"}
    assert not newest(agent).unread
    assert server.delivered == ()


def test_large_mail_is_tagged(server: DemoServer, load: Load) -> None:
    agent = load(EXAMPLE.read_text())
    server.deliver(letter("carol@elsewhere.example", text="0123456789abcdef\r\n" * 300_000))
    settle(agent)
    assert "large" in newest(agent).tags


def test_the_vacation_answers_and_so_does_the_receipt(server: DemoServer, load: Load) -> None:
    agent = load(EXAMPLE.read_text())
    server.deliver(letter("carol@elsewhere.example", to="support@demo.example"))
    settle(agent)
    sent = [message_from_bytes(delivered.raw) for delivered in server.delivered]
    texts = sorted(reply.get_payload().strip() for reply in sent)
    assert [text.split(",")[0].split(" and")[0] for text in texts] == ["I am away", "Thank you"]
    assert {reply["Auto-Submitted"] for reply in sent} == {"auto-replied"}


def test_urgent_mail_is_forwarded_to_the_pager(server: DemoServer, load: Load) -> None:
    agent = load(EXAMPLE.read_text())
    server.deliver(letter("carol@elsewhere.example", Subject="urgent: the pump"))
    settle(agent)
    [paged] = [found for found in server.delivered if "pager@elsewhere.example" in found.recipients]
    assert message_from_bytes(paged.raw)["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(("seconds", "headers"), [(601, {"Auto_Submitted": "auto-generated"}), (86_401, {})])
def test_the_timers_tidy_up(server: DemoServer, load: Load, seconds: float, headers: dict[str, str]) -> None:
    agent = load(EXAMPLE.read_text())
    old = letter("carol@elsewhere.example", Date="Mon, 04 May 2026 10:00:00 +0000", **headers)
    server.deliver(old)
    settle(agent)
    newest(agent).mark_read().wait(10)
    clock = agent.clock
    assert isinstance(clock, TestClock)
    clock.advance(seconds)
    agent.context.bus.wake()
    eventually(lambda: agent.context.accounts["demo"].inbox.count() == 0)


def test_the_command_and_the_keys_are_there(load: Load) -> None:
    agent = load(EXAMPLE.read_text())
    commands, keymap = agent.context.commands, agent.context.keymap
    assert "Tag the selected messages" in str(commands["park"].help)
    assert [str(binding.sequence) for binding in keymap.keys_of("park")] == [",p"]
    found = keymap.find((",", "u"), CONTEXTS).binding
    assert found is not None
    assert found.line == "search is:unread"
    assert agent.context.options["wrap"] == 80
    assert agent.context.options["automatic-per-hour"] == 10


def test_the_last_block_prints_each_account(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    load(EXAMPLE.read_text())
    assert capsys.readouterr().out == "demo: 0 unread\nhome: 0 unread\n"
