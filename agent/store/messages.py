"""Message rows: put in what the server has, look up what is shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from agent.store import care, contents, rows, schema
from agent.store.contents import Incoming, next_id
from agent.store.db import Transaction
from agent.store.tags import join_tags as join_tags
from agent.store.tags import split_tags as split_tags

SELECT = """
SELECT m.id, m.account, m.folder, m.content, m.flags, m.tags, m.date, m.received, m.size,
  CASE WHEN m.folder IS m.s_folder THEN m.s_uid END AS uid,
  c.state, c.hash, c.message_id, c.subject, f.text AS from_, t.text AS to_, cc.text AS cc, b.text AS bcc,
  l.text AS list_id, c.sender, c.reply_to, c.return_path, c.in_reply_to, c.refs, c.traits, c.snippet,
  c.files, c.defects, coalesce((SELECT thread FROM family WHERE id = c.family), 0) AS thread,
  EXISTS (SELECT 1 FROM message x INDEXED BY message_content WHERE x.content = m.content AND x.id = m.id) AS sure
FROM message m JOIN content c ON c.id = m.content
  LEFT JOIN party f ON f.id = c.from_ LEFT JOIN party t ON t.id = c.to_
  LEFT JOIN party cc ON cc.id = c.cc LEFT JOIN party b ON b.id = c.bcc
  LEFT JOIN party l ON l.id = c.list_id
"""


_COLUMNS = (
    "id", "account", "folder", "content", "flags", "tags", "date", "received", "size",
    "s_folder", "s_uid", "s_flags", "s_tags",
)  # fmt: skip


def get(db: Transaction, message: int) -> sqlite3.Row | None:
    """Return the row of one message, also of one that is gone."""
    row: sqlite3.Row | None = db.execute(SELECT + "WHERE m.id = ?", (message,)).fetchone()
    return row if row is None or _is_sure(db, row) else None


def get_many(db: Transaction, ids: Sequence[int]) -> list[sqlite3.Row]:
    """Return rows in the order of the ids; ids without a row are left out."""
    found: dict[int, sqlite3.Row] = {}
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        marks = ",".join("?" * len(some))
        rows = db.execute(f"{SELECT} WHERE m.id IN ({marks})", some)
        found.update((row["id"], row) for row in rows if _is_sure(db, row))
    return [found[message] for message in ids if message in found]


def _is_sure(db: Transaction, row: sqlite3.Row) -> bool:
    """Tell whether an index bears out what a row says it consists of; if not, the file is damaged."""
    if row["sure"]:
        return True
    care.suspect(care.path_of(db))
    return False


def raw(db: Transaction, content: int) -> bytes | None:
    """Return the bytes of a content, or None while they are not here; never other bytes than came."""
    row = db.execute(
        "SELECT r.bytes, c.hash, c.state FROM raw r JOIN content c ON c.id = r.content WHERE r.content = ?",
        (content,),
    ).fetchone()
    if row is None:
        return None
    if row["state"] == schema.WHOLE and not care.is_whole(row["hash"], row["bytes"]):
        care.suspect(care.path_of(db))
        return None
    return bytes(row["bytes"])


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
    found = contents.add(tx, items)
    first = next_id(tx, "message")
    ids = range(first, first + len(items))
    added = [
        (
            message, account, folder, content, item.flags, item.tags, item.date, item.received, item.size,
            folder, item.uid, item.flags, item.tags,
        )
        for message, item, content in zip(ids, items, found, strict=True)
    ]  # fmt: skip
    rows.insert(tx, "message", _COLUMNS, added)
    return [*ids]


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
