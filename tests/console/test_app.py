"""The console on the demo account, as a person has it before them."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.console import Console, edit_with


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    editor = edit_with(tmp_path, "text = text.replace('\\n\\n', '\\n\\nSee you there.\\n', 1)")
    with Console(["demo"], env={"EDITOR": editor, "VISUAL": ""}) as console:
        console.wait("Inbox .* unread of ")
        yield console


def cursor_line(console: Console) -> str:
    """The row under the cursor."""
    rows = console.screen().split("\n")
    for number, row in enumerate(rows[:-2]):
        if console._screen.buffer[number][0].reverse:
            return row
    raise AssertionError(f"no cursor:\n{console.screen()}")


def test_the_list_moves_opens_and_goes_back(console: Console) -> None:
    rows = console.screen().split("\n")
    console.type("3j")
    assert cursor_line(console) == rows[3]
    console.type("k")
    console.type("G")
    console.wait("End")
    console.type("gg")
    console.wait("Top")
    console.type("<enter>")
    console.wait("^From:")
    console.type("J")
    console.type("K")
    console.type("q")
    console.wait("Inbox .* of ")
    assert cursor_line(console)[:40] == rows[0][:40]
