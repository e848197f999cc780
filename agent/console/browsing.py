"""The open views: made, opened over one another, narrowed, closed. The ui thread only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from prompt_toolkit.key_binding import KeyBindingsBase
from prompt_toolkit.layout import AnyContainer, Dimension, HSplit, Window

from agent.builtin import settings
from agent.console.page import Page
from agent.console.reader import Reader
from agent.console.rows import ASCII, Glyphs
from agent.console.views.list import ListView
from agent.console.views.message import MessageView
from agent.console.views.view import Stack, View
from agent.core.acting import Actor, acting
from agent.core.folder import Folder
from agent.core.messages import Messages
from agent.errors import CommandError
from agent.mail import query

if TYPE_CHECKING:
    from agent.console.notices import Notices
    from agent.core.context import Context
    from agent.core.job import Job
    from agent.core.message import Message

_TALL = 40  # rows from which a list stays in sight above an open message
_READING = Actor("console", "opened")


class Browsing:
    """The stack of views, and what opens and closes them."""

    def __init__(
        self,
        context: Context,
        notices: Notices,
        loop: asyncio.AbstractEventLoop,
        post: Callable[[Callable[[], None]], None],
        now: Callable[[], datetime],
        rows: Callable[[], int],
        revision: Callable[[], int],
    ) -> None:
        self.keys: KeyBindingsBase | None = None
        self.changed: Callable[[], None] = lambda: None  # another view is in sight
        self.watch: Callable[[Job], None] = lambda job: None
        self._context = context
        self._notices = notices
        self._loop = loop
        self._post = post
        self._now = now
        self._rows = rows
        self._revision = revision
        self._reader = Reader()
        self._windows: dict[int, Window] = {}
        self._split: tuple[tuple[int, int], HSplit] | None = None
        self.stack = Stack(self.list_view(Messages(context, query.In("inbox")), "Inbox"))

    def start(self) -> None:
        """Start the reader."""
        self._reader.start()

    def stop(self) -> None:
        """Stop the reader."""
        self._reader.stop()

    @property
    def top(self) -> View:
        """The view in sight."""
        return self.stack.top

    def window(self) -> Window:
        """Return the window of the view in sight: what has the focus when the views have."""
        return self._window(self.top)

    def container(self) -> AnyContainer:
        """Return what to show: the view in sight; above an open message, on a tall screen, its list."""
        view, lines = self.top, self._context.options.value(settings.LIST_ABOVE)
        if not isinstance(view, MessageView) or view.parent is None or not lines or self._rows() < _TALL:
            return self._window(view)
        pair = id(view.parent), id(view)
        if self._split is None or self._split[0] != pair:
            above = Window(view.parent, height=Dimension.exact(lines), always_hide_cursor=True)
            rule = Window(height=1, char="─", style="class:rule")
            self._split = pair, HSplit([above, rule, self._window(view)])
        return self._split[1]

    def _window(self, view: View) -> Window:
        view.keys = self.keys
        return self._windows.setdefault(id(view), Window(view, always_hide_cursor=True))

    # -- opening and closing -----------------------------------------------------------------

    def push(self, view: View) -> None:
        """Open a view."""
        self.stack.push(view)
        self.changed()
        if isinstance(view, MessageView):
            self.opened(view)

    def close(self, view: View) -> None:
        """Close a view if it is the one in sight."""
        if self.top is view:
            self.back()

    def back(self) -> None:
        """Close the view in sight; the first one only tells how to end."""
        view = self.top
        if not self.stack.pop():
            if isinstance(view, ListView) and view.limited:
                self.limit("")
            else:
                self._notices.tell("this is the first view; ZZ or :quit ends the program")
            return
        self._windows.pop(id(view), None)
        self._split = None
        below = self.top
        if isinstance(view, MessageView) and isinstance(below, ListView) and (message := view.message()):
            below.put_on(message)
        self.changed()

    def list_view(self, messages: Messages, title: str) -> ListView:
        """Make a list."""
        outgoing = isinstance(messages, Folder) and messages.role in ("sent", "drafts")
        glyphs = ASCII if self._context.options.value(settings.ASCII) else Glyphs()
        return ListView(messages, title, self._revision, self._now, glyphs, outgoing, self._filling)

    def _filling(self) -> bool:
        """Tell whether an inbox has yet to be listed for the first time."""
        return any(
            not account.config.local and ("INBOX" not in account or account["INBOX"].synced is None)
            for account in self._context.accounts.values()
        )

    def message_view(self, message: Message, parent: ListView | None) -> MessageView:
        """Make a view of a message."""

        def build(work: Callable[[], Page], take: Callable[[Page], None]) -> None:
            def read() -> None:
                page = work()
                self._post(lambda: take(page))

            self._reader.ask("message", read)

        return MessageView(message, parent, build, self._revision, self._context.options.value(settings.WRAP))

    def opened(self, view: MessageView) -> None:
        """Mark the message as read when it has been looked at for a while."""
        message, delay = view.message(), self._context.options.value(settings.READ_AFTER)
        if message is None or delay < 0 or not message.unread:
            return

        def look() -> None:
            if self.top is view and view.message() == message and message.unread:
                with acting(_READING):
                    self.watch(message.mark_read())

        self._loop.call_later(delay, look)

    def limit(self, text: str) -> None:
        """Narrow the list in sight, or the one below an open message, by a query."""
        if isinstance(self.top, MessageView):
            self.back()
        view = self.top
        if not isinstance(view, ListView) or not isinstance(view.whole, Messages):
            raise CommandError("there is no list to search")
        found = view.whole.search(text) if text.strip() else view.whole
        view.limit(found, text.strip())

    def stay(self, names: Sequence[str]) -> None:
        """Show messages as staying that were about to go."""
        for view in self.stack:
            if names and isinstance(view, ListView):
                view.stay(names)
