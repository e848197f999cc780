"""The pane in an application of its own, without a terminal; and what it relies on in ptpython."""

from __future__ import annotations

import asyncio
import inspect
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from prompt_toolkit.application import Application, create_app_session
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.layout import Layout
from prompt_toolkit.output import DummyOutput
from ptpython.python_input import PythonInput

from agent.repl.pane import Pane, Prompt
from agent.repl.transcript import Transcript


class Told:
    """What the pane called."""

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.calls: list[str] = []
        self.running = False

    def interrupt(self) -> bool:
        self.calls.append("interrupt")
        return self.running


def drive(
    tmp_path: Path, keys: str, running: bool = False, mode: EditingMode = EditingMode.EMACS
) -> tuple[Told, Pane, list[str]]:
    """Send keys to a pane; return what it did."""
    told, transcript = Told(), Transcript()
    told.running = running

    async def main() -> Pane:
        pane = Pane(
            transcript,
            lambda: {"answer": 42},
            tmp_path / "history",
            told.submitted.append,
            told.interrupt,
            lambda: told.calls.append("leave"),
            lambda: told.calls.append("close"),
        )
        app: Application[None] = Application(Layout(pane.container), editing_mode=mode)
        app.ttimeoutlen = 0.01
        pane.focus(app.layout)

        def done(called: Callable[[], None] = app.exit) -> None:
            called()

        pane.prompt.default_buffer.on_text_changed += lambda buffer: buffer.text == "STOP" and done()
        piped.send_text(keys + "\x01\x0bSTOP")
        await app.run_async()
        return pane

    with create_pipe_input() as piped, create_app_session(input=piped, output=DummyOutput()):
        pane = asyncio.run(main())
    return told, pane, ["".join(part for _, part in line) for line in transcript.lines()]


def test_enter_submits_and_the_transcript_shows_what_was_typed(tmp_path: Path) -> None:
    told, _, lines = drive(tmp_path, "answer + 1\r")
    assert told.submitted == ["answer + 1"]
    assert lines == [">>> answer + 1"]


def test_several_lines_are_one_statement(tmp_path: Path) -> None:
    told, _, lines = drive(tmp_path, "def f():\rreturn 1\r\r")
    assert told.submitted == ["def f():\n    return 1"]
    assert lines == [">>> def f():", "...     return 1"]


def test_an_empty_line_submits_nothing(tmp_path: Path) -> None:
    assert drive(tmp_path, "  \r")[0].submitted == []


def test_top_level_await_is_no_syntax_error(tmp_path: Path) -> None:
    assert drive(tmp_path, "await something\r")[0].submitted == ["await something"]


def test_ctrl_c_interrupts_what_runs_else_it_clears_the_line(tmp_path: Path) -> None:
    told, _, _ = drive(tmp_path, "half\x03x\r", running=False)
    assert (told.calls, told.submitted) == (["interrupt"], ["x"])
    told, _, _ = drive(tmp_path, "half\x03x\r", running=True)
    assert (told.calls, told.submitted) == (["interrupt"], ["halfx"])


def test_ctrl_o_leaves_and_ctrl_d_closes(tmp_path: Path) -> None:
    told, _, _ = drive(tmp_path, "\x0f\x04")
    assert told.calls == ["leave", "close"]


def test_the_history_is_private(tmp_path: Path) -> None:
    drive(tmp_path, "secret = 1\r")
    assert stat.S_IMODE((tmp_path / "history").stat().st_mode) == 0o600


def test_keys_that_would_take_the_screen_away_do_nothing(tmp_path: Path) -> None:
    told, _, _ = drive(tmp_path, "\x1bOQ\x1bOR\x1bOS1\r")
    assert told.submitted == ["1"]


def test_no_property_is_evaluated_while_one_types(tmp_path: Path) -> None:
    _, pane, _ = drive(tmp_path, "x\r")
    assert not pane.prompt.enable_dictionary_completion


@pytest.mark.parametrize("name", ["_accept_handler", "get_compiler_flags", "_create_buffer"])
def test_ptpython_still_has_the_hooks_that_are_overridden(name: str) -> None:
    assert callable(getattr(PythonInput, name))


def test_ptpython_still_takes_the_private_arguments(tmp_path: Path) -> None:
    parameters = inspect.signature(PythonInput.__init__).parameters
    assert {"create_app", "_completer", "_input_buffer_height", "history_filename"} <= set(parameters)
    prompt = Prompt(dict, tmp_path / "history", print)
    assert prompt._current_style is not None
    assert prompt.ptpython_layout.root_container is not None
