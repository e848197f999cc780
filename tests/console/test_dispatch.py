from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.app import Agent
from agent.console.dispatch import Dispatcher
from agent.console.notices import Notices
from agent.console.views.list import ListView
from agent.console.views.view import Stack
from agent.core.commands import command
from agent.core.keymap import KeySequence
from agent.core.message import Message
from agent.core.messages import Messages
from agent.errors import CommandError
from agent.mail import query
from agent.repl import Runner, Transcript
from tests.console.mailbox import NOW, Letter, Shelf
from tests.harness.demo import Recorder


class Desk:
    """A dispatcher on a list of three messages: 11, 12, 13."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.notices = Notices(lambda: NOW)
        source = Shelf([Letter(str(n)) for n in (11, 12, 13)])
        self.view = ListView(source, "Inbox", lambda: source.revision, lambda: NOW)
        self.view.create_content(80, 20)
        self.transcript = Transcript()
        self.runner = Runner({}, self.transcript)
        self.posted: list[Callable[[], None]] = []
        self.screen = Recorder()
        self.dispatcher = Dispatcher(
            agent.context, Stack(self.view), self.runner, self.notices, self.posted.append
        )
        self.dispatcher.screen = self.screen  # type: ignore[assignment]

    def type(self, keys: str) -> list[tuple[Any, ...]]:
        """Press keys; return what the screen was asked."""
        for key in KeySequence.parse(keys).keys:
            self.dispatcher.press(key)
        calls, self.screen.calls = self.screen.calls, []
        return calls

    def run_main(self) -> None:
        """Run what was queued for main, then what it posted back."""
        self.runner.quietly(self.runner.stop)
        self.runner.run()
        for work in self.posted:
            work()

    @property
    def told(self) -> str:
        return "".join(text for _, text in self.notices.line)


@pytest.fixture
def desk(idle: Agent) -> Desk:
    return Desk(idle)


def add(desk: Desk, function: Any, key: str = "X") -> None:
    added = desk.agent.context.commands.add(function)
    desk.agent.context.keymap.bind(key, added.name, "index")


def test_keys_run_commands_with_counts(desk: Desk) -> None:
    assert desk.type("j") == [("move", 1)]
    assert desk.type("12j") == [("move", 12)]
    assert desk.type("3gg") == [("go_to", 3)]
    assert desk.type("ZZ") == [("quit",)]


def test_a_key_that_means_nothing_is_told_once(desk: Desk) -> None:
    desk.type("x")
    assert desk.told == "x is not bound here; ? shows the keys"
    desk.type("j")
    assert desk.told == ""
    desk.type("Escape")
    assert desk.told == ""


def test_what_waits_is_shown_and_ctrl_c_forgets_it(desk: Desk) -> None:
    desk.type("3g")
    assert desk.dispatcher.walker.pending == "3g"
    assert desk.dispatcher.knows("g")
    assert not desk.dispatcher.knows("x")
    desk.type("C-c")
    assert desk.dispatcher.walker.pending == ""
    assert "nothing runs" in desk.told


def test_what_is_missing_opens_the_command_line(desk: Desk) -> None:
    assert desk.type("s") == [("command_line", "move ")]


def test_an_expected_error_is_one_line(desk: Desk) -> None:
    @command(ui=True)
    def refuse() -> None:
        raise CommandError("not today")

    add(desk, refuse)
    desk.type("X")
    assert desk.told == "not today"
    desk.dispatcher.run("nonsense")
    assert desk.told.startswith("unknown command 'nonsense'")


def test_an_unexpected_error_of_a_command_is_told_and_logged(desk: Desk) -> None:
    @command(ui=True)
    def fail() -> None:
        raise ValueError("odd")

    add(desk, fail)
    desk.type("X")
    assert desk.told == "fail: ValueError: odd"


def test_a_result_is_shown(desk: Desk) -> None:
    @command(ui=True)
    def say() -> str:
        return "hello"

    add(desk, say)
    desk.type("X")
    assert desk.told == "hello"


def test_a_users_command_runs_on_main_with_what_was_current_when_the_key_was_pressed(desk: Desk) -> None:
    seen: list[object] = []

    @command()
    def look(sel: Messages, msg: Message) -> str:
        seen.extend([sel.query, msg.id])
        return "looked"

    add(desk, look)
    desk.view.move(1)
    desk.type("X")
    desk.view.move(1)
    assert seen == []
    desk.run_main()
    assert [str(one) for one in seen] == [str(Messages(desk.agent.context, _ids(12)).query), "12"]
    assert desk.told == "looked"
    assert getattr(desk.runner.namespace["msg"], "id", "") == "12"


def _ids(*numbers: int) -> query.Ids:
    return query.Ids(numbers)


def test_marked_messages_are_the_selection(desk: Desk) -> None:
    seen: list[object] = []

    @command()
    def look(sel: Messages) -> None:
        seen.append(sel.query)

    add(desk, look)
    desk.view.toggle_mark()
    desk.view.toggle_mark()
    desk.type("X")
    desk.run_main()
    assert seen == [_ids(11, 12)]


def test_errors_of_a_users_command_come_back(desk: Desk) -> None:
    @command()
    def fail() -> None:
        raise ZeroDivisionError("by zero")

    add(desk, fail)
    desk.type("X")
    desk.run_main()
    assert desk.told == "fail: ZeroDivisionError: by zero"


def test_a_question_takes_the_next_key(desk: Desk) -> None:
    answers: list[str] = []
    desk.dispatcher.ask("Really?", {"y": lambda: answers.append("yes")})
    assert desk.told == "Really?"
    assert desk.type("y") == []
    desk.dispatcher.ask("Really?", {"y": lambda: answers.append("yes")})
    assert desk.type("j") == []
    assert answers == ["yes"]
    assert desk.type("j") == [("move", 1)]
