"""The messages of a damaged store and what was still to be done to them.

A message is kept when its bytes have the hash they should have, or when it is only listed and the
table agrees with two indexes about what it is. It keeps its number, and forgets its UID: the next
sync finds it on the server again by Message-ID and size, so no change can hit a wrong message.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from agent.mail.header import Envelope
from agent.store import care, contents, functions, schema, state
from agent.store.contents import Incoming
from agent.store.salvage_rows import BROKEN, Table, rows

_ROWS = 200
_SANE_UID = 1 << 32  # RFC 9051: UIDs have 32 bits
_CONTENT = """
SELECT c.id, c.state, c.hash, c.message_id, c.subject, c.sender, c.reply_to, c.return_path, c.in_reply_to, c.refs,
  c.traits, f.text AS from_, t.text AS to_, cc.text AS cc, b.text AS bcc, l.text AS list_id, r.bytes
FROM content c LEFT JOIN raw r ON r.content = c.id
  LEFT JOIN party f ON f.id = c.from_ LEFT JOIN party t ON t.id = c.to_
  LEFT JOIN party cc ON cc.id = c.cc LEFT JOIN party b ON b.id = c.bcc
  LEFT JOIN party l ON l.id = c.list_id
WHERE c.id = ?
"""
_TEXTS = ("message_id", "subject", "sender", "reply_to", "in_reply_to", "refs")
_PARTIES = ("from_", "to_", "cc", "bcc", "list_id")


class Make(Protocol):
    """Parses bytes into what the store keeps."""

    def __call__(
        self, raw: bytes, *, uid: int | None, flags: int, tags: str, received: int, size: int
    ) -> Incoming: ...


def prepare(db: sqlite3.Connection) -> None:
    """Make the functions known that the statements of the store use."""
    functions.register(db)


def messages(old: sqlite3.Connection, new: sqlite3.Connection, make: Make, unread: list[str]) -> set[int]:
    """Take over the messages that prove to be right, in batches; return their numbers."""
    table = Table.of(old, new, "message")
    if table is None:
        unread.append("message")
        return set()
    places = _places(new)
    pairs = dict(_index_pairs(old))
    kept: set[int] = set()
    found = _proven(old, table, make, places, pairs, unread)
    while batch := list(islice(found, _ROWS)):
        new.execute("BEGIN")
        ids = contents.add(new, [item for _, item in batch])
        for (row, item), content in zip(batch, ids, strict=True):
            if _take_over(new, table, row, item, content, places):
                kept.add(row["id"])
        new.execute("COMMIT")
    return kept


def _places(new: sqlite3.Connection) -> dict[int, tuple[int, bool]]:
    """Return account and `a server lists it` by folder."""
    sql = "SELECT id, account, uidvalidity IS NOT NULL FROM folder"
    return {row[0]: (row[1], bool(row[2])) for row in new.execute(sql)}


def _index_pairs(old: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """Yield message and content as the index has them: a second witness to what the rows say."""
    try:
        for content, message in old.execute("SELECT content, id FROM message INDEXED BY message_content"):
            if isinstance(content, int) and isinstance(message, int):
                yield message, content
    except BROKEN:
        return


def _proven(
    old: sqlite3.Connection, table: Table, make: Make, places: dict[int, tuple[int, bool]],
    pairs: dict[int, int], unread: list[str],
) -> Iterator[tuple[sqlite3.Row, Incoming]]:  # fmt: skip
    for row in rows(old, table, unread):
        folder = row["s_folder"] if row["s_folder"] is not None else row["folder"]
        place = places.get(folder)
        if (
            row["id"] <= 0
            or (place is None and row["gone"] is None)
            or (place and place[0] != row["account"])
        ):
            continue
        witness = pairs.get(row["id"])
        item = _item(old, row, make, sure=witness == row["content"])
        if item is None or witness not in (None, row["content"]):
            continue
        if row["s_folder"] is not None and place and place[1] and not item.envelope.message_id:
            continue  # only its size would tell it from others: the server lists it again
        if row["s_folder"] is None and item.body is None:
            continue  # no server has it, and its bytes are lost
        yield row, item


def _item(old: sqlite3.Connection, row: sqlite3.Row, make: Make, *, sure: bool) -> Incoming | None:
    """Return what a message consists of, when that is proven."""
    try:
        found = old.execute(_CONTENT, (row["content"],)).fetchone()
    except (*BROKEN, OverflowError):
        return None
    if found is None or found["id"] != row["content"]:
        return None
    raw = found["bytes"]
    if (
        found["state"] == schema.WHOLE
        and care.is_whole(found["hash"], raw)
        and (sure or len(raw) == row["size"])
    ):
        return make(
            raw, uid=None, flags=row["flags"], tags=row["tags"], received=row["received"], size=row["size"]
        )
    if not sure or not _is_listed(old, found):
        return None
    envelope = Envelope(
        subject=found["subject"], from_=found["from_"] or "", sender=found["sender"], to=found["to_"] or "",
        cc=found["cc"] or "", bcc=found["bcc"] or "", reply_to=found["reply_to"], date=row["date"],
        message_id=found["message_id"], in_reply_to=tuple(found["in_reply_to"].split()),
        references=tuple(found["refs"].split()), list_id=found["list_id"] or "",
        traits=found["traits"], return_path=found["return_path"],
    )  # fmt: skip
    return Incoming(None, row["flags"], row["tags"], row["received"], row["size"], envelope)


def _is_listed(old: sqlite3.Connection, found: sqlite3.Row) -> bool:
    """Tell whether table and index agree about what is only listed, and all of it is text."""
    if not found["message_id"] or not isinstance(found["traits"], int):
        return False
    if not all(isinstance(found[name], str) for name in _TEXTS):
        return False
    if not all(isinstance(found[name], str | None) for name in (*_PARTIES, "return_path")):
        return False
    sql = "SELECT count(*) FROM content INDEXED BY content_message_id WHERE message_id = ? AND id = ?"
    try:
        return bool(old.execute(sql, (found["message_id"], found["id"])).fetchone()[0])
    except BROKEN:
        return False


def _take_over(
    new: sqlite3.Connection, table: Table, row: sqlite3.Row, item: Incoming, content: int,
    places: dict[int, tuple[int, bool]],
) -> bool:  # fmt: skip
    listed = places.get(row["s_folder"], (0, False))[1]
    other: dict[str, object] = {"content": content}
    if listed or row["s_folder"] not in places:
        other["s_uid"] = None
    if row["s_folder"] not in places:
        other["s_folder"] = None
    if row["folder"] not in places:
        other["folder"] = None
    if item.body is None:
        other["arrival"] = 2 if row["arrival"] else 0
    return table.insert(new, row, **other)


# -- what was to be done ---------------------------------------------------------------------


def operations(old: sqlite3.Connection, new: sqlite3.Connection, kept: set[int], unread: list[str]) -> int:
    """Take over the operations on messages that are kept; return how many are still to be done."""
    table = Table.of(old, new, "op")
    if table is None:
        unread.append("op")
        return 0
    jobs = {row[0] for row in new.execute("SELECT id FROM job")}
    places, taken = _places(new), set[int]()
    for row in sorted(rows(old, table, unread), key=lambda row: row["id"]):
        is_open = row["state"] in ("pending", "sent", "unmapped")
        if _can_be_done(row, kept, places, taken) and (row["job"] in jobs or is_open):
            job = row["job"] if row["job"] in jobs else _job_for(new, row, jobs)
            if table.insert(new, row, job=job):
                taken.add(row["id"])
    state.refresh(new, sorted(kept))
    new.execute(
        "UPDATE job SET state = 'failed', error = 'the store was damaged; ask again' WHERE state IN"
        " ('queued', 'running') AND kind = 'verb' AND id NOT IN (SELECT job FROM op) AND id NOT IN"
        " (SELECT job FROM outbox WHERE job IS NOT NULL)"
    )
    sql = "SELECT count(*) FROM op WHERE state IN ('pending', 'sent', 'unmapped')"
    return int(new.execute(sql).fetchone()[0])


def _can_be_done(
    row: sqlite3.Row, kept: set[int], places: dict[int, tuple[int, bool]], taken: set[int]
) -> bool:
    """Tell whether all that an operation names has been saved; half of a transfer must not happen."""
    return (
        row["message"] in kept
        and all(row[name] is None or row[name] in places for name in ("source", "target"))
        and (row["after"] is None or row["after"] in taken)
        and (row["original"] is None or row["original"] in kept or row["kind"] == "append")
    )


def _job_for(new: sqlite3.Connection, row: sqlite3.Row, jobs: set[int]) -> int:
    """Make a job for operations whose own could not be read."""
    new.execute(
        "INSERT INTO job (id, account, kind, label, created) VALUES (?, ?, 'verb', 'saved changes', 0)",
        (row["job"], row["account"]),
    )
    jobs.add(row["job"])
    return int(row["job"])


def list_again(new: sqlite3.Connection) -> None:
    """Have the next sync list each folder anew; what arrives above our UIDNEXT is still news."""
    new.execute("UPDATE folder SET modseq = NULL, synced = NULL, backfill = uidnext")
    new.execute(
        "UPDATE folder SET uidvalidity = NULL, uidnext = NULL, baseline = NULL, backfill = NULL"
        " WHERE uidnext IS NULL OR uidvalidity IS NULL OR uidnext < 1 OR uidnext > ?",
        (_SANE_UID,),
    )
