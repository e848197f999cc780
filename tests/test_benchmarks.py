"""The benchmarks measure what they say: the grown mailbox, the clock, the ratios."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scripts.benchmarks import corpus, goals, markdown, million, ours, peers, table, wire
from scripts.benchmarks.measure import Failed, Measured, best_of, command, until_screen_shows
from scripts.benchmarks.rows import GROUPS, Row
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


def test_a_goal_says_whether_it_was_met_and_by_how_much() -> None:
    found = {"agent": Measured(0.3, 80.0), "agent --version": Measured(0.1)}
    told = [str(verdict) for verdict in goals.verdicts(found, "screen")]
    assert told == [
        "goal: <= 0.4 s from process start: 0.300 s, met (0.75 of it)",
        "goal: <= 100 MB: 80 MB, met (0.80 of it)",
    ]
    missed, unknown = goals.verdicts(found, "start")
    assert (missed.met, unknown.met) == (False, None)
    assert str(unknown) == "goal: run -c pass <= 0.25 s: not measured"


def test_every_goal_belongs_to_a_group_and_names_rows_that_exist() -> None:
    rows = {row.name: Measured(1.0, 1.0) for row in (*ours.ROWS, *peers.ROWS, *wire.ROWS, *million.ROWS)}
    for goal in goals.GOALS:
        assert goal.look(rows) is not None, goal
        assert goal.group in {group.key for group in GROUPS}


def test_the_quickest_of_several_runs_counts_and_all_are_told() -> None:
    found = best_of([Measured(0.3, 10.0), Measured(0.2, 20.0)])
    assert found == Measured(0.2, 20.0, "best of 2, 0.200-0.300 s")


def test_a_program_that_does_not_answer_is_ended_and_told() -> None:
    with pytest.raises(Failed, match="took too long and was ended"):
        command(["sleep", "60"], timeout_s=0.1)
    with pytest.raises(Failed, match="took too long and was ended"):
        until_screen_shows(["sleep", "60"], "ready", timeout_s=0.1)


def test_the_table_of_the_readme_is_made_of_results_the_later_ones_winning(tmp_path: Path) -> None:
    def result(seconds: float) -> table.Result:
        return table.Result(Row("screen", "ours", "agent", lambda _: Measured(0)), Measured(seconds, 50.0))

    peer = table.Result(
        Row("screen", "peer", "neomutt, header cache", lambda _: Measured(0)), Measured(1.5, 200.0)
    )
    table.write_json([result(0.5), peer], 100, tmp_path / "one.json")
    table.write_json([result(0.1)], 100, tmp_path / "two.json")
    made = [*markdown.lines(markdown.read([tmp_path / "one.json", tmp_path / "two.json"]))]
    assert made[2:] == [
        "| first screen, filled store | 0.10 s, 50 MB | neomutt, header cache 1.50 s, 200 MB (15x)"
        " | <= 0.4 s from process start ✓<br><= 100 MB ✓ |"
    ]
