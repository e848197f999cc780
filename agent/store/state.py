"""The server's state: what sync writes. What is shown follows from it and the open operations."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

from agent.store import contents, messages, rows
from agent.store.contents import Incoming
from agent.store.db import Transaction
from agent.store.tags import with_tags

OPEN = "('pending', 'sent', 'unmapped')"
REMOVED = "the message was removed on the server"  # by another client, which may have moved it


def pieces(db: Transaction, folder: int, low: int, high: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of UIDs that cover `low` to `high`, with about `size` known messages in each."""
    sql = "SELECT s_uid FROM message WHERE s_folder = ? AND s_uid BETWEEN ? AND ? ORDER BY s_uid LIMIT 1 OFFSET ?"
    while low <= high:
        row = db.execute(sql, (folder, low, high, size)).fetchone()
        last = row[0] - 1 if row else high
        yield low, last
        low = last + 1


def seen(db: Transaction, folder: int, low: int, high: int) -> list[tuple[int, int, str]]:
    """Return UIDs of a range with their flags and tags on the server, in the order of UIDs."""
    rows = db.execute(
        "SELECT s_uid, s_flags, s_tags FROM message WHERE s_folder = ? AND s_uid BETWEEN ? AND ? ORDER BY s_uid",
        (folder, low, high),
    )
    return [(uid, flags, tags) for uid, flags, tags in rows]


def uids(db: Transaction, folder: int, *, low: int = 1, below: int = 1 << 32) -> set[int]:
    """Return the UIDs from `low` on and below another that a folder was last seen to have."""
    sql = "SELECT s_uid FROM message WHERE s_folder = ? AND s_uid >= ? AND s_uid < ?"
    return {row[0] for row in db.execute(sql, (folder, low, below))}


def count(db: Transaction, folder: int) -> int:
    """Return how many messages a folder had on the server when last seen."""
    sql = "SELECT count(*) FROM message WHERE s_folder = ? AND s_uid IS NOT NULL"
    return int(db.execute(sql, (folder,)).fetchone()[0])


def ids_of(db: Transaction, folder: int, uids: Iterable[int]) -> dict[int, int]:
    """Return the messages with the given UIDs: uid -> id."""
    found = {}
    for uid in uids:
        row = db.execute("SELECT id FROM message WHERE s_folder = ? AND s_uid = ?", (folder, uid)).fetchone()
        if row:
            found[uid] = row[0]
    return found


def set_flags(tx: Transaction, folder: int, states: Iterable[tuple[int, int, str]]) -> list[int]:
    """Take over (uid, flags, tags) from the server; return the ids whose server state changed."""
    changed = []
    for uid, flags, tags in states:
        row = tx.execute(
            "UPDATE message SET s_flags = ?1, s_tags = ?2 WHERE s_folder = ?3 AND s_uid = ?4"
            " AND (s_flags <> ?1 OR s_tags <> ?2) RETURNING id",
            (flags, tags, folder, uid),
        ).fetchone()
        if row:
            changed.append(row[0])
    refresh(tx, changed)
    return changed


def vanish(tx: Transaction, folder: int, uids: Sequence[int], now: float) -> list[int]:
    """Note that the server no longer has these UIDs; return the ids of the messages.

    A move of ours that was on its way is taken as done. What else was to be done to them is dropped:
    deleted on the server wins.
    """
    ids = list(ids_of(tx, folder, uids).values())
    for message in ids:
        moving = tx.execute(
            "SELECT id, target FROM op WHERE message = ? AND kind = 'move' AND state = 'sent'", (message,)
        ).fetchone()
        if moving:
            tx.execute("UPDATE op SET state = 'unmapped' WHERE id = ?", (moving["id"],))
            tx.execute(
                "UPDATE message SET s_folder = ?, s_uid = NULL WHERE id = ?", (moving["target"], message)
            )
        else:
            _lose(tx, message, now)
    refresh(tx, ids)
    return ids


def _lose(tx: Transaction, message: int, now: float) -> None:
    jobs = tx.execute(
        f"UPDATE op SET state = CASE WHEN kind = 'delete' THEN 'done' ELSE 'failed' END,"
        f" error = ? WHERE message = ? AND state IN {OPEN} RETURNING job, state",
        (REMOVED, message),
    ).fetchall()
    # A job has ended when all of it is on the server: what was not there to be moved shows only now.
    tx.executemany(
        "UPDATE job SET state = 'failed', error = ? WHERE id = ? AND state = 'done'",
        [(REMOVED, row["job"]) for row in jobs if row["state"] == "failed"],
    )
    tx.execute("UPDATE message SET s_folder = NULL, s_uid = NULL, gone = ? WHERE id = ?", (now, message))


