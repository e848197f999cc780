"""Content rows: envelope, bytes and text index of a message, stored once per hash of the bytes.

Until the bytes are here a content row belongs to one message and has no hash. Rows are made in
batches: a first listing makes hundreds of thousands.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from operator import itemgetter

import msgspec

from agent.mail.conversation import Entry
from agent.mail.header import Envelope
from agent.mail.words import split_cjk
from agent.store import parties, rows, schema, threads
from agent.store.db import Transaction
from agent.store.numbers import Numbers


class Body(msgspec.Struct, frozen=True, gc=False):
    """What the bytes of a message say beyond its envelope; `whole` tells whether they are all here."""

    hash: str
    raw: bytes
    traits: int
    snippet: str
    text: str
    files: tuple[str, ...]
    defects: tuple[str, ...] = ()
    whole: bool = True


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """A message as it came from the server, or as we wrote it ourselves (no uid)."""

    uid: int | None
    flags: int
    tags: str
    received: int
    size: int
    envelope: Envelope
    body: Body | None = None

    @property
    def date(self) -> int:
        """When it was sent; a Date from the future would stick to the top of every list."""
        sent = self.envelope.date
        return self.received if sent is None else min(sent, self.received + 86_400)


_TEXT = ("rowid", "subject", "people", "body", "files")
_Text = tuple[int, str, str, str, str]  # content, subject, people, body, attachment names

_ENVELOPE = (
    "message_id, subject, from_, to_, cc, bcc, list_id, sender, reply_to, return_path, in_reply_to, refs"
).split(", ")
_BODY = "state, indexed, hash, traits, snippet, files, defects".split(", ")
_COLUMNS = (*_ENVELOPE, *_BODY, "family")
_THREADED = ("message_id", "refs", "in_reply_to", "subject", "date")
_OF_MESSAGES = """
SELECT m.id AS message, m.date, c.id, c.state, c.indexed, c.family, c.message_id, c.refs, c.in_reply_to, c.subject
FROM json_each(?) j CROSS JOIN message m ON m.id = j.value CROSS JOIN content c ON c.id = m.content
"""
_UNINDEX = "INSERT INTO text (text, rowid, subject, people, body, files) VALUES ('delete', ?, ?, ?, ?, ?)"


def next_id(tx: Transaction, table: str) -> int:
    """Return the id the next row of a table gets; ids are never used twice."""
    row = tx.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return (row[0] if row else 0) + 1


def add(tx: Transaction, items: Sequence[Incoming]) -> list[int]:
    """Return the content row of each message, adding those that are not known yet."""
    numbers = Numbers(tx, (item.date for item in items))
    keys = [item.body.hash if item.body is not None and item.body.whole else "" for item in items]
    shared = _by_hash(tx, filter(None, keys)) if any(keys) else {}
    ids: list[int] = []
    fresh: list[tuple[int, Incoming]] = []
    for key, item in zip(keys, items, strict=True):
        known = shared.get(key)
        if known is None:
            known = numbers.take(item.date)
            fresh.append((known, item))
            if key:
                shared[key] = known
        ids.append(known)
    if fresh:
        _insert(tx, fresh)
    return ids


def _insert(tx: Transaction, fresh: Sequence[tuple[int, Incoming]]) -> None:
    numbers = parties.numbers(tx, _texts(item.envelope for _, item in fresh))
    whole = [(n, item, item.body) for n, item in fresh if item.body is not None]
    # What is only listed is threaded and indexed later: both would cost more than the listing.
    joined = threads.join(tx, [_entry(item.envelope, item.date) for _, item, _ in whole])
    families = dict(zip((n for n, _, _ in whole), joined, strict=True))
    rows.insert(
        tx,
        "content",
        ("id", *_COLUMNS),
        [
            (n, *_envelope(item.envelope, numbers), *_body(item.envelope, item.body), families.get(n))
            for n, item in fresh
        ],
    )
    if whole:
        rows.insert(tx, "raw", ("content", "bytes"), [(n, body.raw) for n, _, body in whole])
        _index(tx, [_text(n, item.envelope, body) for n, item, body in whole])


def add_bodies(tx: Transaction, items: Sequence[tuple[int, Envelope, Body]]) -> None:
    """Store the bytes of messages that so far were only listed: (message, envelope, body).

    What is here already is left alone; content that turns out to be known is shared.
    """
    stored = {
        row["message"]: row for row in tx.execute(_OF_MESSAGES, (rows.listed(id for id, _, _ in items),))
    }
    shared = _by_hash(tx, (body.hash for _, _, body in items if body.whole))
    fresh: dict[int, tuple[sqlite3.Row, Envelope, Body]] = {}
    met: set[int] = set()  # a message and its copy may have one content
    for message, envelope, body in items:
        row = stored.get(message)
        if row is None or row["state"] == schema.WHOLE or row["id"] in met:
            continue
        content = int(row["id"])
        met.add(content)
        if row["indexed"]:
            _unindex(tx, content)
        known = shared.get(body.hash) if body.whole else None
        if known is not None:
            tx.execute("UPDATE message SET content = ? WHERE content = ?", (known, content))
            tx.execute("DELETE FROM raw WHERE content = ?", (content,))
            tx.execute("DELETE FROM content WHERE id = ?", (content,))
            continue
        if body.whole:
            shared[body.hash] = content
        fresh[content] = row, envelope, body
    _fill(tx, fresh)


def _fill(tx: Transaction, fresh: dict[int, tuple[sqlite3.Row, Envelope, Body]]) -> None:
    """Write contents whose bytes have come."""
    numbers = parties.numbers(tx, _texts(envelope for _, envelope, _ in fresh.values()))
    families = _families(tx, fresh)
    values = [
        (content, *_envelope(envelope, numbers), *_body(envelope, body), families[content])
        for content, (_, envelope, body) in fresh.items()
    ]
    rows.insert(tx, "content", ("id", *_COLUMNS), values, replace=True)
    raw = [(content, body.raw) for content, (_, _, body) in fresh.items()]
    rows.insert(tx, "raw", ("content", "bytes"), raw, replace=True)
    _index(tx, [_text(content, envelope, body) for content, (_, envelope, body) in fresh.items()])


def _families(tx: Transaction, fresh: dict[int, tuple[sqlite3.Row, Envelope, Body]]) -> dict[int, int]:
    """Return the families of contents whose whole header has come: a listing may have lacked fields."""
    found: dict[int, int] = {}
    changed: dict[int, Entry] = {}
    for content, (row, envelope, _) in fresh.items():
        entry = _entry(envelope, row["date"])
        if row["family"] is not None and entry == threads.entry_of(*(row[name] for name in _THREADED)):
            found[content] = row["family"]
        else:
            changed[content] = entry
    found.update(zip(changed, threads.join(tx, [*changed.values()]), strict=True))
    return found


def _entry(envelope: Envelope, date: int) -> Entry:
    return Entry(envelope.message_id, envelope.references, envelope.in_reply_to, date, envelope.subject)


def _by_hash(tx: Transaction, keys: Iterable[str]) -> dict[str, int]:
    """Return the contents that are known by the hash of their bytes."""
    sql = "SELECT hash, id FROM content WHERE hash IN (SELECT value FROM json_each(?))"
    return dict(tx.execute(sql, (rows.listed(keys),)).fetchall())


def _texts(envelopes: Iterable[Envelope]) -> set[str]:
    found: set[str] = set()
    for each in envelopes:
        found.update((each.from_, each.to, each.cc, each.bcc, each.list_id))
    return found


def _envelope(envelope: Envelope, numbers: dict[str, int | None]) -> tuple[object, ...]:
    """Return the values of the columns _ENVELOPE."""
    return (
        envelope.message_id, envelope.subject, numbers[envelope.from_], numbers[envelope.to],
        numbers[envelope.cc], numbers[envelope.bcc], numbers[envelope.list_id], envelope.sender,
        envelope.reply_to, envelope.return_path, " ".join(envelope.in_reply_to), " ".join(envelope.references),
    )  # fmt: skip


def _body(envelope: Envelope, body: Body | None) -> tuple[object, ...]:
    """Return the values of the columns _BODY."""
    if body is None:
        return (schema.LISTED, 0, None, envelope.traits, "", "", "")
    state = schema.WHOLE if body.whole else schema.PARTIAL
    key = body.hash if body.whole else None
    return (state, 1, key, body.traits, body.snippet, "\n".join(body.files), "\n".join(body.defects))


# -- the text index --------------------------------------------------------------------------


_LISTED = """
SELECT c.id, c.subject, f.text AS from_, t.text AS to_, cc.text AS cc, b.text AS bcc, r.bytes FROM content c
  LEFT JOIN party f ON f.id = c.from_ LEFT JOIN party t ON t.id = c.to_
  LEFT JOIN party cc ON cc.id = c.cc LEFT JOIN party b ON b.id = c.bcc LEFT JOIN raw r ON r.content = c.id
