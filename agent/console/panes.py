"""Who gets the keys: the views, the REPL, the command line, or a question. The ui thread only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import Application
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.layout import AnyContainer, Dimension, Window
from prompt_toolkit.styles import BaseStyle, merge_styles

from agent.builtin import settings
from agent.console.browsing import Browsing
from agent.console.commandline import CommandLine
from agent.console.secretline import Answer, SecretLine
from agent.console.style import STYLE
from agent.errors import AgentError
from agent.repl import Runner, Transcript, make_pane

if TYPE_CHECKING:
    from agent.console.dispatch import Dispatcher
    from agent.core.context import Context
    from agent.repl import Pane


class Panes:
    """The focus, and what it can be on."""

    def __init__(
        self,
        context: Context,
        browsing: Browsing,
        dispatcher: Dispatcher,
        runner: Runner,
        transcript: Transcript,
        folder: Path,
    ) -> None:
        self.app: Application[None] | None = None
        self.line_open = False
        self.asking = False
        self.repl_shown = False
        self._context = context
        self._browsing = browsing
        self._dispatcher = dispatcher
        self._runner = runner
        self._transcript = transcript
        self._folder = folder
        self._pane: Pane | None = None
        self._line = CommandLine(
            {":": folder / "commands.history", "/": folder / "queries.history"},
            self._complete,
            self._entered,
            self.focus_views,
        )
        self._secret = SecretLine(self.focus_views)

    # -- focus -------------------------------------------------------------------------------

    def focus_views(self) -> None:
        """Give the keys to the view in sight, or to a question that waits."""
        self.line_open = self.asking = False
        self._focus(self._browsing.window(), EditingMode.EMACS)
        if self._secret.waiting:
            self._show_question()

    def views_focused(self) -> bool:
        """Tell whether the view in sight has the keys."""
        return self.app is not None and self.app.layout.has_focus(self._browsing.window())

    def focus_repl(self) -> None:
        """Show the REPL and give it the keys."""
        self.line_open = False
        self.repl_shown = True
        vim = self._context.options.value(settings.KEYS) == "vim"
        if self.app:
            self.app.editing_mode = EditingMode.VI if vim else EditingMode.EMACS
            self._repl().focus(self.app.layout)

    def hide_repl(self) -> None:
        """Take the REPL away."""
        self.repl_shown = False
        self.focus_views()

    def open_line(self, prompt: str, text: str) -> None:
        """Open the command line."""
        if not self.asking:
            self.line_open = True
            self._focus(self._line.open(prompt, text), EditingMode.EMACS)

    def ask(self, prompt: str, answer: Answer) -> None:
        """Ask for a secret; `answer` is called on the ui thread."""
        self._secret.ask(prompt, answer)
        if not self.line_open:
            self._show_question()

    def abandon_questions(self) -> None:
        """Nobody will answer any more."""
        self._secret.abandon()

    def _show_question(self) -> None:
        self.asking = True
        self._focus(self._secret.window, EditingMode.EMACS)

    def _focus(self, window: Window, mode: EditingMode) -> None:
        if self.app:
            self.app.editing_mode = mode
            self.app.layout.focus(window)

    # -- what is entered ---------------------------------------------------------------------

    def _entered(self, prompt: str, text: str) -> None:
        if prompt == "/":
            try:
                self._browsing.limit(text)
            except AgentError as error:
                self._dispatcher.tell_error(error)
        elif text.strip():
            self._dispatcher.run(text.strip())

    def _complete(self, prompt: str, text: str) -> Any:
        if prompt == "/":
            return len(text), ()
        return self._context.commands.complete(text, self._browsing.top.context)

    def run_statement(self, source: str, *, echo: bool = False) -> None:
        """Queue a statement with what is current now."""
        if echo:
            self.focus_repl()
            self._transcript.show([("class:repl.prompt", ">>> "), ("class:repl.input", source)])
        self._runner.statement(source, self._dispatcher.freeze().names())

    # -- drawing -----------------------------------------------------------------------------

    def repl(self) -> AnyContainer:
        """Return the REPL's container."""
        return self._repl().container if self.repl_shown else Window()

    def _repl(self) -> Pane:
        if self._pane is None:
            run, namespace = self.run_statement, lambda: self._runner.namespace
            history, interrupt = self._folder / "repl.history", self._runner.interrupt
            self._pane = make_pane(
                self._transcript, namespace, history, run, interrupt, self.focus_views, self.hide_repl
            )
        return self._pane

    def repl_height(self) -> Dimension:
        """Return how many rows the REPL takes."""
        rows = self.app.output.get_size().rows if self.app else 24
        share = self._context.options.value(settings.REPL_HEIGHT)
        return Dimension.exact(max(3, min(rows - 5, round(rows * share))))

    def bottom(self, otherwise: Window) -> Window:
        """Return what stands at the bottom: a question, the command line, or what is given."""
        if self.asking:
            return self._secret.window
        return self._line.window if self.line_open else otherwise

    def completing(self) -> bool:
        """Tell whether a menu of completions may show."""
        return self.line_open or (self._pane is not None and bool(self._pane.completing()))

    def style(self) -> BaseStyle:
        """Return the styles of everything, those of the REPL once it is there."""
        return merge_styles([self._pane.style, STYLE]) if self._pane else STYLE
