"""What `agent init` writes is right as it stands, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.load import load
from agent.config.paths import Paths
from agent.starter import write_starters


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.under(tmp_path)


def test_the_written_config_loads_without_a_warning(paths: Paths) -> None:
    list(write_starters(paths))
    config = load(paths.config_file)
    assert list(config.accounts) == ["work"]
    assert config.warnings == ()


def test_its_commented_lines_are_right_too(paths: Paths) -> None:
    list(write_starters(paths))
    lines = paths.config_file.read_text().splitlines()
    plain = [line.replace("# ", "", 1) if line.startswith("    # ") else line for line in lines]
    once = [line for line in plain if not line.startswith("    smtp: {host: smtp.example.org}  ")]
    paths.config_file.write_text("\n".join(once) + "\n")
    assert load(paths.config_file).accounts["work"].smtp is not None


def test_the_blocks_of_init_are_python(paths: Paths) -> None:
    list(write_starters(paths))
    text = paths.init_file.read_text()
    blocks = text.replace("\n# ", "\n").replace("\n#\n", "\n\n")
    code = [
        line for line in blocks.splitlines() if not line.endswith(".") or line.startswith((" ", "vacation"))
    ]
    compile("\n".join(line for line in code if not line[:1].isupper()), "init.py", "exec")


def test_files_that_are_there_are_kept(paths: Paths) -> None:
    list(write_starters(paths))
    paths.init_file.write_text("mine")
    assert [line.split()[0] for line in write_starters(paths)] == ["kept", "kept", "next:"]
    assert paths.init_file.read_text() == "mine"
    list(write_starters(paths, force=True))
    assert paths.init_file.read_text() != "mine"
    assert paths.init_file.stat().st_mode & 0o777 == 0o600
