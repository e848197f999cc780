from __future__ import annotations

import re
from pathlib import Path

import pytest
from prompt_toolkit.output import ColorDepth

import agent
from agent.console.style import STYLE, color_depth


def test_every_style_that_is_used_is_in_the_table() -> None:
    known = {name for name, _ in STYLE.style_rules}
    used: set[str] = set()
    for pattern in ("console/**/*.py", "repl/*.py", "mail/html*.py"):
        for path in Path(agent.__file__).parent.glob(pattern):
            used.update(re.findall(r'class:([\w.-]*[\w-])(?=[" ])', path.read_text()))
    assert used - known == set()


def test_only_colours_of_the_terminal_are_used() -> None:
    for _, style in STYLE.style_rules:
        assert not re.search(r"#[0-9a-f]{3,6}", style)


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert color_depth() is None
    monkeypatch.setenv("NO_COLOR", "1")
    assert color_depth() is ColorDepth.DEPTH_1_BIT
