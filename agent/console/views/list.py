"""The message list: a window on an ordered source of messages, however long. The ui thread only.

The cursor stays on its message while mail comes and goes around it; only while mailboxes are listed
for the first time, and nobody has touched a key, it stays on the newest. Rows are read by the page
and kept until the store changes.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from agent.console.fragments import Line, fill
from agent.console.rows import Glyphs, Look, row
from agent.console.views.view import View
from agent.core.messages import Messages
from agent.mail.safe import safe

if TYPE_CHECKING:
    from agent.core.message import Message

_PAGE = 64


class Source(Protocol):
    """What a list shows; a Messages is one."""

    def count(self) -> int:
        """Return how many there are."""

    def page(self, offset: int, limit: int) -> Sequence[Message]:
        """Return some of them."""

    def position(self, message: Message) -> int | None:
        """Return where one of them stands."""


class ListView(View):
    """Rows of messages with a cursor."""

    context = "index"

    def __init__(
        self,
        source: Source,
        title: str,
        revision: Callable[[], int],
        now: Callable[[], datetime],
        glyphs: Glyphs | None = None,
        outgoing: bool = False,
        filling: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__()
        self.source = source
        self.cursor = 0
        self.limited = ""  # the query that narrows it
        self._whole = source
        self._title = title
        self._revision = revision
        self._now = now
        self._glyphs = glyphs or Glyphs()
        self._outgoing = outgoing
        self._filling = filling  # asked until it is over, or a key was pressed
        self._at_top = True
        self._seen = -1
        self._count = 0
        self._pages: dict[int, Sequence[Message]] = {}
        self._current: Message | None = None
        self._marked: dict[str, Message] = {}
        self._leaving: set[str] = set()

    @property
    def title(self) -> str:
        return f"{safe(self._title)} /{safe(self.limited)}" if self.limited else str(safe(self._title))

    @property
    def whole(self) -> Source:
        """What it shows when it is not limited."""
        return self._whole

    def limit(self, source: Source, query: str) -> None:
        """Show another source in its place; the cursor stays on its message if that is there."""
        self.source, self.limited = source, query
        self._seen = -1
        self.refresh()

    @property
    def where(self) -> str:
        return f"{self.cursor + 1}/{self._count}" if self._count else "empty"

    # -- rows --------------------------------------------------------------------------------

    def refresh(self) -> None:
        revision = self._revision()
        if revision == self._seen:
            return
        self._seen = revision
        self._pages.clear()
        self._count = self.source.count()
        above = self.cursor - self.top
        # What is listed last comes with the news that this is over: so the answer of before counts.
        at_top, self._at_top = self._at_top, self._at_top and self._filling()
        if self._current is not None and not (at_top and self.cursor == 0):
            place = self.source.position(self._current)
            if place is not None:
                self.cursor = place
        self._clamp()
        if self.top:  # new mail comes in above, out of sight: what is read does not jump
            self.top = max(0, self.cursor - above)
        self._reveal()

    def resized(self) -> None:
        self._reveal()

    def count(self) -> int:
        return self._count

    def at(self, place: int) -> Message | None:
        """Return the message of a row."""
        number, within = divmod(place, _PAGE)
        if number not in self._pages:
            self._pages[number] = self.source.page(number * _PAGE, _PAGE)
        page = self._pages[number]
        return page[within] if 0 <= within < len(page) else None

    def row(self, place: int, width: int) -> Line:
        message = self.at(place)
        if message is None:
            return []
        marked = message.id in self._marked
        line = row(message, Look(width, self._now(), self._glyphs, marked, self._outgoing))
        if message.id in self._leaving:
            line = [("class:row.leaving", text) for _, text in line]
        if place == self.cursor:
            return fill(line, width, "class:cursor" if self.focused else "class:cursor.away")
        return line

    # -- moving ------------------------------------------------------------------------------

    def move(self, lines: int) -> None:
        self._put(self.cursor + lines)

    def scroll(self, pages: float) -> None:
        lines = max(1, round(abs(pages) * self.height) - (2 if abs(pages) >= 1 else 0))
        step = lines if pages > 0 else -lines
        self.top = max(0, min(self.top + step, self.lowest_top(self._count)))
        self._put(self.cursor + step)

    def go_to(self, line: int) -> None:
        self._put(self._count - 1 if line < 0 else line - 1)

    def put_on(self, message: Message) -> None:
        """Put the cursor on a message if it is here."""
        place = self.source.position(message)
        if place is not None:
            self._put(place)

    def next_unread(self, steps: int) -> bool:
        """Move to the n-th unread message below, or above when negative; return whether there is one."""
        if not isinstance(self.source, Messages):
            return False
        unread = self.source.unread.freeze()
        places = _Places(self.source, unread)
        after = bisect.bisect_right(places, self.cursor)
        place = after + steps - 1 if steps > 0 else bisect.bisect_left(places, self.cursor) + steps
        if not 0 <= place < len(places):
            return False
        self._put(places[place])
        return True

    def advance(self, gone: Sequence[str]) -> bool:
        """Move from messages that go away to the next that stays, else the last one before.

        Return whether there is one.
        """
        self._leaving.update(gone)
        for name in gone:
            self._marked.pop(name, None)
        for place in (*range(self.cursor, self._count), *range(self.cursor - 1, -1, -1)):
            message = self.at(place)
            if message is not None and message.id not in self._leaving:
                self._put(place)
                return True
        return False

    def stay(self, names: Sequence[str]) -> None:
        """Take back that messages go away: what was asked for failed."""
        self._leaving.difference_update(names)

    def _put(self, place: int) -> None:
        self._at_top = False
        self.cursor = place
        self._clamp()
        self._reveal()

    def _clamp(self) -> None:
        self.cursor = max(0, min(self.cursor, self._count - 1))
        self._current = self.at(self.cursor) if self._count else None

    def _reveal(self) -> None:
        margin = min(2, (self.height - 1) // 2)
        lowest = min(self.cursor - margin, self.lowest_top(self._count))
        self.top = max(0, min(self.top, lowest), self.cursor - self.height + 1 + margin)
        self.top = max(0, min(self.top, self.lowest_top(self._count)))

    # -- what commands act on ----------------------------------------------------------------

    def message(self) -> Message | None:
        self._at_top = False  # it is what was seen that is meant
        self.refresh()
        return self._current

    def messages(self) -> Messages | None:
        return self.source if isinstance(self.source, Messages) else None

    def marked(self) -> Sequence[Message]:
        return tuple(self._marked.values())

    def toggle_mark(self) -> None:
        """Mark the current message, or take the mark off, and go on to the next."""
        message = self.message()
        if message is not None:
            if self._marked.pop(message.id, None) is None:
                self._marked[message.id] = message
            self.move(1)

    def mark(self, messages: Sequence[Message]) -> None:
        """Mark exactly these."""
        self._marked = {message.id: message for message in messages}


class _Places(Sequence[int]):
    """Where some messages stand in a longer list; each is looked up only when it is asked for."""

    def __init__(self, whole: Messages, some: Messages) -> None:
        self._whole = whole
        self._some = some
        self._count = some.count()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> int:  # type: ignore[override]  # slices are not needed
        found = self._some.page(place, 1)
        return (self._whole.position(found[0]) if found else None) or 0
