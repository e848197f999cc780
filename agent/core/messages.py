"""Messages: a question about mail, asked anew each time it is looked at.

Lazy, newest first, set-like; may span accounts. Verbs, iteration and slices first freeze the ids,
so that `for m in inbox.unread: m.mark_read()` handles all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, overload

from agent.core import grouping, server_search
from agent.core.explain import explain
from agent.core.message import Message
from agent.core.server_search import ServerSearch
from agent.core.thread import Threads
from agent.core.verbs import Verbs
from agent.mail import query as queries
from agent.mail.query_keywords import from_keywords
from agent.mail.query_parse import parse
from agent.store import folders, search

if TYPE_CHECKING:
    from agent.core.context import Context

_SHOWN = 10


class Messages(Verbs):
    """The messages a query means."""

    def __init__(self, context: Context, node: queries.Node, order: str = "-date") -> None:
        self._context = context
        self._node = node
        self._order = order

    @property
    def query(self) -> queries.Node:
        """The query as a tree."""
        return self._node

    # -- narrowing ---------------------------------------------------------------------------

    @property
    def unread(self) -> Messages:
        """Those not read."""
        return self._narrowed(queries.Is("unread"))

    @property
    def flagged(self) -> Messages:
        """The flagged ones."""
        return self._narrowed(queries.Is("flagged"))

    def search(self, text: str = "", **keywords: Any) -> Messages:
        """Narrow by the query language, keywords, or both; raises QueryError.

        >>> inbox.search("from:bob is:unread newer:7d")
        >>> inbox.search(from_="bob", unread=True, since="7d")
        """
        now = self._context.clock.now()
        return self._narrowed(parse(text, now) & from_keywords(now, **keywords))

    @property
    def threads(self) -> Threads:
        """The conversations they belong to, the one with the newest message first."""
        return Threads(self)

    def sort(self, order: str) -> Messages:
        """Order by date, received, size, subject, from, to or cc; a leading `-` turns it round."""
        return Messages(self._context, self._node, order)

    def __and__(self, other: Messages) -> Messages:
        return self._with(self._node & other._node)

    def __or__(self, other: Messages) -> Messages:
        return self._with(self._node | other._node)

    def __sub__(self, other: Messages) -> Messages:
        return self._with(self._node - other._node)

    def freeze(self) -> Messages:
        """Fix the messages: the result no longer changes with the mailbox."""
        return self._with(queries.Ids(tuple(self.ids())))

    def _narrowed(self, node: queries.Node) -> Messages:
        return self._with(self._node & node)

    def _with(self, node: queries.Node) -> Messages:
        return Messages(self._context, node, self._order)

    # -- asking ------------------------------------------------------------------------------

    def ids(self, limit: int = -1, offset: int = 0) -> list[int]:
        """Return row ids in order."""
        return self._context.read(search.ids, self._node, self._order, limit, offset)

    def page(self, offset: int, limit: int) -> list[Message]:
        """Return some messages with their rows already read: one SELECT for all."""
        return Message.of_ids(self._context, self.ids(limit, offset))

    def position(self, message: Message) -> int | None:
        """Return where a message stands, or None when it is not here."""
        if self._order != "-date":
            ids = self.ids()
            return ids.index(message._id) if message._id in ids else None
        return self._context.read(search.position, self._node, message._id)

    def count(self) -> int:
        """Count the messages."""
        return self._context.read(search.count, self._node)

    def first(self) -> Message | None:
        """Return the first message, the newest unless sorted otherwise."""
        found = self.page(0, 1)
        return found[0] if found else None

    def explain(self) -> str:
        """Tell what answers each part, and how many messages of the question are not here or not indexed."""
        return explain(self._context, self._node)

    def search_server(self) -> ServerSearch:
        """Ask the servers for what is not here: bodies that the account's policy leaves there.

        Returns a Job whose `messages` are these and what the servers find; it fails when an account
        is offline. Raises CommandError when no account that is meant keeps its mail on a server.

        >>> found = inbox.search("body:invoice").search_server().wait(30).messages
        """
        return server_search.ask(self._context, self._node, lambda hits: self._with(self._node | hits))

    def group(self, key: str) -> dict[str, Messages]:
        """Sort them by account, folder, from, domain, to, list_id, tag, day, month, year or thread.

        Each group is fixed, like `freeze()`. A message with several tags is in several groups.
        """
        found = grouping.group(self._context, self.ids(), key)
        return {name: Messages(self._context, queries.Ids(ids), self._order) for name, ids in found.items()}

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return bool(self.ids(1))

    def __iter__(self) -> Iterator[Message]:
        ids = self.ids()
        for start in range(0, len(ids), 200):
            yield from Message.of_ids(self._context, ids[start : start + 200])

    def __contains__(self, message: object) -> bool:
        return isinstance(message, Message) and self._context.read(search.contains, self._node, message._id)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        if isinstance(index, slice):
            start, stop = index.start or 0, index.stop
            if stop is not None and 0 <= start <= stop and index.step in (None, 1):
                return self.page(start, stop - start)
            return Message.of_ids(self._context, self.ids()[index])
        position = index if index >= 0 else self.count() + index
        found = self.page(position, 1) if position >= 0 else []
        if not found:
            raise IndexError(f"there are {self.count()} messages, none at {index}")
        return found[0]

    def _chosen(self) -> list[int]:
        return self.ids()

    def __repr__(self) -> str:
        total = self.count()
        lines = [f"<{self._title()}: {total} message{'' if total == 1 else 's'}>"]
        lines += [f"  {message._line()}" for message in self.page(0, _SHOWN)]
        if total > _SHOWN:
            lines.append(f"  … {total - _SHOWN} more")
        return "\n".join(lines)

    def _title(self) -> str:
        return "Messages"


class Everything(Messages):
    """Every message of every account; without Trash and Junk, unless `in:` names them.

    `id:` finds what it names wherever it lies.
    """

    def __init__(self, context: Context, asked: queries.Node | None = None, order: str = "-date") -> None:
        self._asked = asked or queries.All()
        super().__init__(context, _but_hidden(context, self._asked), order)

    def sort(self, order: str) -> Everything:
        """Order by date, received, size, subject, from, to or cc; a leading `-` turns it round."""
        return Everything(self._context, self._asked, order)

    def _narrowed(self, node: queries.Node) -> Everything:
        return Everything(self._context, self._asked & node, self._order)

    def _title(self) -> str:
        return "mail"


_HIDDEN = ("trash", "junk")


def _but_hidden(context: Context, asked: queries.Node) -> queries.Node:
    """Leave out the folders that people do not mean, but those a query names."""
    leaves = list(_leaves(asked))
    if any(isinstance(leaf, queries.Id) for leaf in leaves):
        return asked
    words = {leaf.folder.casefold() for leaf in leaves if isinstance(leaf, queries.In)}
    named = words | context.read(folders.roles_named, words) if words else words
    for role in _HIDDEN:
        if role not in named:
            asked = asked - queries.In(role)
    return asked


def _leaves(node: queries.Node) -> Iterator[queries.Node]:
    if isinstance(node, queries.And | queries.Or):
        for item in node.items:
            yield from _leaves(item)
    elif isinstance(node, queries.Not):
        yield from _leaves(node.item)
    else:
        yield node
