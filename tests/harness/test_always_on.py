"""The rules that hold for every test do fail the tests that break them."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import pytest

from tests.harness.conditions import eventually

ROOT = Path(__file__).parents[2]
BROKEN_RULES = """
    import logging, os, socket, threading
    import pytest

    def test_warning():
        logging.getLogger("agent.net").warning("bad thing: %s", 42)

    def test_thread():
        threading.Thread(target=threading.Event().wait, args=(30,), name="stray", daemon=True).start()

    def test_connection():
        with pytest.raises(OSError):
            socket.create_connection(("192.0.2.1", 25), 1)

    def test_name():
        with pytest.raises(OSError):
            socket.getaddrinfo("mail.example.org", 25)
"""


def test_each_broken_rule_fails_its_test_and_no_other(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(BROKEN_RULES + "\n    def test_innocent(): pass\n")
    result = pytester.runpytest_subprocess("-p", "tests.harness.always_on", "-p", "no:xdist")
    result.assert_outcomes(passed=5, errors=4)
    result.stdout.fnmatch_lines(["*WARNING agent.net: bad thing: 42", "*threads left behind: stray"])
    result.stdout.fnmatch_lines(["*connect to ('192.0.2.1', 25)", "*look-up of 'mail.example.org'"])


@pytest.mark.logs("^declared")
def test_a_declared_warning_is_no_failure() -> None:
    logging.getLogger("agent.net").warning("declared and expected")


def test_home_is_empty_and_settings_of_the_caller_are_gone() -> None:
    home = Path(os.environ["HOME"])
    assert [entry.name for entry in home.iterdir()] == ["run"]
    assert Path.home() == home
    assert not [name for name in os.environ if name.startswith("AGENT_")]


def test_loopback_is_open(sink: object) -> None:
    with socket.create_connection(("localhost", sink.port), 1) as connection:
        assert connection.recv(3) == b"220"


def test_a_name_that_cannot_exist_may_be_asked_for() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("mail.invalid", 25)


def test_eventually_returns_the_first_truth_and_tells_what_it_last_saw() -> None:
    numbers = iter([0, 0, 3])
    assert eventually(lambda: next(numbers)) == 3
    with pytest.raises(AssertionError, match="still 0 after"):
        eventually(lambda: 0, timeout_s=0.02)
