from __future__ import annotations

import os
import subprocess
import sys

import pytest

from agent.repl.stdio import Stdio
from agent.repl.transcript import Transcript
from agent.threads import spawn
from tests.harness.conditions import eventually


def text(transcript: Transcript) -> list[str]:
    return ["".join(part for _, part in line) for line in transcript.lines()]


def identities() -> list[tuple[int, int]]:
    return [(os.fstat(fd).st_dev, os.fstat(fd).st_ino) for fd in (0, 1, 2)]


@pytest.fixture
def transcript(capfd: pytest.CaptureFixture[str]) -> Transcript:
    with capfd.disabled():
        return Transcript()


def test_prints_children_and_errors_land_in_the_transcript(transcript: Transcript) -> None:
    before, streams = identities(), (sys.stdout, sys.stderr)
    stdio = Stdio(transcript)
    stdio.start()
    try:
        print("printed")
        print("error", file=sys.stderr)
        subprocess.run(["sh", "-c", "echo child; echo failed >&2"], check=True)
        os.write(1, "höß\n".encode())
        assert subprocess.run(["cat"], check=True, capture_output=True).stdout == b""  # no keys are stolen
        eventually(lambda: "höß" in text(transcript))
    finally:
        stdio.stop()
    assert text(transcript) == ["printed", "error", "child", "failed", "höß"]
    assert identities() == before
    assert (sys.stdout, sys.stderr) == streams


def test_the_terminal_stays_in_reach(transcript: Transcript) -> None:
    before = identities()
    stdio = Stdio(transcript)
    reading, writing = stdio.start()
    try:
        assert [(os.fstat(fd).st_dev, os.fstat(fd).st_ino) for fd in (reading, writing)] == before[:2]
        assert not sys.stdout.isatty()
        assert sys.stdout.fileno() == 1
    finally:
        stdio.stop()


def test_other_threads_are_named_and_never_break_a_line(transcript: Transcript) -> None:
    stdio = Stdio(transcript)
    stdio.start()
    try:
        print("begun ", end="")
        thread = spawn("events", lambda: print("from a hook", 42))
        thread.join()
        print("and ended")
    finally:
        stdio.stop()
    assert "events: from a hook 42" in text(transcript)


def test_stop_does_not_wait_for_children_that_hold_the_pipe(transcript: Transcript) -> None:
    stdio = Stdio(transcript)
    stdio.start()
    child = subprocess.Popen(["sleep", "60"])
    stdio.stop()
    child.kill()
    child.wait()
    stdio.stop()  # again, and nothing happens
