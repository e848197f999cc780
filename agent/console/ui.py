"""Everything the `ui` thread owns: the prompt_toolkit application around views, REPL and lines."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import Application, in_terminal
from prompt_toolkit.filters import Condition
from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import Layout
from prompt_toolkit.output import create_output
from prompt_toolkit.styles import DynamicStyle

from agent.builtin import settings, vim
from agent.console import layout
from agent.console.bar import Bar
from agent.console.browsing import Browsing
from agent.console.dispatch import Dispatcher
from agent.console.fragments import Line, fill, width_of
from agent.console.keyhelp import help_lines
from agent.console.keys import every_key
from agent.console.pace import Pace
from agent.console.panes import Panes
from agent.console.screen import ConsoleScreen
from agent.console.statusbar import hint_line, status_line
from agent.console.style import color_depth
from agent.console.terminal import Terminal
from agent.console.writing import Writing
from agent.errors import AgentError
from agent.repl import Runner, Transcript
from agent.threads import current

if TYPE_CHECKING:
    from agent.app import Agent
    from agent.console.notices import Notices

_log = logging.getLogger("agent.console")
_REPL_HINTS = (("C-o", "back"), ("C-d", "close"), ("C-c", "interrupt"), ("Tab", "complete"))


class Ui:
    """The full-screen application. Made and used on the `ui` thread, but for `post` and `do`."""

    def __init__(
        self,
        agent: Agent,
        runner: Runner,
        transcript: Transcript,
        notices: Notices,
        terminal: Terminal,
        now: Callable[[], datetime],
    ) -> None:
        self.context = agent.context
        self.runner = runner
        self.notices = notices
        self.loop = asyncio.get_running_loop()
        self._transcript = transcript
        self._terminal = terminal
        self._told = 0  # of what the user was told, so much has been shown
        self._tasks: set[asyncio.Task[None]] = set()
        self._quitting = False
        self._reminded = False  # of a state of the store that is to be shown in a moment
        self._hinted: tuple[tuple[str, int], list[tuple[str, str]]] = ("", -1), []
        self._output = create_output(stdout=os.fdopen(terminal.writing, "w", closefd=False))
        self._pace = Pace(lambda: self.context.store.revision)
        self.browsing = Browsing(
            self.context, notices, self.loop, self.post, now, self._rows, self._pace.revision
        )
        self.dispatcher = Dispatcher(self.context, self.browsing.stack, runner, notices, self.post)
        self.dispatcher.screen = ConsoleScreen(self)
        self.browsing.keys = every_key(self.dispatcher.press, self.dispatcher.knows)
        self.browsing.watch = self.dispatcher.watch
        self.panes = Panes(
            self.context, self.browsing, self.dispatcher, runner, transcript, agent.paths.data_dir
        )
        self.browsing.changed = self.panes.focus_views
        self.writing = Writing(
            self.context,
            agent.paths.data_dir / "writing",
            notices,
            terminal,
            self._start,
            self.browsing.push,
            self.browsing.close,
            self.dispatcher.watch,
        )
        self._bar = Bar(self.context, runner, self._pace.revision)
        self._message_line = layout.line_window(self._message)
        self.app = self.panes.app = self._make_app()

    def _make_app(self) -> Application[None]:
        parts = layout.Parts(
            view=self.browsing.container,
            status=self._status,
            repl=self.panes.repl,
            repl_shown=Condition(lambda: self.panes.repl_shown),
            repl_height=self.panes.repl_height,
            bottom=lambda: self.panes.bottom(self._message_line),
            completing=Condition(self.panes.completing),
        )
        app: Application[None] = Application(
            Layout(layout.build(parts), focused_element=self.browsing.window()),
            style=DynamicStyle(self.panes.style),
            include_default_pygments_style=False,
            full_screen=True,
            input=create_input(stdin=os.fdopen(self._terminal.reading, "r", closefd=False)),
            output=self._output,
            color_depth=color_depth(),
            key_bindings=KeyBindings(),
            min_redraw_interval=0.01,  # commits may come by the hundred
            before_render=self._before_render,
            after_render=lambda app: self._pace.end(),
        )
        app.ttimeoutlen = 0.05  # a lone Escape answers at once
        return app

    # -- life --------------------------------------------------------------------------------

    async def run(self, ready: Callable[[], None]) -> None:
        """Show the screen until `quit`; `ready` is called when it was painted first."""
        self.browsing.start()
        unsubscribe = self.context.store.subscribe(self._changed)
        self.loop.set_exception_handler(self._report)
        self._listen(self.app.invalidate)
        self._look()
        for path in self.writing.leftovers():
            self.notices.tell(f"what was written in an earlier session is in {path}")
        self.app.after_render += _once(ready)
        try:
            if not self._quitting:
                await self.app.run_async(handle_sigint=False, set_exception_handler=False)
        finally:
            self.panes.abandon_questions()
            unsubscribe()
            self._listen(lambda: None)
            self.browsing.stop()

    def _listen(self, listener: Callable[[], None]) -> None:
        self.runner.changed = self._transcript.changed = self.notices.changed = listener

    def quit(self) -> None:
        """End the application, or do not begin it."""
        self._quitting = True
        if self.app.is_running and not self.app.is_done:
            self.app.exit()

    def post(self, work: Callable[[], None]) -> None:
        """Run something on the ui thread soon; safe from any thread, dropped when it has ended."""
        with contextlib.suppress(RuntimeError):  # the screen has just been closed
            self.loop.call_soon_threadsafe(self.do, work)

    def do(self, work: Callable[[], object]) -> None:
        """Run something on the ui thread: now when called there; errors are told."""
        if current() != "ui":
            self.post(lambda: self.do(work))
            return
        try:
            work()
        except AgentError as error:
            self.notices.tell(str(error), error=True)
        self.app.invalidate()

    def suspend(self) -> None:
        """Stop the program until the shell continues it."""

        async def stop() -> None:
            async with in_terminal():
                self._terminal.stop_program()

        self._start(stop())

    def resize(self) -> None:
        """Take notice that the terminal has another size."""
        self.app._on_resize()

    def _report(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what went wrong in a key handler or task; the screen goes on."""
        _log.error("%s", context.get("message"), exc_info=context.get("exception"))

    def _start(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self.app.invalidate())

    def _changed(self) -> None:
        """Hear of a commit, on the thread that knows it first."""
        self.post(self._look)

    def _look(self) -> None:
        new, self._told = self.context.told - self._told, self.context.told
        if new:
            for text in list(self.context.messages)[-new:]:
                self.notices.tell(text)
        self.browsing.stay(self.dispatcher.look_after_jobs())
        self.app.invalidate()

    # -- drawing -----------------------------------------------------------------------------

    def _rows(self) -> int:
        return self._output.get_size().rows

    def _before_render(self, app: Application[None]) -> None:
        if (held_s := self._pace.begin()) and not self._reminded:
            self._reminded = True
            self.loop.call_later(held_s, self._remember)
        for view in self.browsing.stack:
            view.focused = view is self.browsing.top and self.panes.views_focused()

    def _remember(self) -> None:
        self._reminded = False
        self.app.invalidate()

    def _status(self) -> Line:
        return status_line(self._bar.status(self.browsing.top), self._output.get_size().columns)

    def _message(self) -> Line:
        """The bottom line: what was told, else hints; at its end the keys that wait for more."""
        width = self._output.get_size().columns
        pending = self.dispatcher.walker.pending
        right: Line = [("class:pending", f" {pending} ")] if pending else []
        left = self.notices.line
        if not left and not self.panes.views_focused():
            left = hint_line(_REPL_HINTS, width)
        elif not left and self.context.options.value(settings.HINTS):
            left = hint_line(self._hints(), width - width_of(right))
        return [*fill(left, width - width_of(right)), *right]

    def _hints(self) -> list[tuple[str, str]]:
        place = self.browsing.top.context, self.context.keymap.revision
        if self._hinted[0] != place:
            found = []
            for hint in vim.HINTS.get(self.browsing.top.context, "").split():
                name, _, word = hint.partition(":")
                if keys := self.context.keymap.keys_of(name, self.dispatcher.contexts):
                    found.append((str(keys[0].sequence), word))
            self._hinted = place, found
        return self._hinted[1]

    def help_lines(self) -> list[Line]:
        """Return the keys that work here, to be read."""
        return help_lines(self.context.commands, self.context.keymap, self.browsing.top.context)


def _once(call: Callable[[], None]) -> Callable[[object], None]:
    """Return a listener that calls once."""
    called: list[bool] = []

    def listener(sender: object) -> None:
        if not called:
            called.append(True)
            call()

    return listener
