"""The runner, on the main thread of a test process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.repl.runner import Runner
from agent.repl.transcript import Transcript
from agent.threads import spawn
from tests.harness.conditions import eventually


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


@pytest.fixture
def runner(transcript: Transcript) -> Runner:
    return Runner({"__name__": "__main__"}, transcript)


def run(runner: Runner, *sources: str, while_running: Callable[[], None] | None = None) -> list[str]:
    """Run statements to the end; return the lines of the transcript."""
    for source in sources:
        runner.statement(source, {})

    def other() -> None:
        if while_running:
            while_running()
        eventually(lambda: not runner.waiting and not runner.running)
        runner.stop()

    thread = spawn("other", other)
    runner.run()
    thread.join()
    return ["".join(part for _, part in line) for line in runner._transcript.lines()]


def test_expressions_show_their_value_and_none_shows_nothing(runner: Runner) -> None:
    assert run(runner, "6 * 7", "None", "x = 1") == ["42"]
    assert runner.namespace["_"] == runner.namespace["_1"] == 42
    assert runner.namespace["x"] == 1


def test_the_last_expression_of_several_statements_is_shown(runner: Runner) -> None:
    assert run(runner, "a = 2\nb = 3\na + b") == ["5"]


def test_await_works_at_the_top_level(runner: Runner) -> None:
    assert run(runner, "import asyncio", "await asyncio.sleep(0, 'done')") == ["'done'"]


def test_future_imports_last(runner: Runner) -> None:
    shown = run(runner, "from __future__ import annotations", "def f(x: nowhere): ...", "f.__annotations__")
    assert shown == ["{'x': 'nowhere'}"]


def test_a_function_of_a_statement_has_its_source_in_a_traceback(runner: Runner) -> None:
    shown = run(runner, "def half(n):\n    return n / 0", "half(4)")
    assert "    return n / 0" in shown
    assert shown[-1] == "ZeroDivisionError: division by zero"


def test_an_error_does_not_end_the_runner(runner: Runner) -> None:
    assert run(runner, "1 +", "1 / 0", "'still here'")[-1] == "'still here'"


def test_a_line_with_an_exclamation_mark_runs_a_shell_command(runner: Runner, tmp_path: object) -> None:
    assert run(runner, f"!touch {tmp_path}/made", f"import os; os.listdir({str(tmp_path)!r})", "!exit 3") == [
        "['made']",
        "'exit status 3'",
    ]


@pytest.mark.parametrize(
    "source",
    [
        "import time; time.sleep(60)",
        "while True: pass",
        "import asyncio; await asyncio.sleep(60)",
        "import threading; threading.Event().wait()",
        "import concurrent.futures; concurrent.futures.Future().result()",
    ],
)
@pytest.mark.timeout(20)
def test_an_interrupt_stops_whatever_runs(runner: Runner, source: str) -> None:
    def interrupt() -> None:
        eventually(lambda: runner._interruptible)
        runner.interrupt()

    assert run(runner, source, "'after'", while_running=interrupt) == ["KeyboardInterrupt", "'after'"]


@pytest.mark.timeout(20)
def test_an_interrupt_ends_a_shell_command(runner: Runner, tmp_path: Path) -> None:
    def interrupt() -> None:
        eventually((tmp_path / "begun").exists)
        runner.interrupt()

    shown = run(runner, f"!touch {tmp_path}/begun; exec sleep 60", while_running=interrupt)
    assert shown == ["KeyboardInterrupt"]


def test_an_interrupt_while_nothing_runs_is_ignored(runner: Runner) -> None:
    assert not runner.interrupt()

    def interrupt() -> None:
        eventually(lambda: not runner.running and not runner.waiting)
        ident = threading.main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, signal.SIGINT)

    assert run(runner, "1", while_running=interrupt) == ["1"]


def test_names_are_bound_before_the_statement_runs(runner: Runner) -> None:
    bound: list[dict[str, object]] = []
    runner.bound = bound.append
    runner.statement("msg * 2", {"msg": 21})
    assert run(runner) == ["42"]
    assert bound == [{"msg": 21}]


def test_a_function_tells_what_came_of_it(runner: Runner) -> None:
    came: list[object] = []
    runner.call("good", lambda: 42, {}, came.append, came.append)
    runner.call("bad", lambda: 1 // 0, {}, came.append, came.append)
    run(runner)
    assert came[0] == 42
    assert isinstance(came[1], ZeroDivisionError)


def test_what_runs_and_waits_can_be_seen(runner: Runner) -> None:
    seen: list[tuple[str, int]] = []

    def look() -> None:
        eventually(lambda: runner.running == "gate.wait()")
        seen.append((runner.running, runner.waiting))
        gate.set()

    gate = threading.Event()
    runner.namespace["gate"] = gate
    run(runner, "gate.wait()", "2", while_running=look)
    assert seen == [("gate.wait()", 1)]


def test_exit_ends_the_runner_with_its_status(runner: Runner) -> None:
    runner.statement("raise SystemExit(3)", {})
    runner.statement("'never'", {})
    assert runner.run() == 3
    assert runner.wait_ended(1)


def test_stop_drops_what_waits_and_interrupts_what_runs(runner: Runner) -> None:
    runner.statement("import time; time.sleep(60)", {})
    runner.statement("'never'", {})

    def stop() -> None:
        eventually(lambda: runner._interruptible)
        runner.stop()

    thread = spawn("other", stop)
    assert runner.run() == 0
    thread.join()
    assert "'never'" not in [part for line in runner._transcript.lines() for _, part in line]


def test_quiet_work_is_neither_seen_nor_interrupted(runner: Runner) -> None:
    seen: list[str] = []
    runner.quietly(lambda: seen.append(f"{runner.running}|{runner.interrupt()}"))
    run(runner)
    assert seen == ["|False"]
