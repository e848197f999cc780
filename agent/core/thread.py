"""Thread: a conversation, live; across folders and accounts, copies folded into one.

What is shown of it is everything but Trash and Junk, and what it was asked for in. The verbs act
on the messages, copies too, of the question it came from: `inbox.threads[0].archive()` leaves what
lies in other folders where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, overload

from agent.core.message import Message
from agent.core.verbs import Verbs
from agent.mail import conversation, query
from agent.mail.safe import Safe, fit, safe
from agent.store import search, threads

if TYPE_CHECKING:
    from agent.core.context import Context
    from agent.core.messages import Messages

_SHOWN = 10
_HIDDEN = query.In("trash") | query.In("junk")


class Thread(Verbs):
    """The messages of one conversation, in the order of its tree."""

    def __init__(self, context: Context, number: int, scope: query.Node, near: Message | None = None) -> None:
        self._context = context
        self._number = number
        self._scope = scope
        self._near = near  # of several copies, the one that lies beside this is shown
        self._revision = -1
        self._branches: list[_Branch] = []

    @classmethod
    def of(cls, message: Message) -> Thread:
        """Return the whole thread of a message; its verbs leave Trash, Junk and Drafts alone."""
        scope = ~(_HIDDEN | query.In("drafts")) | query.Ids((message._id,))
        return cls(message._context, message._thread(), scope, message)

    @property
    def id(self) -> str:
        """The name of the thread; it changes only when the beginning of the thread does."""
        return threads.name_of(self._number)

    @property
    def messages(self) -> list[Message]:
        """The messages in the order of the tree: each answer below what it answers, by date."""
        return [branch.message for branch in self._tree()]

    @property
    def outline(self) -> list[tuple[int, Message]]:
        """The messages in that order, each with how deep it stands below the first."""
        return [(branch.depth, branch.message) for branch in self._tree()]

    @property
    def subject(self) -> str:
        """The subject of the first message."""
        found = self.messages
        return found[0].subject if found else ""

    @property
    def date(self) -> datetime | None:
        """The date of the newest message, in local time; None when nothing is left."""
        return max((message.date for message in self.messages), default=None)

    @property
    def unread(self) -> bool:
        """Whether a message of it is not read."""
        return any(message.unread for message in self.messages)

    def parent(self, message: Message) -> Message | None:
        """Return what a message answers, None when that is not here."""
        branch = self._branch(message)
        return branch.parent.message if branch and branch.parent else None

    def children(self, message: Message) -> list[Message]:
        """Return the answers to a message, the oldest first."""
        tree = self._tree()  # asked once: a commit in between would make other branches
        return [other.message for other in tree if other.parent and message._id in other.parent.copies]

    def _branch(self, message: Message) -> _Branch | None:
        return next((branch for branch in self._tree() if message._id in branch.copies), None)

    def _tree(self) -> list[_Branch]:
        revision = self._context.store.revision
        if self._revision != revision:
            node = query.ThreadOf(self.id) & (self._scope | ~_HIDDEN)
            ids = self._context.read(search.ids, node, "date")
            self._branches = _grown(Message.of_ids(self._context, ids), self._near)
            self._revision = revision
        return self._branches

    def _chosen(self) -> list[int]:
        return self._context.read(search.ids, query.ThreadOf(self.id) & self._scope)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self._tree())

    def __bool__(self) -> bool:
        return True

    def __contains__(self, message: object) -> bool:
        return isinstance(message, Message) and self._branch(message) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thread) and other._number == self._number

    def __hash__(self) -> int:
        return hash(("thread", self._number))

    def _line(self) -> Safe:
        """Show the thread as one line."""
        when = f"{self.date:%Y-%m-%d %H:%M}" if self.date else " " * 16
        people = dict.fromkeys(message.from_.name or message.from_.addr for message in self.messages)
        who = fit(safe(", ".join(people)), 30)
        return Safe(
            f"{'N' if self.unread else ' '} {when}  {len(self):>3}  {who}  {safe(self.subject)}".rstrip()
        )

    def __repr__(self) -> str:
        lines = [f"<Thread {self.id}: {safe(self.subject)}, {_count(len(self), 'message')}>"]
        lines += [f"  {'  ' * min(depth, 12)}{one._line()}" for depth, one in self.outline[:_SHOWN]]
        return "\n".join([*lines, *_more(len(self))])


class Threads(Sequence[Thread]):
    """The threads that messages belong to, the one with the newest of them first; asked anew each time."""

    def __init__(self, messages: Messages) -> None:
        self._context = messages._context
        self._node = messages.query

    def page(self, offset: int, limit: int) -> list[Thread]:
        """Return some threads; the first are at hand at once, however many there are."""
        numbers = self._context.read(search.threads, self._node, limit, offset)
        return [Thread(self._context, number, self._node) for number in numbers]

    def __len__(self) -> int:
        return self._context.read(search.count_threads, self._node)

    def __bool__(self) -> bool:
        return bool(self.page(0, 1))

    def __iter__(self) -> Iterator[Thread]:
        return iter(self.page(0, -1))

    @overload
    def __getitem__(self, index: int) -> Thread: ...
    @overload
    def __getitem__(self, index: slice) -> list[Thread]: ...
    def __getitem__(self, index: int | slice) -> Thread | list[Thread]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self.page(start, max(0, stop - start))[::step] if step > 0 else self.page(0, -1)[index]
        position = index if index >= 0 else len(self) + index
        found = self.page(position, 1) if position >= 0 else []
        if not found:
            raise IndexError(f"there are {len(self)} threads, none at {index}")
        return found[0]

    def __repr__(self) -> str:
        total = len(self)
        lines = [f"<Threads: {_count(total, 'thread')}>"]
        lines += [f"  {thread._line()}" for thread in self.page(0, _SHOWN)]
        return "\n".join([*lines, *_more(total)])


class _Branch:
    """One message of a tree with its copies; the parent is None too where it is missing."""

    def __init__(self, message: Message, copies: frozenset[int], depth: int, parent: _Branch | None) -> None:
        self.message, self.copies, self.depth, self.parent = message, copies, depth, parent


def _grown(found: Sequence[Message], near: Message | None) -> list[_Branch]:
    """Build the tree of messages that are given oldest first."""
    groups = _folded(found)
    if not groups:
        return []
    shown = [_nearest(group, near) for group in groups]
    entries = [_entry(message) for message in shown]
    branches: dict[int, _Branch] = {}
    for node, parent in conversation.tree(entries).walk():
        if node.entry is not None:
            above = branches.get(id(parent))  # none for those below a missing message
            copies = frozenset(message._id for message in groups[node.entry])
            depth = above.depth + 1 if above else 0
            branches[id(node)] = _Branch(shown[node.entry], copies, depth, above)
    return list(branches.values())


def _folded(found: Sequence[Message]) -> list[list[Message]]:
    """Put the copies of each message together: what Message.copies lists."""
    groups: list[list[Message]] = []
    known: dict[object, list[Message]] = {}
    for message in found:
        row = message._row()
        if row is None:
            continue
        same = (row["message_id"], row["size"], row["date"]) if row["message_id"] else row["content"]
        group = known.get(row["content"]) or known.get(same)
        if group is None:
            group = []
            groups.append(group)
        group.append(message)
        known[row["content"]] = known[same] = group
    return groups


def _nearest(copies: Sequence[Message], near: Message | None) -> Message:
    """Choose the copy to show: the message asked for, else one of its folder, its account, the first."""
    row = near._row() if near else None
    if near is None or row is None:
        return copies[0]

    def distance(copy: Message) -> tuple[bool, bool, bool]:
        here = copy._row() or row
        return (copy != near, here["folder"] != row["folder"], here["account"] != row["account"])

    return min(copies, key=distance)


def _entry(message: Message) -> conversation.Entry:
    row = message._row()
    assert row is not None  # _folded left out those without
    return threads.entry_of(*(row[name] for name in ("message_id", "refs", "in_reply_to", "subject", "date")))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _more(total: int) -> list[str]:
    return [f"  … {total - _SHOWN} more"] if total > _SHOWN else []
