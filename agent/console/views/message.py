"""The message view: headers at once from the listing, the rest when it is read and rendered.

The ui thread only; the page is built by the `reader` thread and handed over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.console.fragments import Line
from agent.console.page import Page, head_of, page_of
from agent.console.views.list import ListView
from agent.console.views.view import View
from agent.mail.safe import safe

if TYPE_CHECKING:
    from agent.core.job import Job
    from agent.core.message import Message
    from agent.core.messages import Messages

Build = Callable[[Callable[[], Page], Callable[[Page], None]], None]


class MessageView(View):
    """One message, and the list it was opened from."""

    context = "view"

    def __init__(
        self,
        message: Message,
        parent: ListView | None,
        build: Build,
        revision: Callable[[], int],
        column: int,
    ) -> None:
        super().__init__()
        self.parent = parent
        self.all_headers = False
        self._message = message
        self._build = build
        self._revision = revision
        self._column = column
        self._page: Page | None = None
        self._wanted: tuple[str, int, bool, bool, bool] | None = None
        self._seen = -1
        self._fetching: Job | None = None
        self._trouble = ""

    @property
    def title(self) -> str:
        return safe(self._message.subject) or "(no subject)"

    @property
    def complete(self) -> bool:
        """Whether the body is shown."""
        return self._page is not None and self._page.whole

    def show(self, message: Message) -> None:
        """Show another message from its top."""
        self._message, self._page, self._wanted, self._fetching = message, None, None, None
        self._trouble = ""
        self.top, self._seen = 0, -1

    def toggle_headers(self) -> None:
        """Show all headers, or the usual ones."""
        self.all_headers = not self.all_headers
        self.top = 0

    def refresh(self) -> None:
        fetched = self._message.fetched
        wanted = (self._message.id, self.width, self.all_headers, self._message.begun, fetched)
        if wanted != self._wanted:
            self._wanted = wanted
            message, width, headers = self._message, self.width, self.all_headers
            self._build(
                lambda: page_of(message, width, all_headers=headers, column=self._column),
                lambda page: self._take(wanted, page),
            )
        if not fetched:
            self._fetch()

    def _fetch(self) -> None:
        if self._fetching is None:
            self._fetching = self._message.fetch()
            self._seen = -1
        if self._seen != self._revision():
            self._seen = self._revision()
            self._trouble = self._fetching.error if self._fetching.done else ""

    def _take(self, wanted: object, page: Page) -> None:
        if wanted == self._wanted:
            self._page = page

    def count(self) -> int:
        return len(self._page.rows) + (not self._page.whole) if self._page else self.height

    def lowest_top(self, total: int) -> int:
        # Something of the text stays in sight, and a short message does not scroll.
        return max(0, total - self.height)

    def row(self, place: int, width: int) -> Line:
        rows = (
            self._page.rows if self._page else (*head_of(self._message, width), [("class:rule", "─" * width)])
        )
        if place < len(rows):
            return rows[place]
        if place == len(rows) and not self._message.fetched:
            return self._waiting()
        return []

    def _waiting(self) -> Line:
        if self._trouble:
            return [("class:error", f"could not be fetched: {safe(self._trouble)}")]
        account = self._message.account
        if account is not None and not account.online:
            return [("class:hint", f"not here yet: {safe(account.name)} is {safe(account.status)}")]
        return [("class:hint", "fetching …")]

    def message(self) -> Message | None:
        return self._message

    def messages(self) -> Messages | None:
        return self.parent.messages() if self.parent else None
