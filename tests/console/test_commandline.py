from __future__ import annotations

import asyncio
import stat
from pathlib import Path

from prompt_toolkit.application import Application, create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.layout import HSplit, Layout
from prompt_toolkit.output import DummyOutput

from agent.console.commandline import CommandLine
from agent.core.commands import Candidate

WORDS = ["archive", "archive-thread", "quit"]


def complete(prompt: str, text: str) -> tuple[int, list[Candidate]]:
    return 0, [Candidate(word, "help") for word in WORDS if word.startswith(text)]


def entered(
    sent: str, prompt: str = ":", text: str = "", folder: Path | None = None
) -> tuple[list[str], int]:
    """Type into the line; return what was entered, and how often the line was left."""
    accepted: list[str] = []
    left: list[bool] = []

    async def main() -> None:
        history = {":": folder / "history"} if folder else {}
        line = CommandLine(
            history, complete, lambda _, typed: accepted.append(typed), lambda: left.append(True)
        )
        app: Application[None] = Application(Layout(HSplit(list(line.windows.values()))))
        app.ttimeoutlen = 0.01
        app.layout.focus(line.open(prompt, text))

        async def feed() -> None:
            for piece in sent.split("|"):
                piped.send_text(piece)
                before = (len(accepted), len(left))
                for _ in range(20):  # completion runs as a task of the loop
                    await asyncio.sleep(0.005)
                    if (len(accepted), len(left)) != before:
                        break
            app.exit()

        task = asyncio.create_task(feed())
        await app.run_async()
        await task

    with create_pipe_input() as piped, create_app_session(input=piped, output=DummyOutput()):
        asyncio.run(main())
    return accepted, len(left)


def test_enter_leaves_and_hands_the_line_over() -> None:
    assert entered("quit\r") == (["quit"], 1)


def test_a_line_can_begin_with_text() -> None:
    assert entered("Lists\r", text="move ") == (["move Lists"], 1)


def test_escape_ctrl_c_and_backspace_on_nothing_abandon_the_line() -> None:
    for keys in ("quit|\x1b", "quit|\x03", "\x7f", "quit|\x07"):
        assert entered(keys) == ([], 1)


def test_tab_completes() -> None:
    assert entered("q|\t|\r") == (["quit"], 1)
    assert entered("arch|\t|\t|\r")[0][0].startswith("archive")


def test_a_query_is_a_line_of_its_own() -> None:
    assert entered("from:bob\r", prompt="/") == (["from:bob"], 1)


def test_the_history_is_kept_in_a_private_file(tmp_path: Path) -> None:
    entered("quit\r", folder=tmp_path)
    assert stat.S_IMODE((tmp_path / "history").stat().st_mode) == 0o600
    assert "quit" in (tmp_path / "history").read_text()
    assert entered("\x1b[A|\r", folder=tmp_path)[0] == ["quit"]
