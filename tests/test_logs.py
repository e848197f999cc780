"""The log: private, escaped, and never on the terminal."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from agent.logs import log_to


def test_what_mail_says_is_escaped_and_a_record_is_one_paragraph(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    with log_to(path):
        logging.getLogger("agent.test").info("subject: %s", "\x1b]0;pwned\x07\u202e\n2026-01-01 ERROR forged")
    first, second = path.read_text().splitlines()
    assert first.endswith("INFO MainThread agent.test: subject: \\u001b]0;pwned\\u0007\\u202e")
    assert second == "    2026-01-01 ERROR forged"


def test_only_its_owner_may_read_it_also_after_it_was_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    with log_to(path):
        for _ in range(1200):
            logging.getLogger("agent.test").info("x" * 1000)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["agent.log", "agent.log.1"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_other_libraries_warn_into_it_and_not_on_the_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agent.log"
    with log_to(path):
        logging.getLogger("other").info("not this")
        logging.getLogger("other").warning("but this")
    assert "but this" in path.read_text()
    assert "not this" not in path.read_text()
    assert capsys.readouterr().err == ""


def test_afterwards_nothing_is_left_behind(tmp_path: Path) -> None:
    before = logging.getLogger().handlers[:], logging.getLogger("agent").level
    with log_to(tmp_path / "agent.log"):
        pass
    assert (logging.getLogger().handlers, logging.getLogger("agent").level) == before
