"""Message: one copy of a mail in one folder, live.

Properties read the store only, at most one indexed SELECT, and never raise for missing data. What
comes from a sender is shown through mail.safe in reprs; properties give it as it was sent.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSet, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from agent.core import bodies
from agent.core import job as jobs
from agent.core.job import Job
from agent.core.verbs import Verbs, folder_of
from agent.errors import CommandError
from agent.mail import flags as words
from agent.mail import query_parse
from agent.mail.address import Address, parse_addresses
from agent.mail.header import AUTOMATIC, BOUNCE, BULK, LIST, Envelope
from agent.mail.safe import Safe, fit, safe
from agent.store import messages, schema, search, threads
from agent.store.db import Row

if TYPE_CHECKING:
    from agent.core.account import Account
    from agent.core.context import Context
    from agent.core.draft import Draft
    from agent.core.folder import Folder
    from agent.core.thread import Thread
    from agent.mail.parse import Parsed, Part


@lru_cache(maxsize=16)
def _parsed(raw: bytes) -> Parsed:
    """Parse once for the properties that are asked one after the other."""
    from agent.mail.parse import parse  # lists do without it

    return parse(raw)


class Flags(MutableSet[str]):
    """The flags of a message: seen flagged answered draft deleted forwarded. Changes write through."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def _now(self) -> frozenset[str]:
        return words.words(self._message._bits)

    def __contains__(self, flag: object) -> bool:
        return flag in self._now()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._now()))

    def __len__(self) -> int:
        return len(self._now())

    def add(self, value: str) -> None:
        """Set a flag."""
        self._message._flags("flagged", value, add=_bit(value))

    def discard(self, value: str) -> None:
        """Clear a flag."""
        self._message._flags("unflagged", value, remove=_bit(value))

    def __repr__(self) -> str:
        return f"{{{', '.join(self)}}}"


