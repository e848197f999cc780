from __future__ import annotations

import os
import pty
import termios
from collections.abc import Iterator

import pytest

from agent.console.terminal import Terminal


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    near, far = pty.openpty()
    yield Terminal(far, far, termios.tcgetattr(far))
    os.close(near)
    os.close(far)


def make_raw(terminal: Terminal) -> None:
    modes = termios.tcgetattr(terminal.reading)
    modes[0] &= ~termios.IXON
    modes[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(terminal.reading, termios.TCSANOW, modes)


def test_it_is_lent_as_it_was_found_and_comes_back_as_we_had_it(terminal: Terminal) -> None:
    make_raw(terminal)
    ours = termios.tcgetattr(terminal.reading)
    with terminal.lent():
        assert termios.tcgetattr(terminal.reading) == terminal.modes
    assert termios.tcgetattr(terminal.reading) == ours


def test_it_is_restored(terminal: Terminal) -> None:
    make_raw(terminal)
    terminal.restore(crashed=True)
    assert termios.tcgetattr(terminal.reading) == terminal.modes


def test_a_terminal_that_is_gone_is_no_error() -> None:
    near, far = pty.openpty()
    terminal = Terminal(far, far, termios.tcgetattr(far))
    os.close(near)
    os.close(far)
    terminal.restore(crashed=True)
