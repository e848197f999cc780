"""What search and show print: safe in a terminal, plain in a pipe, exact for programs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from agent import output
from agent.app import Agent
from agent.config.paths import Paths
from agent.core.message import Message
from agent.demo.server import DemoServer, demo_config

EVIL = b"\x1b]0;pwned\x07\x9b31m"


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        return self.bytes.getvalue().decode()


@pytest.fixture
def evil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Message]:
    """A message whose every field tries to reach the terminal."""
    with DemoServer(later=None, answer_after=None, samples=False) as server:
        server.deliver(
            b'From: "Eve ' + EVIL + b'" <eve@elsewhere.example>\r\nTo: robin@demo.example\r\nSubject: S '
            + EVIL + b'\r\nMessage-ID: <evil@elsewhere.example>\r\nDate: Mon, 02 Nov 2026 10:00:00 +0100\r\n'
            b'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nBody ' + EVIL
            + b'\r\n--b\r\nContent-Disposition: attachment; filename="' + EVIL + b'.txt"\r\n\r\nx\r\n--b--\r\n'
        )  # fmt: skip
        agent = Agent(demo_config(server), Paths.under(tmp_path_factory.mktemp("a")))
        agent.start()
        agent.serve(lazy=True)
        account = agent.context.accounts["demo"]
        account.sync().wait(20)
        message = account.inbox[0]
        message.fetch().wait(20)
        yield message
        agent.stop()


def clean(text: str) -> bool:
    return not {"\x1b", "\x07", "\x9b", "\x00"} & set(text)


@pytest.mark.parametrize("raw", [False, True])
def test_nothing_of_a_message_reaches_a_terminal_raw(evil: Message, raw: bool) -> None:
    out = Terminal()
    output.write_message(evil, out, raw=raw, as_json=False)
    output.write_list([evil], out, as_json=False)
    assert clean(out.text)
    assert "pwned" in out.text


def test_in_a_pipe_the_bytes_are_those_of_the_server(evil: Message) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    output.write_message(evil, out, raw=True, as_json=False)
    assert out.buffer.getvalue() == evil.raw  # type: ignore[attr-defined]


def test_lines_are_clean_in_a_pipe_too(evil: Message) -> None:
    out = io.StringIO()
    output.write_list([evil], out, as_json=False)
    assert clean(out.getvalue())
    assert len(out.getvalue().splitlines()) == 1


def test_json_has_the_fields_of_the_contract(evil: Message) -> None:
    out = io.StringIO()
    output.write_list([evil], out, as_json=True)
    [found] = json.loads(out.getvalue())
    assert clean(out.getvalue())
    assert list(found) == [
        "id", "message_id", "thread", "account", "folder", "date", "from", "to", "cc", "subject", "flags",
        "tags", "size", "snippet",
    ]  # fmt: skip
    assert found["message_id"] == "evil@elsewhere.example"
    assert found["date"].startswith("2026-11-02T09:00:00")
    assert (found["account"], found["folder"]) == ("demo", "INBOX")


def test_what_a_script_prints_cannot_command_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    with output.shown_safely():
        print("\x1b]0;pwn\x07subject")
    assert "\x1b" not in screen.getvalue()
    assert screen.getvalue().endswith("subject\n")
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stdout", pipe)
    with output.shown_safely():
        print("\x1b[1mas it is")
    assert pipe.getvalue() == "\x1b[1mas it is\n"
