"""Message and content rows: put in what the server has, look up what is shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent.mail.header import Envelope
from agent.mail.parse import parse
from agent.mail.words import split_cjk
from agent.store import schema
from agent.store.db import Transaction


@dataclass(frozen=True, slots=True)
class Body:
    """What the bytes of a message say beyond its envelope; `whole` tells whether they are all here."""

    hash: str
    raw: bytes
    traits: int
    snippet: str
    text: str
    files: tuple[str, ...]
    defects: tuple[str, ...] = ()
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it came from the server, or as we wrote it ourselves (no uid)."""

    uid: int | None
    flags: int
    tags: str
    received: int
    size: int
    envelope: Envelope
    body: Body | None = None
    date: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        # A Date from the future would stick to the top of every list.
        sent = self.envelope.date
        date = self.received if sent is None else min(sent, self.received + 86_400)
        object.__setattr__(self, "date", date)


def join_tags(tags: Iterable[str]) -> str:
    """Return tags as the store keeps them: sorted, with a blank on either side of each."""
    found = sorted(set(tags))
    return f" {' '.join(found)} " if found else ""


def split_tags(tags: str) -> frozenset[str]:
    """Return the tags of a stored text."""
    return frozenset(tags.split())


SELECT = """
SELECT m.id, m.account, m.folder, m.content, m.flags, m.tags, m.date, m.received, m.size,
  CASE WHEN m.folder IS m.s_folder THEN m.s_uid END AS uid,
  c.state, c.hash, c.message_id, c.subject, f.text AS from_, t.text AS to_, cc.text AS cc, b.text AS bcc,
  l.text AS list_id, c.sender, c.reply_to, c.return_path, c.in_reply_to, c.refs, c.traits, c.snippet,
  c.files, c.defects
FROM message m JOIN content c ON c.id = m.content
  LEFT JOIN party f ON f.id = c.from_ LEFT JOIN party t ON t.id = c.to_
  LEFT JOIN party cc ON cc.id = c.cc LEFT JOIN party b ON b.id = c.bcc
  LEFT JOIN party l ON l.id = c.list_id
"""


def get(db: Transaction, message: int) -> sqlite3.Row | None:
    """Return the row of one message, also of one that is gone."""
    row: sqlite3.Row | None = db.execute(SELECT + "WHERE m.id = ?", (message,)).fetchone()
    return row


def get_many(db: Transaction, ids: Sequence[int]) -> list[sqlite3.Row]:
    """Return rows in the order of the ids; ids without a row are left out."""
    found: dict[int, sqlite3.Row] = {}
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        marks = ",".join("?" * len(some))
        found.update((row["id"], row) for row in db.execute(f"{SELECT} WHERE m.id IN ({marks})", some))
    return [found[message] for message in ids if message in found]


def raw(db: Transaction, content: int) -> bytes | None:
    """Return the bytes of a content, or None while they are not here."""
    row = db.execute("SELECT bytes FROM raw WHERE content = ?", (content,)).fetchone()
    return None if row is None else bytes(row[0])


def copies(db: Transaction, message: int) -> list[int]:
    """Return the other shown messages with the same content, or the same Message-ID, size and date."""
    rows = db.execute(
        "SELECT o.id FROM message m JOIN content c ON c.id = m.content"
        " JOIN content d ON d.id = c.id OR (c.message_id <> '' AND d.message_id = c.message_id)"
        " JOIN message o ON o.content = d.id"
        " WHERE m.id = ? AND o.id <> m.id AND o.folder IS NOT NULL"
        " AND (o.content = m.content OR (o.size = m.size AND o.date = m.date)) ORDER BY o.id",
        (message,),
    )
    return [row[0] for row in rows]


def insert(tx: Transaction, account: int, folder: int, items: Sequence[Incoming]) -> list[int]:
    """Add rows for messages that lie in a folder of the server; return their ids."""
    contents = [_content(tx, item) for item in items]
    first = _next_id(tx, "message")
    rows = [
        (
            first + n, account, folder, content, item.flags, item.tags, item.date, item.received, item.size,
            folder, item.uid, item.flags, item.tags,
        )
        for n, (item, content) in enumerate(zip(items, contents, strict=True))
    ]  # fmt: skip
    tx.executemany(
        "INSERT INTO message (id, account, folder, content, flags, tags, date, received, size,"
        " s_folder, s_uid, s_flags, s_tags) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    return [row[0] for row in rows]


def insert_local(
    tx: Transaction, account: int, folder: int, content: int, like: sqlite3.Row | Incoming
) -> int:
    """Add a row for a message that is to be copied or appended; the server does not have it yet."""
    values = {name: _value(like, name) for name in ("flags", "tags", "date", "received", "size")}
    cursor = tx.execute(
        "INSERT INTO message (account, folder, content, flags, tags, date, received, size, s_flags, s_tags)"
        " VALUES (:account, :folder, :content, :flags, :tags, :date, :received, :size, :flags, :tags)",
        {**values, "account": account, "folder": folder, "content": content},
    )
    return int(cursor.lastrowid or 0)


def _value(like: sqlite3.Row | Incoming, name: str) -> object:
    return like[name] if isinstance(like, sqlite3.Row) else getattr(like, name)


def _next_id(tx: Transaction, table: str) -> int:
    row = tx.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return (row[0] if row else 0) + 1


# -- content ---------------------------------------------------------------------------------


def add_content(tx: Transaction, item: Incoming) -> int:
    """Return the content row of a message, adding what is not known yet."""
    return _content(tx, item)


def _content(tx: Transaction, item: Incoming) -> int:
    body = item.body
    if body is not None and body.whole:
        known = tx.execute("SELECT id FROM content WHERE hash = ?", (body.hash,)).fetchone()
        if known:
            return int(known[0])
    envelope = item.envelope
    cursor = tx.execute(
        "INSERT INTO content (message_id, subject, from_, to_, cc, bcc, list_id, sender, reply_to,"
        " return_path, in_reply_to, refs, traits) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            envelope.message_id, envelope.subject, party(tx, envelope.from_), party(tx, envelope.to),
            party(tx, envelope.cc), party(tx, envelope.bcc), party(tx, envelope.list_id), envelope.sender,
            envelope.reply_to, envelope.return_path, " ".join(envelope.in_reply_to),
            " ".join(envelope.references), envelope.traits,
        ),
    )  # fmt: skip
    content = int(cursor.lastrowid or 0)
    if body is None:
        _index(tx, content, envelope, "", ())
    else:
        _store_body(tx, content, envelope, body)
    return content


