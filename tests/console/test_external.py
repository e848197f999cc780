from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from agent.console.external import editor_command, private_file, remove, run_editor
from agent.errors import CommandError
from tests.harness.console import edit_with


@pytest.fixture
def terminal() -> tuple[int, int]:
    return 0, 1


def test_the_option_comes_before_visual_and_editor(tmp_path: Path) -> None:
    assert editor_command({"EDITOR": "cat", "VISUAL": "true"}, "sort -r") == ["sort", "-r"]
    assert editor_command({"EDITOR": "cat", "VISUAL": "true"}) == ["true"]
    assert editor_command({"EDITOR": "cat"}) == ["cat"]


def test_settings_in_the_edited_file_are_not_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("vim", "nvim", "emacs"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "set nomodeline modelines=0 noexrc" in editor_command({"EDITOR": "vim -f"})
    assert "set nomodeline modelines=0 noexrc" in editor_command({"EDITOR": str(tmp_path / "nvim")})
    assert "(setq enable-local-variables nil)" in editor_command({"EDITOR": "emacs -nw"})


@pytest.mark.parametrize(
    ("editor", "message"),
    [("no-such-editor", "'no-such-editor' was not found"), ("vim 'x", "closing quotation")],
)
def test_an_editor_that_cannot_be_run_is_named(editor: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        editor_command({"EDITOR": editor})


def test_the_file_is_private_and_its_name_ours(tmp_path: Path) -> None:
    path = private_file(tmp_path / "writing", "text\n")
    assert path.name == "message.eml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    remove(path)
    assert list((tmp_path / "writing").iterdir()) == []


def test_an_editor_changes_the_file(tmp_path: Path, terminal: tuple[int, int]) -> None:
    path = private_file(tmp_path, "text\n")
    command = edit_with(tmp_path, "text = text.upper()").split()
    run_editor(command, path, terminal)
    assert path.read_text() == "TEXT\n"


def test_an_editor_that_fails_is_told(tmp_path: Path, terminal: tuple[int, int]) -> None:
    path = private_file(tmp_path, "text\n")
    with pytest.raises(CommandError, match="ended with status 7"):
        run_editor([sys.executable, "-c", "raise SystemExit(7)"], path, terminal)
    with pytest.raises(CommandError, match="could not be started"):
        run_editor([os.fspath(tmp_path / "nothing")], path, terminal)