class Tags(MutableSet[str]):
    """The tags of a message. Changes write through."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def _now(self) -> frozenset[str]:
        row = self._message._row()
        return messages.split_tags(row["tags"]) if row else frozenset()

    def __contains__(self, tag: object) -> bool:
        return isinstance(tag, str) and tag.casefold() in {known.casefold() for known in self._now()}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._now()))

    def __len__(self) -> int:
        return len(self._now())

    def add(self, value: str) -> None:
        """Add a tag."""
        self._message.tag(value)

    def discard(self, value: str) -> None:
        """Take a tag off."""
        self._message.untag(value)

    def __repr__(self) -> str:
        return f"{{{', '.join(safe(tag) for tag in self)}}}"


def _bit(flag: str) -> int:
    try:
        return words.bits([flag])
    except KeyError as error:
        raise CommandError(str(error.args[0])) from None


class Message(Verbs):
    """One message; `id` names it for ever, through moves, restarts and a new UIDVALIDITY."""

    def __init__(self, context: Context, message: int, row: Row | None = None) -> None:
        self._context = context
        self._id = message
        self._cached = row
        self._revision = context.store.revision if row is not None else -1

    @classmethod
    def of_ids(cls, context: Context, ids: Sequence[int]) -> list[Message]:
        """Return the messages with the given row ids, their rows read by one SELECT per 500."""
        return [cls(context, row["id"], row) for row in context.read(messages.get_many, ids)]

    def _row(self) -> Row | None:
        revision = self._context.store.revision
        if self._revision != revision:
            self._cached = self._context.read(messages.get, self._id)
            self._revision = revision
        return self._cached

    def _text(self, column: str) -> str:
        row = self._row()
        return (row[column] or "") if row else ""

    def _number(self, column: str) -> int:
        row = self._row()
        return int(row[column]) if row else 0

    # -- where -------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The name of this copy, for ever."""
        return str(self._id)

    @property
    def account(self) -> Account | None:
        """The account it lies in; None when that is not configured any more."""
        row = self._row()
        known = self._context.accounts
        return next((account for account in known.values() if row and account.id == row["account"]), None)

    @property
    def folder(self) -> Folder | None:
        """The folder it is shown in; None when it is gone."""
        row = self._row()
        return folder_of(self._context, row["folder"]) if row and row["folder"] is not None else None

    @property
    def uid(self) -> int | None:
        """Its UID in that folder; None while the server has not told."""
        row = self._row()
        return row["uid"] if row else None

    # -- what --------------------------------------------------------------------------------

    @property
    def subject(self) -> str:
        """The subject, decoded."""
        return self._text("subject")

    @property
    def from_(self) -> Address:
        """The first author; an empty address when there is none or it is ambiguous."""
        found = parse_addresses(self._text("from_"))
        return found[0] if found else Address("", "")

    @property
    def to(self) -> tuple[Address, ...]:
        """To."""
        return parse_addresses(self._text("to_"))

    @property
    def cc(self) -> tuple[Address, ...]:
        """Cc."""
        return parse_addresses(self._text("cc"))

    @property
    def bcc(self) -> tuple[Address, ...]:
        """Bcc, known of what we sent ourselves."""
        return parse_addresses(self._text("bcc"))

    @property
    def reply_to(self) -> tuple[Address, ...]:
        """Reply-To."""
        return parse_addresses(self._text("reply_to"))

    @property
    def date(self) -> datetime:
        """When it was sent, in local time; when it arrived, where the Date header says nothing."""
        return _local(self._number("date"))

    @property
    def received(self) -> datetime:
        """When it arrived on the server, in local time."""
        return _local(self._number("received"))

    @property
    def size(self) -> int:
        """Size in octets."""
        return self._number("size")

    @property
    def message_id(self) -> str:
        """Message-ID without brackets."""
        return self._text("message_id")

    @property
    def references(self) -> tuple[str, ...]:
        """The ids of References."""
        return tuple(self._text("refs").split())

    @property
    def in_reply_to(self) -> tuple[str, ...]:
        """The ids of In-Reply-To."""
        return tuple(self._text("in_reply_to").split())

    @property
    def list_id(self) -> str:
        """List-Id, empty when it did not come through a list."""
        return self._text("list_id")

    @property
    def snippet(self) -> str:
        """The beginning of what is new in it."""
        return self._text("snippet")

    # -- conversation ------------------------------------------------------------------------

    @property
    def thread_id(self) -> str:
        """The name of its thread; `thread:` takes it, too."""
        return threads.name_of(self._thread())

    @property
    def thread(self) -> Thread:
        """The conversation it belongs to, across folders and accounts."""
        from agent.core.thread import Thread  # which is made of messages

        return Thread.of(self)

    @property
    def parent(self) -> Message | None:
        """What it answers, None when that is not here."""
        return self.thread.parent(self)

    @property
    def children(self) -> list[Message]:
        """The answers to it, the oldest first."""
        return self.thread.children(self)

    def _thread(self) -> int:
        return self._number("thread")

    # -- state -------------------------------------------------------------------------------

    @property
    def _bits(self) -> int:
        return self._number("flags")

    @property
    def flags(self) -> Flags:
        """Its flags; changes write through."""
        return Flags(self)

    @property
    def tags(self) -> Tags:
        """Its tags; changes write through."""
        return Tags(self)

    @property
    def unread(self) -> bool:
        """Not read."""
        return not self._bits & words.SEEN

    @property
    def flagged(self) -> bool:
        """Flagged."""
        return bool(self._bits & words.FLAGGED)

    @property
    def answered(self) -> bool:
        """Answered."""
        return bool(self._bits & words.ANSWERED)

    @property
    def forwarded(self) -> bool:
        """Forwarded."""
        return bool(self._bits & words.FORWARDED)

    @property
    def draft(self) -> bool:
        """A draft."""
        return bool(self._bits & words.DRAFT)

    @property
    def is_list(self) -> bool:
        """Whether it came through a mailing list."""
        return bool(self._number("traits") & LIST)

    @property
    def is_bulk(self) -> bool:
        """Whether it calls itself bulk mail."""
        return bool(self._number("traits") & BULK)

    @property
    def is_automatic(self) -> bool:
        """Whether a program wrote it (RFC 3834)."""
        return bool(self._number("traits") & AUTOMATIC)

    @property
    def is_bounce(self) -> bool:
        """Whether it reports a failed delivery."""
        return bool(self._number("traits") & BOUNCE)

    @property
    def to_me(self) -> bool:
        """Whether one of the account's addresses stands in To or Cc."""
        account = self.account
        own = {identity.addr.casefold() for identity in account.identities} if account else set()
        return any(address.addr.casefold() in own for address in (*self.to, *self.cc))

    # -- content -----------------------------------------------------------------------------

    @property
    def fetched(self) -> bool:
        """Whether all of it is here."""
        return self._number("state") == schema.WHOLE

    @property
    def begun(self) -> bool:
        """Whether some of it is here: of large mail the beginning, or all when `fetched`."""
        return self._number("state") != schema.LISTED

    @property
    def raw(self) -> bytes:
        """The bytes, as the server has them; empty until fetched."""
        return self._bytes() if self.fetched else b""

    def _bytes(self) -> bytes:
        row = self._row()
        return (self._context.read(messages.raw, row["content"]) or b"") if row else b""

    def _content(self) -> Parsed:
        return _parsed(self._bytes())

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All header fields in order, decoded; empty until fetched."""
        return list(self._content().headers)

    @property
    def text(self) -> str:
        """What a person reads of it; empty until fetched."""
        return self._content().text

    @property
    def html(self) -> str:
        """The HTML of it, empty when there is none."""
        return self._content().html

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the MIME tree, below the root."""
        root = self._content().root
        return root.parts or (root,)

    @property
    def attachments(self) -> tuple[Part, ...]:
        """The parts that are attachments."""
        return tuple(self._content().attachments)

    @property
    def links(self) -> tuple[str, ...]:
        """The links in its text, in order."""
        return tuple(self._content().links)

    @property
    def copies(self) -> list[Message]:
        """The same message elsewhere."""
        return Message.of_ids(self._context, self._context.read(messages.copies, self._id))

    def fetch(self) -> Job:
        """Bring the whole message here when it is not; marks nothing read."""
        row = self._row()
        if row is None:
            raise CommandError(f"message {self.id} is gone")
        return jobs.request(self._context, row["account"], "fetch", "fetched 1 message", messages=[self._id])

    # -- writing -----------------------------------------------------------------------------

    def reply(self, text: str = "", *, all: bool = False, quote: bool = True) -> Draft:
        """Begin a reply; `all` answers everybody, `quote` quotes the text below an attribution."""
        from agent.core import drafting

        return drafting.reply(self._context, self, text, to_all=all, quote=quote)

    def forward(self, to: str = "", text: str = "") -> Draft:
        """Begin a forward with the text inline and the attachments kept."""
        from agent.core import drafting

        return drafting.forward(self._context, self, to, text)

    def edit_as_new(self) -> Draft:
        """Begin a new message like this one; also how a draft is taken up again."""
        from agent.core import drafting

        return drafting.edit_as_new(self._context, self)

    def auto_reply(
        self, text: str, *, handle: str = "", every: str = "7d", subject: str = "", force: bool = False
    ) -> Job:
        """Answer automatically, if RFC 3834 and RFC 5230 allow it and the sender has not been answered yet.

        Once in `every` for each sender and `handle` (default: the rule's or hook's name). The returned
        job is cancelled, and says why, when no reply goes out. `force` skips every check.
        """
        from agent.core import replies

        return replies.auto_reply(
            self._context, self, text, handle=handle, every=every, subject=subject, force=force
        )

    # -- common ------------------------------------------------------------------------------

    def _key(self) -> str:
        """Return what claims go by: the hash of the bytes, never a Message-ID, which a sender chooses.

        A large message arrives without all its bytes: it goes by its own id, before and after the
        rest of it is fetched.
        """
        row = self._row()
        if row is None or row["hash"] is None or row["size"] > bodies.LARGE:
            return f"message {self._id}"
        return str(row["hash"])

    def _in(self, text: str) -> bool:
        """Tell whether the message is what a query of the query language means."""
        node = query_parse.parse(text, self._context.clock.now())
        return self._context.read(search.contains, node, self._id)

    def _envelope(self) -> Envelope:
        """Return the envelope: the whole header's where it is here, else that of the listing."""
        if raw := self._bytes():
            return _parsed(raw).envelope
        return Envelope(
            subject=self.subject, from_=self._text("from_"), sender=self._text("sender"),
            to=self._text("to_"),
            cc=self._text("cc"), bcc=self._text("bcc"), reply_to=self._text("reply_to"),
            date=self._number("date"), message_id=self.message_id, in_reply_to=self.in_reply_to,
            references=self.references, list_id=self.list_id, traits=self._number("traits"),
            return_path=None,
        )  # fmt: skip

    def _chosen(self) -> list[int]:
        return [self._id]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and other._id == self._id

    def __hash__(self) -> int:
        return hash(("message", self._id))

    def _line(self) -> Safe:
        """Show the message as one line."""
        marks = ("N" if self.unread else " ") + ("!" if self.flagged else " ")
        who = self.from_.name or self.from_.addr
        return Safe(
            f"{marks} {self.date:%Y-%m-%d %H:%M}  {fit(safe(who), 20)}  {safe(self.subject)}".rstrip()
        )

    def __repr__(self) -> str:
        where = self.folder
        return f"<Message {self.id} {where or 'gone'}: {self._line()}>"


def _local(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone()
