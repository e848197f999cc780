"""Runs one statement or user-defined command at a time on the `main` thread.

Only there can Ctrl-C interrupt everything: sleep, recv, Future.result and busy loops. Other threads
queue work, interrupt what runs, and are told by `changed` when something began or ended.
"""

from __future__ import annotations
import __future__

import ast
import asyncio
import contextlib
import inspect
import linecache
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType, FrameType

from agent.repl.printer import show_error, show_value
from agent.repl.transcript import Transcript

_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag


@dataclass(frozen=True, slots=True)
class Work:
    """Something to run on main; `names` are put into the namespace before."""

    label: str
    run: Callable[[], None]
    names: Mapping[str, object] = field(default_factory=dict)


class Runner:
    """The queue of the main thread."""

    def __init__(self, namespace: dict[str, object], transcript: Transcript) -> None:
        self.namespace = namespace
        self.changed: Callable[[], None] = lambda: None
        self.bound: Callable[[dict[str, object]], None] = lambda names: None  # called before each work
        self.status = 0
        self._transcript = transcript
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._running: Work | None = None
        self._interruptible = False
        self._stopping = False
        self._ended = threading.Event()
        self._statements = 0
        self._flags = 0

    # -- from any thread ---------------------------------------------------------------------

    @property
    def running(self) -> str:
        """What runs now, in one line; empty when nothing does."""
        work = self._running
        return work.label if work else ""

    @property
    def waiting(self) -> int:
        """How much is queued behind it."""
        return self._queue.qsize()

    def statement(self, source: str, names: Mapping[str, object]) -> None:
        """Queue a statement; its value and errors go to the transcript."""
        label = " ".join(source.split())
        self._put(Work(label, lambda: self._evaluate(source), names))

    def call(
        self,
        label: str,
        function: Callable[[], object],
        names: Mapping[str, object],
        done: Callable[[object], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Queue a function; `done` or `failed` is called on main with what came of it."""

        def run() -> None:
            try:
                result = function()
            except (Exception, KeyboardInterrupt) as error:
                failed(error)
            else:
                done(result)

        self._put(Work(label, run, names))

    def quietly(self, function: Callable[[], None]) -> None:
        """Queue something of ours that nobody sees or interrupts."""
        self._put(Work("", function))

    def _put(self, work: Work) -> None:
        self._queue.put(work)
        self.changed()

    def interrupt(self) -> bool:
        """Raise KeyboardInterrupt in what runs; return whether something does."""
        if not self.running:
            return False
        thread = threading.main_thread().ident
        if thread is not None:
            signal.pthread_kill(thread, signal.SIGINT)
        return True

    def stop(self) -> None:
        """End `run` soon: what runs is interrupted, what is queued is dropped."""
        self._stopping = True
        self._queue.put(None)
        self.interrupt()

    def wait_ended(self, timeout_s: float) -> bool:
        """Wait until `run` is over, interrupting again and again; return whether it is."""
        for _ in range(max(1, int(timeout_s / 0.2))):
            if self._ended.wait(0.2):
                return True
            self.interrupt()
        return False

    # -- on main -----------------------------------------------------------------------------

    def run(self) -> int:
        """Run what is queued until `stop`; return the exit status. On main only."""
        before = signal.signal(signal.SIGINT, self._on_interrupt)
        self._loop = asyncio.new_event_loop()
        try:
            while not self._stopping and (work := self._queue.get()) is not None:
                with contextlib.suppress(KeyboardInterrupt):  # one more, while the last was handled
                    self._perform(work)
        finally:
            self._ended.set()
            self._loop.close()
            signal.signal(signal.SIGINT, before)
        return self.status

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        # A child in the foreground (an editor) shares the terminal's Ctrl-C with us: only what
        # runs here is interrupted.
        if self._interruptible:
            raise KeyboardInterrupt

    def _perform(self, work: Work) -> None:
        self._running = work
        self.changed()
        try:
            try:
                self._interruptible = bool(work.label)
                self.namespace.update(work.names)
                if work.names:
                    self.bound(dict(work.names))
                work.run()
            finally:
                self._interruptible = False
        except SystemExit as end:
            self.status = end.code if isinstance(end.code, int) else int(end.code is not None)
            self._stopping = True
        except KeyboardInterrupt as error:
            self._transcript.show(show_error(error))
        finally:
            self._interruptible = False
            self._running = None
            self.changed()

    def _evaluate(self, source: str) -> None:
        try:
            value = self._run_shell(source) if source.lstrip().startswith("!") else self._run_source(source)
            if value is not None:
                self._transcript.show(show_value(value))
        except SystemExit:
            raise
        except BaseException as error:  # whatever a statement raises is shown, and the REPL goes on
            self._transcript.show(show_error(error))

    def _run_shell(self, source: str) -> object:
        with subprocess.Popen(source.lstrip()[1:], shell=True) as child:
            try:
                status = child.wait()
            except KeyboardInterrupt:
                child.kill()
                child.wait()
                raise
        return f"exit status {status}" if status else None

    def _run_source(self, source: str) -> object:
        self._statements += 1
        name = f"<repl {self._statements}>"
        linecache.cache[name] = (len(source), None, [line + "\n" for line in source.split("\n")], name)
        tree = compile(source, name, "exec", self._compile_flags | ast.PyCF_ONLY_AST, dont_inherit=True)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        if tree.body:
            self._run_code(compile(tree, name, "exec", self._compile_flags, dont_inherit=True))
        if last is None:
            return None
        code = compile(ast.Expression(last.value), name, "eval", self._compile_flags, dont_inherit=True)
        value = self._run_code(code)
        if value is not None:
            self.namespace["_"] = self.namespace[f"_{self._statements}"] = value
        return value

    @property
    def _compile_flags(self) -> int:
        return self._flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    def _run_code(self, code: CodeType) -> object:
        self._flags |= code.co_flags & _FUTURES
        value = eval(code, self.namespace)
        return self._await(value) if code.co_flags & inspect.CO_COROUTINE else value

    def _await(self, coroutine: object) -> object:
        assert inspect.iscoroutine(coroutine)
        task = self._loop.create_task(coroutine)
        try:
            return self._loop.run_until_complete(task)
        except KeyboardInterrupt:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task)
            raise


def refuse_to_hang(runner: Runner, timeout_s: float = 3.0) -> None:
    """End the process when a statement that ignores interrupts keeps main from ending."""
    if not runner.wait_ended(timeout_s):
        os.write(2, f"agent: {runner.running!r} ignores interrupts; ended\n".encode())
        os._exit(1)