"""


def index_some(tx: Transaction, limit: int) -> int:
    """Put some contents that are not indexed yet into the text index; return how many."""
    found = tx.execute(_LISTED + "WHERE c.indexed = 0 ORDER BY c.id DESC LIMIT ?", (limit,)).fetchall()
    _index(tx, [_text_of_row(row) for row in found])
    ids = rows.listed(row["id"] for row in found)
    tx.execute("UPDATE content SET indexed = 1 WHERE id IN (SELECT value FROM json_each(?))", (ids,))
    return len(found)


def unindexed(db: Transaction) -> int:
    """Count the contents that word searches do not find yet."""
    return int(db.execute("SELECT count(*) FROM content WHERE indexed = 0").fetchone()[0])


def _index(tx: Transaction, texts: Sequence[_Text]) -> None:
    # In the order of their numbers: otherwise FTS5 writes a segment of its own for each.
    rows.insert(tx, "text", _TEXT, sorted(texts, key=itemgetter(0)))


def _text(content: int, envelope: Envelope, body: Body | None) -> _Text:
    people = "\n".join(filter(None, (envelope.from_, envelope.to, envelope.cc, envelope.bcc)))
    text, files = (body.text, " ".join(body.files)) if body is not None else ("", "")
    return (content, split_cjk(envelope.subject), split_cjk(people), split_cjk(text), split_cjk(files))


def _text_of_row(row: sqlite3.Row) -> _Text:
    """Return what _text returned for a content, from what is stored of it."""
    text = files = ""
    if row["bytes"] is not None:
        from agent.mail.parse import parse  # with all of MIME and HTML: not for who only lists

        parsed = parse(bytes(row["bytes"]))
        text, files = parsed.index_text, " ".join(part.name for part in parsed.attachments)
    people = "\n".join(filter(None, (row["from_"], row["to_"], row["cc"], row["bcc"])))
    return (row["id"], split_cjk(row["subject"]), split_cjk(people), split_cjk(text), split_cjk(files))


def _unindex(tx: Transaction, content: int) -> None:
    """Take a content out of the index; a contentless table wants the same text again."""
    row = tx.execute(_LISTED + "WHERE c.id = ?", (content,)).fetchone()
    tx.execute(_UNINDEX, _text_of_row(row))
