"""`agent doctor` says what is wrong and what to do, and changes nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config.paths import Paths
from agent.doctor import examine

Examine = Callable[[], tuple[int, str]]
LOCAL = "accounts: {work: {address: ann@example.org, local: true}}\n"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths.under(tmp_path)
    paths.config_dir.mkdir(mode=0o700)
    return paths


@pytest.fixture
def look(paths: Paths) -> Examine:
    def run() -> tuple[int, str]:
        out = io.StringIO()
        status = examine(paths, out, lambda prompt: "", online=True)
        return status, out.getvalue().replace(f"{paths.config_dir}/", "")

    return run


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def test_without_a_configuration_it_says_how_to_get_one(look: Examine) -> None:
    status, out = look()
    assert status == 1
    assert "WRONG config.yaml is not there; write one with `agent init`" in out
    assert out.endswith("1 thing to mend\n")


def test_a_good_configuration_is_in_order(look: Examine, paths: Paths) -> None:
    write(paths.config_file, LOCAL)
    status, out = look()
    assert status == 0
    assert "ok    config.yaml: 1 account\n" in out
    assert "mail.db: can be read and written" in out
    assert "init.py is not there" in out
    assert out.endswith("everything is in order\n")


def test_every_mistake_of_the_configuration_is_a_finding(look: Examine, paths: Paths) -> None:
    write(paths.config_file, "accounts:\n  a: {address: a@example.org, imap: {hots: x, port: 99999}}\n")
    status, out = look()
    assert status == 1
    assert out.count("WRONG") >= 2
    assert "did you mean 'host'?" in out


def test_the_mistakes_of_init_are_findings(look: Examine, paths: Paths) -> None:
    write(paths.config_file, LOCAL)
    write(paths.init_file, "1 / 0\noption('wrapp', 1)\n")
    status, out = look()
    assert status == 1
    assert "WRONG init.py:1: ZeroDivisionError" in out
    assert "did you mean 'wrap'?" in out


def test_what_init_registers_is_counted(look: Examine, paths: Paths) -> None:
    write(paths.config_file, LOCAL)
    write(paths.init_file, "vacation('Away')\n@on.message_new\ndef hook(ev): pass\n")
    assert "ok    init.py: 1 rules, 1 hooks" in look()[1]


def test_a_server_that_is_away_is_a_finding(look: Examine, paths: Paths) -> None:
    server = "{host: 127.0.0.1, port: 1, security: none, auth: none}"
    write(paths.config_file, f"accounts: {{a: {{address: a@example.org, imap: {server}, smtp: {server}}}}}\n")
    status, out = look()
    assert status == 1
    assert "WRONG a: incoming: " in out
    assert "WRONG a: outgoing: " in out


def test_a_damaged_store_is_a_finding_or_mended(look: Examine, paths: Paths) -> None:
    write(paths.config_file, LOCAL)
    paths.ensure()
    paths.database.mkdir()
    status, out = look()
    assert status == 1
    assert "WRONG" in out
