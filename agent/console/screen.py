"""The Screen that commands get: each call is handed to the ui thread, whatever thread makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from agent.console.views.list import ListView
from agent.console.views.message import MessageView
from agent.console.views.review import ReviewView
from agent.console.views.text import LogView, TextView
from agent.core.messages import Messages
from agent.core.screen import Answer, Mark, Pane
from agent.errors import CommandError

if TYPE_CHECKING:
    from agent.console.ui import Ui
    from agent.core.draft import Draft


class ConsoleScreen:
    """Screen, as core.screen describes it."""

    def __init__(self, ui: Ui) -> None:
        self._ui = ui

    # -- in the view on top ------------------------------------------------------------------

    def move(self, lines: int) -> None:
        self._do(lambda: self._ui.browsing.top.move(lines))

    def scroll(self, pages: float) -> None:
        self._do(lambda: self._ui.browsing.top.scroll(pages))

    def go_to(self, line: int) -> None:
        self._do(lambda: self._ui.browsing.top.go_to(line))

    def open(self) -> None:
        self._do(self._open)

    def _open(self) -> None:
        view = self._ui.browsing.top
        message = view.message()
        if not isinstance(view, ListView) or message is None:
            raise CommandError("there is no message to open")
        self._ui.browsing.push(self._ui.browsing.message_view(message, view))

    def back(self) -> None:
        self._do(self._ui.browsing.back)

    def step(self, messages: int) -> None:
        self._do(lambda: self._step(lambda below: below.move(messages)))

    def _step(self, move: Callable[[ListView], object]) -> None:
        """Move the cursor of the list below an open message, and show what is there."""
        view = self._ui.browsing.top
        if isinstance(view, ListView):
            move(view)
        elif isinstance(view, MessageView) and view.parent is not None:
            before = view.parent.message()
            move(view.parent)
            message = view.parent.message()
            if message is None or message == before == view.message():
                raise CommandError("there is no other message")
            view.show(message)
            self._ui.browsing.opened(view)

    def next_unread(self, steps: int) -> None:
        def move(below: ListView) -> None:
            if not below.next_unread(steps):
                raise CommandError(f"no unread message {'below' if steps > 0 else 'above'}")

        self._do(lambda: self._step(move))

    def advance(self, gone: Messages) -> None:
        names = [str(number) for number in gone.ids()]
        self._do(lambda: self._advance(names))

    def _advance(self, names: list[str]) -> None:
        view = self._ui.browsing.top
        if isinstance(view, ListView):
            view.advance(names)
        elif isinstance(view, MessageView) and view.parent is not None:
            below = view.parent
            if below.advance(names) and (message := below.message()) is not None:
                view.show(message)
                self._ui.browsing.opened(view)
            else:
                self._ui.browsing.back()

    def mark(self, how: Mark) -> None:
        self._do(lambda: self._mark(how))

    def _mark(self, how: Mark) -> None:
        view = self._ui.browsing.top
        if not isinstance(view, ListView):
            return
        if how == "toggle":
            view.toggle_mark()
        elif how == "all" and isinstance(view.source, Messages):
            view.mark(list(view.source))
        elif view.marked():
            view.mark(())
        elif view.limited:
            self._ui.browsing.limit("")

    def limit(self, query: str) -> None:
        self._do(lambda: self._ui.browsing.limit(query))

    def toggle_headers(self) -> None:
        def toggle() -> None:
            view = self._ui.browsing.top
            if isinstance(view, MessageView):
                view.toggle_headers()

        self._do(toggle)

    # -- other views -------------------------------------------------------------------------

    def show(self, messages: Messages, title: str = "") -> None:
        self._do(lambda: self._ui.browsing.push(self._ui.browsing.list_view(messages, title or "Messages")))

    def show_text(self, title: str, text: str) -> None:
        self._do(lambda: self._ui.browsing.push(TextView.of_text(title, text)))

    def show_log(self) -> None:
        self._do(lambda: self._ui.browsing.push(LogView("Messages of the program", self._ui.notices.lines)))

    def show_keys(self) -> None:
        self._do(lambda: self._ui.browsing.push(TextView("Keys", self._ui.help_lines())))

    # -- writing -----------------------------------------------------------------------------

    def write(self, make: Callable[[], Draft], *, even_unchanged: bool = False) -> None:
        self._do(lambda: self._ui.writing.begin(make, even_unchanged=even_unchanged))

    def review(self, answer: Answer) -> None:
        self._do(lambda: self._review(answer))

    def _review(self, answer: Answer) -> None:
        view = self._ui.browsing.top
        if not isinstance(view, ReviewView):
            raise CommandError("there is no draft under review")
        if answer == "ask":
            self._ui.dispatcher.ask(
                "Keep it as a draft?  y keep   n throw away   any other key: go on",
                {"y": lambda: self.review("keep"), "n": lambda: self.review("drop")},
            )
        else:
            self._ui.writing.answer(view, answer)

    # -- the rest ----------------------------------------------------------------------------

    def focus(self, pane: Pane) -> None:
        self._do(self._ui.panes.focus_repl if pane == "repl" else self._ui.panes.focus_views)

    def command_line(self, text: str = "", prompt: Literal[":", "/"] = ":") -> None:
        self._do(lambda: self._ui.panes.open_line(prompt, text))

    def statement(self, source: str) -> None:
        self._do(lambda: self._ui.panes.run_statement(source, echo=True))

    def tell(self, text: str) -> None:
        self._do(lambda: self._ui.notices.tell(text))

    def redraw(self) -> None:
        self._do(lambda: self._ui.app.renderer.clear())

    def suspend(self) -> None:
        self._do(self._ui.suspend)

    def quit(self) -> None:
        self._do(self._ui.quit)

    def _do(self, work: Callable[[], object]) -> None:
        self._ui.do(work)
