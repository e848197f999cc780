"""The benchmarks measure what they say: the grown mailbox, the clock, the ratios."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scripts.benchmarks import corpus, table
from scripts.benchmarks.measure import Failed, Measured, command, until_screen_shows
from scripts.benchmarks.rows import Row
from scripts.benchmarks.wire import FLAGS, Wire
from tests.harness.dovecot import Dovecot

QUESTION = b"From: a@example.org\nMessage-ID: <q@x>\nDate: some day\n\nplease answer these questions\n"
ANSWER = b"From: b@example.org\nMessage-ID: <r@x>\nIn-Reply-To: <q@x>\nReferences: <p@x>\n <q@x>\n\nsurely\n"
NO_ID = b"From: c@example.org\n\nnothing at all\n"


def grown(folder: Path, count: int = 7) -> list[tuple[str, bytes]]:
    corpus.grow([QUESTION, ANSWER, NO_ID], count, folder)
    return [(path.name, path.read_bytes()) for path in sorted((folder / "cur").iterdir())]


def test_the_same_number_gives_the_same_mailbox(tmp_path: Path) -> None:
    assert grown(tmp_path / "one") == grown(tmp_path / "two")


def test_every_copy_has_an_id_and_a_date_of_its_own(tmp_path: Path) -> None:
    messages = [raw for _, raw in grown(tmp_path)]
    assert len({re.search(rb"(?m)^Message-ID: (.*)", raw)[1] for raw in messages}) == 7
    assert len({re.search(rb"(?m)^Date: (.*)", raw)[1] for raw in messages}) == 7


def test_the_threads_of_a_copy_stay_whole(tmp_path: Path) -> None:
    _, answer = grown(tmp_path)[4]
    assert b"In-Reply-To: <q@x.1>\nReferences: <p@x.1>\n <q@x.1>\n" in answer


def test_one_message_in_five_is_unread(tmp_path: Path) -> None:
    unread = [name for name, _ in grown(tmp_path, 100) if "S" not in name.rpartition(",")[2]]
    assert len(unread) == 20


def test_a_command_is_timed_with_its_memory_and_its_output() -> None:
    found = command(["sh", "-c", "echo first; sleep 0.1; echo last"])
    assert 0.1 <= found.seconds < 5
    assert found.detail == "first\nlast"
    assert found.memory_mb is not None
    assert 0 < found.memory_mb < 50


def test_a_command_that_fails_says_its_last_line() -> None:
    with pytest.raises(Failed, match="sh ended with 3: why"):
        command(["sh", "-c", "echo before; echo why; exit 3"])


def test_a_program_in_a_terminal_is_timed_until_its_screen_shows_a_word() -> None:
    found = until_screen_shows(["sh", "-c", "test -t 0 && echo rea''dy; read key"], "ready", quit_keys=b"\n")
    assert found.seconds < 5
    with pytest.raises(Failed, match="sh ended: bye"):
        until_screen_shows(["sh", "-c", "echo bye"], "ready")


def test_the_wire_reads_to_the_end_of_a_reply(dovecot: Dovecot) -> None:
    dovecot.save("bench", QUESTION)
    with Wire(dovecot) as wire:
        wire.drain("SELECT INBOX")
        assert wire.drain(FLAGS) > len("* 1 FETCH (UID 1 FLAGS ())")
        with pytest.raises(Failed, match="BAD"):
            wire.drain("NONSENSE")


def test_ratios_are_in_units_of_ours_where_there_is_one(tmp_path: Path) -> None:
    def result(who: str, name: str, seconds: float) -> table.Result:
        return table.Result(Row("again", who, name, lambda _: Measured(0)), Measured(seconds, 10.0))

    missing = table.Result(Row("again", "peer", "absent", lambda _: Measured(0)), None, "not installed")
    results = [result("ours", "agent", 0.2), result("peer", "mbsync", 0.5), missing]
    text = "\n".join(table.lines(results, 100))
    assert "2.50x" in text
    assert "not measured: not installed" in text
    table.write_json(results, 100, tmp_path / "result.json")
    rows = json.loads((tmp_path / "result.json").read_text())["rows"]
    assert [row.get("ratio") for row in rows] == [1.0, 2.5, None]
