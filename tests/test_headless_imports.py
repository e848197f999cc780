"""Commands without a screen never load the libraries of the screen: they cost time and memory."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

UI = ("prompt_toolkit", "ptpython", "jedi", "agent.console", "agent.repl")
PROBE = f"""
import sys
from agent.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code
print("loaded:", *[name for name in {UI!r} if name in sys.modules], file=sys.stderr)
sys.exit(status)
"""

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("agent.cli") is None, reason="agent.cli is not there yet"
)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["--demo", "run", "-c", "print(len(accounts))"],
        ["--demo", "search", "is:unread"],
        ["--demo", "sync"],
    ],
    ids=" ".join,
)
def test_a_headless_command_loads_no_screen(arguments: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
        env=os.environ | {"PYTHONSAFEPATH": "1"},
    )
    assert run.returncode in (0, None), run.stderr
    assert run.stderr.splitlines()[-1] == "loaded:", run.stderr


def test_a_script_that_only_reads_loads_no_wires_and_nothing_that_reads_messages(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir(mode=0o700)
    (config / "config.yaml").write_text("accounts: {work: {address: ann@example.org, local: true}}")
    (config / "config.yaml").chmod(0o600)
    heavy = (
        "agent.core.inbound",
        "agent.net.imap",
        "agent.mail.parse",
        "agent.mail.compose",
        "selectolax",
        "wcwidth",
    )
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "agent",
            "run",
            "-c",
            f"import sys; print(*set({heavy!r}) & set(sys.modules))",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"AGENT_CONFIG": str(config), "AGENT_DATA": str(tmp_path / "data")},
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "\n", "")