def party(tx: Transaction, text: str) -> int | None:
    """Return the id of a text of names and addresses; None for an empty one."""
    if not text:
        return None
    row = tx.execute("SELECT id FROM party WHERE text = ?", (text,)).fetchone()
    if row:
        return int(row[0])
    cursor = tx.execute("INSERT INTO party (text, folded) VALUES (?, ?)", (text, text.casefold()))
    return int(cursor.lastrowid or 0)


def add_body(tx: Transaction, message: int, envelope: Envelope, body: Body) -> None:
    """Store the bytes of a message that so far was only listed; its content may turn out to be known."""
    row = tx.execute(
        "SELECT m.content, c.state FROM message m JOIN content c ON c.id = m.content WHERE m.id = ?",
        (message,),
    ).fetchone()
    if row is None or row["state"] == schema.WHOLE:
        return
    content = row["content"]
    known = body.whole and tx.execute("SELECT id FROM content WHERE hash = ?", (body.hash,)).fetchone()
    _unindex(tx, content)
    if known:
        tx.execute("UPDATE message SET content = ? WHERE content = ?", (known[0], content))
        tx.execute("DELETE FROM raw WHERE content = ?", (content,))
        tx.execute("DELETE FROM content WHERE id = ?", (content,))
        return
    _update_envelope(tx, content, envelope)
    _store_body(tx, content, envelope, body)


def _update_envelope(tx: Transaction, content: int, envelope: Envelope) -> None:
    """Take over what the whole header says: a listing may have lacked fields."""
    tx.execute(
        "UPDATE content SET message_id = ?, subject = ?, from_ = ?, to_ = ?, cc = ?, bcc = ?, list_id = ?,"
        " sender = ?, reply_to = ?, return_path = ?, in_reply_to = ?, refs = ? WHERE id = ?",
        (
            envelope.message_id, envelope.subject, party(tx, envelope.from_), party(tx, envelope.to),
            party(tx, envelope.cc), party(tx, envelope.bcc), party(tx, envelope.list_id), envelope.sender,
            envelope.reply_to, envelope.return_path, " ".join(envelope.in_reply_to),
            " ".join(envelope.references), content,
        ),
    )  # fmt: skip


def _store_body(tx: Transaction, content: int, envelope: Envelope, body: Body) -> None:
    state = schema.WHOLE if body.whole else schema.PARTIAL
    tx.execute(
        "UPDATE content SET state = ?, hash = ?, traits = ?, snippet = ?, files = ?, defects = ? WHERE id = ?",
        (
            state, body.hash if body.whole else None, body.traits, body.snippet, "\n".join(body.files),
            "\n".join(body.defects), content,
        ),
    )  # fmt: skip
    tx.execute("INSERT OR REPLACE INTO raw (content, bytes) VALUES (?, ?)", (content, body.raw))
    _index(tx, content, envelope, body.text, body.files)


# -- the text index --------------------------------------------------------------------------


def _people(envelope: Envelope) -> str:
    return "\n".join(text for text in (envelope.from_, envelope.to, envelope.cc, envelope.bcc) if text)


def _index(tx: Transaction, content: int, envelope: Envelope, text: str, files: Sequence[str]) -> None:
    tx.execute(
        "INSERT INTO text (rowid, subject, people, body, files) VALUES (?, ?, ?, ?, ?)",
        (
            content, split_cjk(envelope.subject), split_cjk(_people(envelope)), split_cjk(text),
            split_cjk(" ".join(files)),
        ),
    )  # fmt: skip


def _unindex(tx: Transaction, content: int) -> None:
    """Take a content out of the index; a contentless table wants the same text again."""
    row = tx.execute(
        "SELECT c.subject, f.text, t.text, cc.text, b.text, c.state, r.bytes FROM content c"
        " LEFT JOIN party f ON f.id = c.from_ LEFT JOIN party t ON t.id = c.to_"
        " LEFT JOIN party cc ON cc.id = c.cc LEFT JOIN party b ON b.id = c.bcc"
        " LEFT JOIN raw r ON r.content = c.id WHERE c.id = ?",
        (content,),
    ).fetchone()
    subject, *people = row[:5]
    text, files = "", ""
    if row[6] is not None:
        parsed = parse(bytes(row[6]))
        text, files = parsed.index_text, " ".join(part.name for part in parsed.attachments)
    tx.execute(
        "INSERT INTO text (text, rowid, subject, people, body, files) VALUES ('delete', ?, ?, ?, ?, ?)",
        (
            content, split_cjk(subject), split_cjk("\n".join(text for text in people if text)),
            split_cjk(text), split_cjk(files),
        ),
    )  # fmt: skip
