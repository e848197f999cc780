from __future__ import annotations

import asyncio

from prompt_toolkit.application import Application, create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.layout import Layout
from prompt_toolkit.output import DummyOutput

from agent.console.secretline import SecretLine


def answers(sent: str, questions: int = 1) -> list[str | None]:
    """Type into the line; return the answers to so many questions."""
    given: list[str | None] = []

    async def main() -> None:
        line = SecretLine(lambda: app.exit() if not line.waiting else None)
        for number in range(questions):
            line.ask(f"Password {number}", given.append)
        app: Application[None] = Application(Layout(line.window))
        app.ttimeoutlen = 0.01
        piped.send_text(sent)
        await app.run_async()

    with create_pipe_input() as piped, create_app_session(input=piped, output=DummyOutput()):
        asyncio.run(main())
    return given


def test_what_is_typed_is_the_answer() -> None:
    assert answers("secret\r") == ["secret"]


def test_questions_are_asked_one_after_the_other() -> None:
    assert answers("one\rtwo\r", questions=2) == ["one", "two"]


def test_escape_and_ctrl_c_give_no_answer() -> None:
    assert answers("half\x03") == [None]
    assert answers("half\x1b") == [None]


def test_what_was_typed_is_not_found_by_going_back() -> None:
    assert answers("secret\r\x1b[A\r", questions=2) == ["secret", ""]


def test_nobody_there_is_no_answer() -> None:
    given: list[str | None] = []
    line = SecretLine(lambda: None)
    line.ask("Password", given.append)
    line.abandon()
    assert given == [None]
    assert not line.waiting
