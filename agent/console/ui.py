"""Everything the `ui` thread owns: the prompt_toolkit application, the views and what they show."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import Application, in_terminal
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition
from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import Dimension, Layout, Window
from prompt_toolkit.output import create_output
from prompt_toolkit.styles import BaseStyle, DynamicStyle, merge_styles

from agent.builtin import settings, vim
from agent.console import layout
from agent.console.bar import Bar
from agent.console.commandline import CommandLine
from agent.console.dispatch import Dispatcher
from agent.console.fragments import Line, fill, width_of
from agent.console.keyhelp import help_lines
from agent.console.keys import every_key
from agent.console.page import Page
from agent.console.reader import Reader
from agent.console.rows import ASCII, Glyphs
from agent.console.screen import ConsoleScreen
from agent.console.secretline import Answer, SecretLine
from agent.console.statusbar import hint_line, status_line
from agent.console.style import STYLE, color_depth
from agent.console.terminal import Terminal
from agent.console.views.list import ListView
from agent.console.views.message import MessageView
from agent.console.views.view import Stack, View
from agent.console.writing import Writing
from agent.core.acting import Actor, acting
from agent.core.folder import Folder
from agent.core.messages import Messages
from agent.errors import AgentError, CommandError
from agent.mail import query
from agent.repl import Runner, Transcript, make_pane
from agent.threads import current

if TYPE_CHECKING:
    from agent.app import Agent
    from agent.console.notices import Notices
    from agent.core.message import Message
    from agent.repl import Pane

_log = logging.getLogger("agent.console")

# Marked by looking, not on purpose: not what `undo()` picks.
_READING = Actor("console", "opened")


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
        self._data = agent.paths.data_dir
        self._transcript = transcript
        self._terminal = terminal
        self._now = now
        self._told = 0  # of what the user was told, so much has been shown
        self._tasks: set[asyncio.Task[None]] = set()
        self._windows: dict[int, Window] = {}
        self._pane: Pane | None = None
        self._repl_shown = False
        self._line_open = self._asking = False
        self._quitting = False
        self._message_line = layout.line_window(self._message)
        self._reader = Reader()
        inbox = Messages(self.context, query.In("inbox"))
        self.stack = Stack(self._prepared(self.list_view(inbox, "Inbox")))
        self.dispatcher = Dispatcher(self.context, self.stack, runner, notices, self.post)
        self.dispatcher.screen = ConsoleScreen(self)
        self.keys = every_key(self.dispatcher.press, self.dispatcher.knows)
        self.stack.top.keys = self.keys
        self._bar = Bar(self.context, runner)
        self._line = CommandLine(
            {":": self._data / "commands.history", "/": self._data / "queries.history"},
            self._complete,
            self._entered,
            self.focus_views,
        )
        self.writing = Writing(
            self.context, self._data / "writing", notices, terminal, self._start, self.push, self.close,
            self.dispatcher.watch,
        )  # fmt: skip
        self._secret = SecretLine(self.focus_views)
        self.app = self._make_app()

    def _make_app(self) -> Application[None]:
        parts = layout.Parts(
            view=lambda: self._window(self.stack.top),
            status=self._status,
            repl=lambda: self._pane.container if self._pane else Window(),
            repl_shown=Condition(lambda: self._repl_shown),
            repl_height=self._repl_height,
            bottom=self._bottom,
            completing=Condition(self._completing),
        )
        app: Application[None] = Application(
            Layout(layout.build(parts), focused_element=self._window(self.stack.top)),
            style=DynamicStyle(self._style),
            include_default_pygments_style=False,
            full_screen=True,
            input=create_input(stdin=os.fdopen(self._terminal.reading, "r", closefd=False)),
            output=create_output(stdout=os.fdopen(self._terminal.writing, "w", closefd=False)),
            color_depth=color_depth(),
            editing_mode=EditingMode.EMACS,
            key_bindings=KeyBindings(),
            min_redraw_interval=1 / 60,
            before_render=self._before_render,
        )
        app.ttimeoutlen = 0.05  # a lone Escape answers at once
        return app

    # -- life --------------------------------------------------------------------------------

    async def run(self, ready: Callable[[], None]) -> None:
        """Show the screen until `quit`; `ready` is called when it was painted first."""
        self._reader.start()
        unsubscribe = self.context.store.subscribe(self._changed)
        self.loop.set_exception_handler(self._report)
        self.runner.changed = self._transcript.changed = self.notices.changed = self._invalidate
        self._look()
        for path in self.writing.leftovers():
            self.notices.tell(f"what was written in an earlier session is in {path}")
        self.app.after_render += _once(ready)
        try:
            if not self._quitting:
                await self.app.run_async(handle_sigint=False, set_exception_handler=False)
        finally:
            self._secret.abandon()
            unsubscribe()
            nothing: Callable[[], None] = lambda: None  # noqa: E731
            self.runner.changed = self._transcript.changed = self.notices.changed = nothing
            self._reader.stop()

    def quit(self) -> None:
        """End the application, or do not begin it."""
        self._quitting = True
        if self.app.is_running and not self.app.is_done:
            self.app.exit()

    def post(self, work: Callable[[], None]) -> None:
        """Run something on the ui thread soon; safe from any thread, dropped when it has ended."""
        if not self.loop.is_closed():
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

    def _invalidate(self) -> None:
        self.app.invalidate()

    def _changed(self) -> None:
        """Hear of a commit, on the thread that knows it first."""
        with contextlib.suppress(RuntimeError):  # the screen has just been closed
            self.loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        new, self._told = self.context.told - self._told, self.context.told
        if new:
            for text in list(self.context.messages)[-new:]:
                self.notices.tell(text)
        stay = self.dispatcher.look_after_jobs()
        for view in self.stack:
            if stay and isinstance(view, ListView):
                view.stay(stay)
        self.app.invalidate()

    # -- views -------------------------------------------------------------------------------

    def push(self, view: View) -> None:
        """Open a view."""
        self.stack.push(self._prepared(view))
        self.focus_views()
        if isinstance(view, MessageView):
            self.opened(view)

    def close(self, view: View) -> None:
        """Close a view if it is the one in sight."""
        if self.stack.top is view:
            self.back()

    def back(self) -> None:
        """Close the view in sight; the first one only tells how to end."""
        view = self.stack.top
        if not self.stack.pop():
            if isinstance(view, ListView) and view.limited:
                self.limit("")
            else:
                self.notices.tell("this is the first view; ZZ or :quit ends the program")
            return
        self._windows.pop(id(view), None)
        below = self.stack.top
        if isinstance(view, MessageView) and isinstance(below, ListView) and (message := view.message()):
            below.put_on(message)
        self.focus_views()

    def list_view(self, messages: Messages, title: str) -> ListView:
        """Make a list."""
        ascii_only = self.context.options.value(settings.ASCII)
        outgoing = isinstance(messages, Folder) and messages.role in ("sent", "drafts")
        glyphs = ASCII if ascii_only else Glyphs()
        return ListView(messages, title, lambda: self.context.store.revision, self._now, glyphs, outgoing)

    def message_view(self, message: Message, parent: ListView | None) -> MessageView:
        """Make a view of a message."""

        def build(work: Callable[[], Page], take: Callable[[Page], None]) -> None:
            def read() -> None:
                page = work()
                self.post(lambda: take(page))

            self._reader.ask("message", read)

        return MessageView(
            message,
            parent,
            build,
            lambda: self.context.store.revision,
            self.context.options.value(settings.WRAP),
        )

    def opened(self, view: MessageView) -> None:
        """Mark the message as read when it has been looked at for a while."""
        message, delay = view.message(), self.context.options.value(settings.READ_AFTER)
        if message is None or delay < 0 or not message.unread:
            return

        def look() -> None:
            if self.stack.top is view and view.message() == message and message.unread:
                with acting(_READING):
                    self.dispatcher.watch(message.mark_read())

        self.loop.call_later(delay, look)

    def limit(self, text: str) -> None:
        """Narrow the list in sight by a query."""
        view = self.stack.top
        if isinstance(view, MessageView):
            self.back()
            view = self.stack.top
        if not isinstance(view, ListView) or not isinstance(view.whole, Messages):
            raise CommandError("there is no list to search")
        found = view.whole.search(text) if text.strip() else view.whole
        view.limit(found, text.strip())

    def _prepared(self, view: View) -> View:
        view.keys = getattr(self, "keys", None)
        return view

    def _window(self, view: View) -> Window:
        return self._windows.setdefault(id(view), Window(view, always_hide_cursor=True))

    # -- focus -------------------------------------------------------------------------------

    def focus_views(self) -> None:
        """Give the keys to the view in sight, or to a question that waits."""
        self._line_open = self._asking = False
        self.app.editing_mode = EditingMode.EMACS
        self.app.layout.focus(self._window(self.stack.top))
        if self._secret.waiting:
            self._show_question()

    def ask(self, prompt: str, answer: Answer) -> None:
        """Ask for a secret; `answer` is called on the ui thread."""
        self._secret.ask(prompt, answer)
        if not self._line_open:
            self._show_question()

    def _show_question(self) -> None:
        self._asking = True
        self.app.layout.focus(self._secret.window)

    def focus_repl(self) -> None:
        """Show the REPL and give it the keys."""
        if self._pane is None:
            self._pane = make_pane(
                self._transcript, lambda: self.runner.namespace, self._data / "repl.history",
                self.run_statement, self.runner.interrupt, self.focus_views, self.hide_repl,
            )  # fmt: skip
        self._repl_shown = True
        vi = self.context.options.value(settings.KEYS) == "vim"
        self.app.editing_mode = EditingMode.VI if vi else EditingMode.EMACS
        self._pane.focus(self.app.layout)

    def hide_repl(self) -> None:
        """Take the REPL away."""
        self._repl_shown = False
        self.focus_views()

    def open_line(self, prompt: str, text: str) -> None:
        """Open the command line."""
        if self._asking:
            return
        self._line_open = True
        self.app.editing_mode = EditingMode.EMACS
        self.app.layout.focus(self._line.open(prompt, text))

    def _entered(self, prompt: str, text: str) -> None:
        if prompt == "/":
            self.do(lambda: self.limit(text))
        elif text.strip():
            self.dispatcher.run(text.strip())

    def _complete(self, prompt: str, text: str) -> Any:
        if prompt == "/":
            return len(text), ()
        return self.context.commands.complete(text, self.stack.top.context)

    def run_statement(self, source: str, *, echo: bool = False) -> None:
        """Queue a statement with what is current now."""
        if echo:
            self.focus_repl()
            self._transcript.show([("class:repl.prompt", ">>> "), ("class:repl.input", source)])
        self.runner.statement(source, self.dispatcher.freeze().names())

    # -- drawing -----------------------------------------------------------------------------

    def _before_render(self, app: Application[None]) -> None:
        self.stack.top.focused = app.layout.has_focus(self._window(self.stack.top))

    def _style(self) -> BaseStyle:
        return merge_styles([self._pane.style, STYLE]) if self._pane else STYLE

    def _completing(self) -> bool:
        return self._line_open or (self._pane is not None and bool(self._pane.completing()))

    def _repl_height(self) -> Dimension:
        share = self.context.options.value(settings.REPL_HEIGHT)
        rows = self.app.output.get_size().rows
        return Dimension.exact(max(3, min(rows - 5, round(rows * share))))

    def _status(self) -> Line:
        return status_line(self._bar.status(self.stack.top), self.app.output.get_size().columns)

    def _bottom(self) -> Window:
        if self._asking:
            return self._secret.window
        return self._line.window if self._line_open else self._message_line

    def _message(self) -> Line:
        width = self.app.output.get_size().columns
        pending = self.dispatcher.walker.pending
        right: Line = [("class:pending", f" {pending} ")] if pending else []
        if not self.notices.line and self.context.options.value(settings.HINTS) and self._views_focused():
            left = hint_line(self._hints(), width - width_of(right))
        elif not self.notices.line and not self._views_focused():
            left = hint_line(
                [("C-o", "back"), ("C-d", "close"), ("C-c", "interrupt"), ("Tab", "complete")], width
            )
        else:
            left = self.notices.line
        return [*fill(left, width - width_of(right)), *right]

    def _views_focused(self) -> bool:
        return self.app.layout.has_focus(self._window(self.stack.top))

    def _hints(self) -> list[tuple[str, str]]:
        context = self.stack.top.context
        found = []
        for hint in vim.HINTS.get(context, "").split():
            name, _, word = hint.partition(":")
            keys = self.context.keymap.keys_of(name, self.dispatcher.contexts)
            if keys:
                found.append((str(keys[0].sequence), word))
        return found

    def help_lines(self) -> list[Line]:
        """Return the keys that work here, to be read."""
        return help_lines(self.context.commands, self.context.keymap, self.stack.top.context)


def _once(call: Callable[[], None]) -> Callable[[object], None]:
    """Return a listener that calls once."""
    called: list[bool] = []

    def listener(sender: object) -> None:
        if not called:
            called.append(True)
            call()

    return listener
