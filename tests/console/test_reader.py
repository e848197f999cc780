from __future__ import annotations

import threading

import pytest

from agent.console.reader import Reader
from tests.harness.conditions import eventually


def test_of_what_waits_under_one_name_only_the_newest_runs() -> None:
    reader, gate, done = Reader(), threading.Event(), list[str]()
    reader.start()
    reader.ask("gate", lambda: gate.wait(10) and None)
    for number in range(5):
        reader.ask("message", lambda number=number: done.append(str(number)))  # type: ignore[misc]
    reader.ask("other", lambda: done.append("other"))
    gate.set()
    eventually(lambda: len(done) == 2)
    reader.stop()
    assert done == ["4", "other"]


@pytest.mark.logs("could not show what was opened")
def test_an_error_is_logged_and_the_reader_goes_on() -> None:
    reader, done = Reader(), list[str]()
    reader.start()
    reader.ask("message", lambda: 1 // 0 and None)
    eventually(lambda: not reader._newest)
    reader.ask("message", lambda: done.append(threading.current_thread().name))
    eventually(lambda: done)
    reader.stop()
    assert done == ["reader"]
