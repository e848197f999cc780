"""The console: the `ui` thread with the screen, and the main thread as the runner of statements.

    status = Console(agent).run(agent.serve)    # on main, with an agent that was started

What the first screen does not need comes after it: the wires, then ptpython.

The terminal is given back on every way out: quit, SIGTERM, SIGHUP, a crash of the ui thread, whose
traceback is printed afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import queue
import signal
import sys
import termios
import threading
import traceback
from collections.abc import Callable
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Any

from agent import api, threads
from agent.console.notices import Notices
from agent.console.terminal import Terminal
from agent.console.ui import Ui
from agent.errors import AgentError, CommandError, WouldDeadlock
from agent.repl import Runner, Stdio, Transcript, refuse_to_hang, warm_up
from agent.threads import spawn

if TYPE_CHECKING:
    from agent.app import Agent


_SETTLED_S = 1.5  # after the first paint, so that mail comes first


class Console:
    """The full-screen front end of an agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._transcript = Transcript()
        self._stdio = Stdio(self._transcript)
        self._runner = Runner({}, self._transcript)
        self._notices = Notices(self._now)
        self._ui: Ui | None = None
        self._begin: Callable[[], None] = lambda: None
        self._shown = threading.Event()  # the ui is there, or will never be
        self._crash = ""
        self._ending = False

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._agent.clock.now()).astimezone()

    def run(self, begin: Callable[[], None] = lambda: None) -> int:
        """Show the console until it is left; return the exit status.

        `begin` is called on main when the screen was painted first, before anything the user asks for.
        Raises CommandError without a terminal.
        """
        self._begin = begin
        if not (os.isatty(0) and os.isatty(1)):
            raise CommandError("the console needs a terminal; `agent run FILE` and `agent rules` do without")
        modes = termios.tcgetattr(0)
        self._runner.namespace.update(api.namespace(self._agent.context), __name__="__main__")
        self._runner.bound = self._bind
        self._notices.start()
        terminal = Terminal(*self._stdio.start(), modes)
        try:
            with self._signals():
                thread = spawn("ui", lambda: self._show(terminal))
                status = self._runner.run()
                self._ending = True
                if self._ui:
                    self._ui.post(self._ui.quit)
                thread.join()
        finally:
            terminal.restore(crashed=bool(self._crash))
            self._stdio.stop()
            self._notices.stop()
        if self._crash:
            sys.stderr.write(self._crash)
        return status or int(bool(self._crash))

    def ask(self, prompt: str) -> str | None:
        """Ask for a secret on the screen and wait for the answer; None when there is none.

        Waits for the screen when it is not there yet. Any thread but `ui`.
        """
        if threads.current() == "ui":
            raise WouldDeadlock("the ui thread cannot wait for an answer")
        answered: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._shown.wait()
        ui = self._ui
        if ui is None or self._ending:
            return None
        ui.post(lambda: ui.panes.ask(prompt, answered.put))
        while True:
            with contextlib.suppress(queue.Empty):
                return answered.get(timeout=0.5)
            if self._ending:
                return None

    def _bind(self, names: dict[str, Any]) -> None:
        """Let functions of the user find what is current, on main before they run."""
        now = self._agent.context.current
        now.msg, now.here, now.marked = names.get("msg"), names.get("here"), names.get("marked")

    # -- the ui thread -----------------------------------------------------------------------

    def _show(self, terminal: Terminal) -> None:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._main(terminal))
        except EOFError:
            pass  # the terminal is gone
        except BaseException as error:
            if not (isinstance(error, OSError) and error.errno == errno.EIO):  # so it is here
                self._crash = traceback.format_exc()
        finally:
            self._ending = True
            self._shown.set()
            self._runner.stop()
            _end(loop)
        refuse_to_hang(self._runner)

    async def _main(self, terminal: Terminal) -> None:
        self._ui = Ui(self._agent, self._runner, self._transcript, self._notices, terminal, self._now)
        self._shown.set()
        if self._ending:
            return
        await self._ui.run(ready=self._painted)

    def _painted(self) -> None:
        """Go on with what the first screen could do without."""
        self._runner.quietly(self._serve)
        # On a thread of its own: a statement shall not wait for it, nor a key.
        asyncio.get_running_loop().call_later(_SETTLED_S, spawn, "warm-up", warm_up)

    def _serve(self) -> None:
        try:
            self._begin()
        except AgentError as error:
            self._notices.tell(str(error), error=True)

    # -- the way out -------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals(self) -> Any:
        def end(number: int, frame: FrameType | None) -> None:
            self._ending = True
            if self._ui:
                self._ui.post(self._ui.quit)
            self._runner.status = 128 + number
            self._runner.stop()

        def resize(number: int, frame: FrameType | None) -> None:
            if self._ui:
                self._ui.post(self._ui.resize)

        handlers = {signal.SIGTERM: end, signal.SIGHUP: end, signal.SIGWINCH: resize}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what still runs on the loop and close it."""
    if tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks))
    loop.close()