def vanish_folder(tx: Transaction, folder: int, now: float, limit: int) -> bool:
    """Note for some messages that their whole folder is gone; return whether there may be more.

    They keep their rows for a while: they may turn up elsewhere, the folder may come back.
    """
    sql = "SELECT id FROM message WHERE s_folder = ? LIMIT ?"
    ids = [row[0] for row in tx.execute(sql, (folder, limit)).fetchall()]
    for message in ids:
        _lose(tx, message, now)
    refresh(tx, ids)
    return len(ids) == limit


def unbound(db: Transaction, folder: int) -> list[int]:
    """Return the messages that are to turn up in a folder under a UID nobody told."""
    return [row[0] for row in db.execute(_UNBOUND, (folder,))]


_UNBOUND = "SELECT id FROM message WHERE s_folder = ? AND s_uid IS NULL"


def lose_missing(tx: Transaction, folder: int, awaited: Sequence[int], now: float) -> list[int]:
    """After a sync of the folder: those that were awaited and did not turn up are gone."""
    still = {row[0] for row in tx.execute(_UNBOUND, (folder,))}
    ids = [message for message in awaited if message in still]
    for message in ids:
        _lose(tx, message, now)
    refresh(tx, ids)
    return ids


def twins(db: Transaction, account: int, folder: int, items: Sequence[Incoming]) -> dict[int, list[int]]:
    """Return where in other folders the same messages lie: folder -> UIDs. They may have been moved."""
    found: dict[int, list[int]] = {}
    for item in items:
        row = _identity(db, account, item, gone=False)
        if row and row["s_uid"] is not None and row["s_folder"] != folder:
            found.setdefault(row["s_folder"], []).append(row["s_uid"])
    return found


def unbind(tx: Transaction, folder: int) -> None:
    """Forget all UIDs of a folder whose UIDVALIDITY changed; `place` binds the messages again."""
    tx.execute("UPDATE message SET s_uid = NULL WHERE s_folder = ?", (folder,))


def lose_unbound(tx: Transaction, folder: int, now: float) -> list[int]:
    """After a whole listing: what has no UID and is no operation of ours is gone."""
    rows = tx.execute(
        "SELECT id FROM message m WHERE s_folder = ? AND s_uid IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM op WHERE op.message = m.id AND op.state = 'unmapped')",
        (folder,),
    ).fetchall()
    ids = [row[0] for row in rows]
    for message in ids:
        _lose(tx, message, now)
    refresh(tx, ids)
    return ids


def place(
    tx: Transaction, account: int, folder: int, items: Sequence[Incoming], now: float, *, events: bool
) -> list[int]:
    """Put messages with new UIDs into a folder: our own operations first, then old acquaintances, then new.

    With `events`, messages never seen in this account become due for `message_new`. Those that have
    been placed since they were asked for, as by an append of ours, are left alone. Returns the ids.
    """
    fresh: list[Incoming] = []
    ids: list[int] = []
    waiting, lost = _waits(tx, folder), _has_lost(tx, account)
    placed = _placed(tx, folder, items)
    for item in items:
        if item.uid in placed:
            continue
        message = _expected(tx, folder, item) if waiting else None
        if message is None and lost:
            message = _returned(tx, account, item, folder, now)
            if message is not None:
                _tell_where(tx, message, folder)
        if message is None:
            fresh.append(item)
            continue
        _bind(tx, message, folder, item)
        ids.append(message)
    refresh(tx, ids)
    copies = [_is_copy(tx, account, item) for item in fresh] if events else []
    new = messages.insert(tx, account, folder, fresh)
    if events:
        for message, item, copy in zip(new, fresh, copies, strict=True):
            _announce(tx, account, message, item, copy, now)
    return ids + new


def _placed(tx: Transaction, folder: int, items: Sequence[Incoming]) -> set[int]:
    sql = "SELECT s_uid FROM message WHERE s_folder = ? AND s_uid IN (SELECT value FROM json_each(?))"
    return {row[0] for row in tx.execute(sql, (folder, rows.listed(item.uid for item in items)))}


def _waits(tx: Transaction, folder: int) -> bool:
    """Tell whether a message is to turn up in the folder."""
    row = tx.execute(
        "SELECT EXISTS (SELECT 1 FROM message WHERE s_folder = ?1 AND s_uid IS NULL)"
        " OR EXISTS (SELECT 1 FROM op WHERE state = 'sent' AND target = ?1)",
        (folder,),
    ).fetchone()
    return bool(row[0])


