"""Verbs: changes to messages as operations, shown at once; the wire follows by the journal.

Each message a verb changes is one operation of its job. It says what it really changes: that is its
inverse too, and it is kept for a while when it is done.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.store import contents, messages
from agent.store.chosen import choose
from agent.store.contents import Incoming
from agent.store.db import Transaction


def change_flags(
    tx: Transaction,
    job: int,
    ids: Sequence[int],
    add: int,
    remove: int,
    add_tags: str = "",
    remove_tags: str = "",
) -> int:
    """Add and remove flags and tags where that changes anything; return on how many messages.

    An operation says what it really changes: that is its inverse too.
    """
    choose(tx, ids)
    cursor = tx.execute(
        "INSERT INTO op (job, account, message, kind, add_flags, remove_flags, add_tags, remove_tags)"
        " SELECT ?1, account, id, 'flags', ?2 & ~flags, ?3 & flags,"
        " CASE ?4 WHEN '' THEN '' ELSE other_tags(?4, tags) END,"
        " CASE ?5 WHEN '' THEN '' ELSE common_tags(?5, tags) END FROM message"
        " WHERE id IN (SELECT id FROM chosen) AND folder IS NOT NULL AND (?2 & ~flags OR ?3 & flags"
        " OR (?4 <> '' AND other_tags(?4, tags) <> '') OR (?5 <> '' AND common_tags(?5, tags) <> ''))",
        (job, add, remove, add_tags, remove_tags),
    )
    show(tx, job)
    return cursor.rowcount


def move(tx: Transaction, job: int, ids: Sequence[int], target: int) -> int:
    """Move messages to a folder of the same account; return how many were elsewhere before."""
    choose(tx, ids)
    cursor = tx.execute(
        "INSERT INTO op (job, account, message, kind, source, target)"
        " SELECT ?1, m.account, m.id, 'move', m.folder, ?2 FROM message m JOIN folder f ON f.id = ?2"
        " WHERE m.id IN (SELECT id FROM chosen) AND m.folder <> ?2 AND m.account = f.account",
        (job, target),
    )
    show(tx, job)
    return cursor.rowcount


def delete(tx: Transaction, job: int, ids: Sequence[int], *, after: dict[int, int] | None = None) -> int:
    """Remove messages for good; `after` names for a message the operation that must be done first."""
    choose(tx, ids)
    cursor = tx.execute(
        "INSERT INTO op (job, account, message, kind, source)"
        " SELECT ?, account, id, 'delete', folder FROM message"
        " WHERE id IN (SELECT id FROM chosen) AND folder IS NOT NULL",
        (job,),
    )
    tx.executemany(
        "UPDATE op SET after = ? WHERE job = ? AND message = ? AND kind = 'delete'",
        [(first, job, message) for message, first in (after or {}).items()],
    )
    show(tx, job)
    return cursor.rowcount


def show(tx: Transaction, job: int) -> None:
    """Show the pending flags, moves and deletions of a job that has just been made."""
    changes = (
        (
            "flags = flags & ~o.remove_flags | o.add_flags",
            "o.kind = 'flags' AND o.add_flags | o.remove_flags",
        ),
        ("tags = with_tags(tags, o.add_tags, o.remove_tags)", "o.add_tags <> '' OR o.remove_tags <> ''"),
        ("folder = o.target", "o.kind = 'move'"),
        ("folder = NULL", "o.kind = 'delete'"),
    )
    for change, which in changes:
        tx.execute(
            f"UPDATE message SET {change} FROM op o WHERE o.job = ? AND o.state = 'pending' AND ({which})"
            " AND message.id = o.message",
            (job,),
        )


def copy(tx: Transaction, job: int, ids: Sequence[int], target: int, account: int) -> dict[int, int]:
    """Copy messages to a folder, of another account too; return for each the operation that does it."""
    made = {}
    for row in messages.get_many(tx, ids):
        twin = messages.insert_local(tx, account, target, row["content"], row)
        kind = "copy" if account == row["account"] else "append"
        made[row["id"]] = _add_op(tx, job, account, twin, kind, target, row["id"])
    return made


def append(tx: Transaction, job: int, account: int, target: int, item: Incoming) -> int:
    """Put a message we wrote into a folder; return its id."""
    return append_all(tx, job, account, target, [item])[0]


def append_all(tx: Transaction, job: int, account: int, target: int, items: Sequence[Incoming]) -> list[int]:
    """Put messages into a folder; return their ids."""
    made = []
    for item, content in zip(items, contents.add(tx, items), strict=True):
        message = messages.insert_local(tx, account, target, content, item)
        _add_op(tx, job, account, message, "append", target, None)
        made.append(message)
    return made


def op_of(db: Transaction, job: int, message: int) -> int:
    """Return the operation of a job on a message."""
    row = db.execute("SELECT id FROM op WHERE job = ? AND message = ?", (job, message)).fetchone()
    return int(row[0])


def _add_op(
    tx: Transaction, job: int, account: int, message: int, kind: str, target: int, original: int | None
) -> int:
    cursor = tx.execute(
        "INSERT INTO op (job, account, message, kind, target, original) VALUES (?, ?, ?, ?, ?, ?)",
        (job, account, message, kind, target, original),
    )
    return int(cursor.lastrowid or 0)


def foreign(tx: Transaction, ids: Sequence[int], account: int) -> list[int]:
    """Return those of the messages that lie in other accounts."""
    choose(tx, ids)
    rows = tx.execute(
        "SELECT id FROM message WHERE id IN (SELECT id FROM chosen) AND account <> ?", (account,)
    )
    return [row[0] for row in rows]