def _has_lost(tx: Transaction, account: int) -> bool:
    """Tell whether the account has messages that may turn up elsewhere than they were."""
    row = tx.execute(
        "SELECT EXISTS (SELECT 1 FROM message WHERE gone IS NOT NULL AND account = ?1) OR EXISTS"
        " (SELECT 1 FROM message WHERE account = ?1 AND s_uid IS NULL AND s_folder IS NOT NULL)",
        (account,),
    )
    return bool(row.fetchone()[0])


def _expected(tx: Transaction, folder: int, item: Incoming) -> int | None:
    """Find the message of ours that was to turn up in this folder."""
    rows = tx.execute(
        "SELECT m.id, m.size = ?3 AS same, m.size = ?3 AND m.received = ?4 AS exact, EXISTS (SELECT 1 FROM op"
        "  WHERE op.message = m.id AND op.kind = 'append' AND op.state IN ('sent', 'unmapped')) AS appended"
        " FROM content c JOIN message m ON m.content = c.id WHERE c.message_id = ?1 AND m.s_uid IS NULL"
        " AND (m.s_folder = ?2 OR EXISTS (SELECT 1 FROM op WHERE op.message = m.id AND op.state = 'sent'"
        "  AND op.target = ?2 AND op.kind IN ('copy', 'append'))) ORDER BY exact DESC, same DESC, m.id",
        (item.envelope.message_id, folder, item.size, item.received),
    ).fetchall()
    for row in rows:
        # A server may add lines to what we append. Without a Message-ID the rest has to be equal.
        named = item.envelope.message_id and (row["same"] or row["appended"])
        if row["exact"] or named or (row["same"] and row["appended"]):
            return int(row["id"])
    return None


# A copy or an append that failed or was taken back: the server never had that message.
_NEVER_CAME = """
coalesce((SELECT op.state FROM op WHERE op.message = m.id AND op.kind IN ('copy', 'append')
  ORDER BY op.id DESC LIMIT 1) IN ('failed', 'cancelled'), 0)
"""


def _identity(
    tx: Transaction, account: int, item: Incoming, *, gone: bool, awaited: bool = False
) -> sqlite3.Row | None:
    """Find a message of the account that is the same by Message-ID, size and internal date.

    A sender chooses the first two: where the bytes of both are here, they decide. `awaited`: rather
    one whose UID is not known yet.
    """
    if not item.envelope.message_id:
        return None
    key = item.body.hash if item.body is not None and item.body.whole else ""
    row: sqlite3.Row | None = tx.execute(
        "SELECT m.id, m.s_folder, m.s_uid FROM content c JOIN message m ON m.content = c.id"
        " WHERE c.message_id = ? AND m.account = ? AND (c.hash IS NULL OR ? = '' OR c.hash = ?)"
        f" AND m.size = ? AND m.received = ? AND m.gone IS {f'NOT NULL AND NOT {_NEVER_CAME}' if gone else 'NULL'}"
        f" ORDER BY m.gone DESC, {'m.s_uid IS NOT NULL' if awaited else 'm.id'} LIMIT 1",
        (item.envelope.message_id, account, key, key, item.size, item.received),
    ).fetchone()
    return row


def _returned(tx: Transaction, account: int, item: Incoming, folder: int, now: float) -> int | None:
    """Find the message that left another folder and turns up here: it keeps its id.

    One that we moved, and that turns up as news elsewhere before it does where we moved it, was moved
    by another client before.
    """
    row = _identity(tx, account, item, gone=True)
    if (
        row is None
        and item.body is not None
        and (row := _identity(tx, account, item, gone=False)) is not None
    ):
        sql = "SELECT 1 FROM op WHERE message = ? AND kind = 'move' AND state = 'unmapped' AND target <> ?"
        if row["s_uid"] is not None or not tx.execute(sql, (row["id"], folder)).fetchone():
            return None
        _lose(tx, row["id"], now)
    return row["id"] if row else None


def _is_copy(tx: Transaction, account: int, item: Incoming) -> bool:
    return _identity(tx, account, item, gone=False) is not None


def _tell_where(tx: Transaction, message: int, folder: int) -> None:
    """Say of what was not done because a message was gone that another client had moved it."""
    name = tx.execute("SELECT name FROM folder WHERE id = ?", (folder,)).fetchone()[0]
    why = f"another client moved the message to {name}; it stays there"
    jobs = tx.execute(
        "UPDATE op SET state = 'failed', error = ? WHERE message = ? AND error = ? AND undone IS NULL"
        " AND (state = 'failed' OR (state = 'done' AND kind = 'delete')) RETURNING job",
        (why, message, REMOVED),
    ).fetchall()
    tx.executemany(
        "UPDATE job SET state = 'failed', error = ? WHERE id = ? AND state IN ('done', 'failed')",
        [(why, row[0]) for row in jobs],
    )


def _bind(tx: Transaction, message: int, folder: int, item: Incoming) -> None:
    tx.execute(
        "UPDATE message SET s_folder = ?, s_uid = ?, s_flags = ?, s_tags = ?, size = ?, received = ?, gone = NULL"
        " WHERE id = ?",
        (folder, item.uid, item.flags, item.tags, item.size, item.received, message),
    )
    tx.execute(
        "UPDATE op SET state = 'done' WHERE message = ? AND (state = 'unmapped' OR"
        " (state = 'sent' AND target = ? AND kind IN ('copy', 'append')))",
        (message, folder),
    )
    if item.body is not None:
        contents.add_bodies(tx, [(message, item.envelope, item.body)])


def _announce(tx: Transaction, account: int, message: int, item: Incoming, copy: bool, now: float) -> None:
    key = item.body.hash if item.body else item.envelope.message_id
    cursor = tx.execute("INSERT INTO arrived VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (account, key, now))
    if cursor.rowcount and not copy:
        tx.execute("UPDATE message SET arrival = 1 WHERE id = ?", (message,))


def due(db: Transaction) -> list[int]:
    """Return the messages whose `message_new` has not been handled, oldest first."""
    return [row[0] for row in db.execute("SELECT id FROM message WHERE arrival = 1 ORDER BY id")]


def handled(tx: Transaction, message: int) -> None:
    """Note that `message_new` has been handled."""
    tx.execute("UPDATE message SET arrival = 2 WHERE id = ?", (message,))


# -- what is shown ---------------------------------------------------------------------------


def refresh(tx: Transaction, ids: Sequence[int]) -> None:
    """Recompute what is shown of messages: the server's state with the open operations applied."""
    tx.execute("CREATE TEMP TABLE IF NOT EXISTS stale (id INTEGER PRIMARY KEY, open)")
    tx.execute("DELETE FROM stale")
    tx.executemany("INSERT OR IGNORE INTO stale (id) VALUES (?)", [(message,) for message in ids])
    tx.execute(
        f"UPDATE stale SET open = 1 WHERE EXISTS (SELECT 1 FROM op WHERE message = stale.id AND state IN {OPEN})"
    )
    tags = "CASE local_tags WHEN '' THEN s_tags ELSE with_tags(s_tags, local_tags, '') END"
    # One column at a time: each change costs the indexes that hold the column, and few have changed.
    for shown, server in (("folder", "s_folder"), ("flags", "s_flags"), ("tags", tags)):
        tx.execute(
            f"UPDATE message SET {shown} = {server} WHERE id IN (SELECT id FROM stale WHERE open IS NULL)"
            f" AND {shown} IS NOT {server}"
        )
    rows = tx.execute(
        f"SELECT m.id, s_folder, s_flags, {tags} AS s_tags, op.kind, add_flags, remove_flags, add_tags,"
        " remove_tags, target FROM stale CROSS JOIN op ON op.message = stale.id CROSS JOIN message m"
        f" ON m.id = stale.id WHERE stale.open AND op.state IN {OPEN} ORDER BY stale.id, op.id"
    )
    found = [_applied(list(ops)) for _, ops in itertools.groupby(rows, key=itemgetter("id"))]
    tx.executemany("UPDATE message SET folder = ?, flags = ?, tags = ? WHERE id = ?", found)


def _applied(ops: Sequence[sqlite3.Row]) -> tuple[int | None, int, str, int]:
    """Apply the open operations of one message to the server's state: folder, flags, tags, id."""
    folder, flags, tags = ops[0]["s_folder"], ops[0]["s_flags"], ops[0]["s_tags"]
    for op in ops:
        if op["kind"] == "flags":
            flags = flags & ~op["remove_flags"] | op["add_flags"]
            tags = with_tags(tags, op["add_tags"], op["remove_tags"])
        else:
            folder = None if op["kind"] == "delete" else op["target"]
    return folder, flags, tags, ops[0]["id"]
