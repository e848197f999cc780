"""Mail on its way out. Bytes, envelope and Message-ID are frozen when a message is queued.

queued -> connecting (the attempt is counted first) -> data-sent (before the final dot) -> sent,
failed or uncertain. A message in `data-sent` after a crash becomes `uncertain` and is never sent
again by itself.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.store.db import Transaction


@dataclass(frozen=True, slots=True)
class Sending:
    """What is queued: the frozen message and what belongs to it."""

    account: int
    message_id: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    data: bytes
    copy: bytes | None = None
    key: str | None = None
    automatic: bool = False
    answers: int | None = None
    forwards: bool = False
    not_before: float = 0.0


def add(tx: Transaction, item: Sending, job: int | None, now: float) -> int:
    """Queue a message and return its id; one with a known key is found rather than queued again."""
    if item.key is not None and (known := by_key(tx, item.key)):
        return int(known["id"])
    cursor = tx.execute(
        "INSERT INTO outbox (account, job, key, state, message_id, sender, recipients, subject,"
        " automatic, answers, forwards, not_before, created)"
        " VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            item.account, job, item.key, item.message_id, item.sender, json.dumps(item.recipients),
            item.subject, item.automatic, item.answers, item.forwards,
            max(item.not_before, now), now,
        ),
    )  # fmt: skip
    made = int(cursor.lastrowid or 0)
    tx.execute("INSERT INTO outgoing (item, data, copy) VALUES (?, ?, ?)", (made, item.data, item.copy))
    return made


def keep_text(
    tx: Transaction, account: int, message_id: str, subject: str, data: bytes, why: str, now: float
) -> int:
    """Keep what somebody wrote and no folder takes: as an item that was taken back, to be edited."""
    item = add(tx, Sending(account, message_id, "", (), subject, data), None, now)
    change(tx, item, state="cancelled", error=why)
    return item


def by_key(db: Transaction, key: str) -> sqlite3.Row | None:
    """Return the item queued under a key."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM outbox WHERE key = ?", (key,)).fetchone()
    return row


def get(db: Transaction, item: int) -> sqlite3.Row | None:
    """Return one item."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM outbox WHERE id = ?", (item,)).fetchone()
    return row


def bytes_of(db: Transaction, item: int) -> tuple[bytes, bytes | None] | None:
    """Return the bytes for the wire and those for the Sent folder; None when they are kept no more."""
    row = db.execute("SELECT data, copy FROM outgoing WHERE item = ?", (item,)).fetchone()
    return None if row is None else (bytes(row["data"]), None if row["copy"] is None else bytes(row["copy"]))


def unfinished(db: Transaction) -> list[int]:
    """Return the items that are on their way or could not be sent, oldest first."""
    rows = db.execute("SELECT id FROM outbox WHERE state NOT IN ('sent', 'cancelled', 'edited') ORDER BY id")
    return [row[0] for row in rows]


def shown(db: Transaction) -> list[int]:
    """Return the items a person should see: the unfinished ones, and cancelled ones, whose text is only here."""
    rows = db.execute("SELECT id FROM outbox WHERE state NOT IN ('sent', 'edited') ORDER BY id")
    return [row[0] for row in rows]


def unfiled(db: Transaction, account: int) -> list[sqlite3.Row]:
    """Return the sent items whose copy waits for a Sent folder to be known."""
    return db.execute(
        "SELECT * FROM outbox WHERE account = ? AND state = 'sent' AND filed = 0"
        " AND EXISTS (SELECT 1 FROM outgoing WHERE item = outbox.id AND copy IS NOT NULL)",
        (account,),
    ).fetchall()


def defer(tx: Transaction, item: sqlite3.Row, recipients: Sequence[str], not_before: float, why: str) -> None:
    """Queue the same message for the recipients the server would not take just now (RFC 5321 section 4.5.3.1.10)."""
    cursor = tx.execute(
        "INSERT INTO outbox (account, job, state, message_id, sender, recipients, subject, automatic,"
        " attempts, not_before, created, error) VALUES (?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            item["account"], item["job"], item["message_id"], item["sender"], json.dumps(list(recipients)),
            item["subject"], item["automatic"], item["attempts"] + 1, not_before, item["created"], why,
        ),
    )  # fmt: skip
    tx.execute(
        "INSERT INTO outgoing (item, data) SELECT ?, data FROM outgoing WHERE item = ?",
        (cursor.lastrowid, item["id"]),
    )


# A clock that was set back must not hold mail: what was to go at once goes, no retry waits over an hour.
_DUE = "iif((attempts = 0 AND not_before <= created) OR (attempts > 0 AND not_before > ?2 + 3600), 0, not_before)"


def next_due(db: Transaction, account: int, now: float) -> sqlite3.Row | None:
    """Return the item to send now."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM outbox WHERE account = ?1 AND state IN ('queued', 'connecting')"
        f" AND {_DUE} <= ?2 ORDER BY not_before, id LIMIT 1",
        (account, now),
    ).fetchone()
    return row


def next_time(db: Transaction, account: int, now: float) -> float | None:
    """Return when the next item is due."""
    row = db.execute(
        f"SELECT min({_DUE}) FROM outbox WHERE account = ?1 AND state IN ('queued', 'connecting')",
        (account, now),
    ).fetchone()
    return None if row[0] is None else float(row[0])


def is_open(db: Transaction, account: int) -> bool:
    """Tell whether an item of an account waits to be sent, or was cut off while it was."""
    sql = "SELECT EXISTS (SELECT 1 FROM outbox WHERE account = ? AND state IN ('queued', 'connecting', 'data-sent'))"
    return bool(db.execute(sql, (account,)).fetchone()[0])


def on_the_wire(db: Transaction, account: int) -> bool:
    """Tell whether an item has left and its answer is not written down."""
    sql = "SELECT EXISTS (SELECT 1 FROM outbox WHERE account = ? AND state = 'data-sent')"
    return bool(db.execute(sql, (account,)).fetchone()[0])


def begin(tx: Transaction, item: int) -> bool:
    """Count an attempt before connecting; False when the item was cancelled meanwhile."""
    cursor = tx.execute(
        "UPDATE outbox SET state = 'connecting', attempts = attempts + 1"
        " WHERE id = ? AND state IN ('queued', 'connecting')",
        (item,),
    )
    return cursor.rowcount == 1


def interrupted(tx: Transaction, account: int, now: float) -> list[int]:
    """After a start: what was between the data and the answer is uncertain now."""
    rows = tx.execute(
        "SELECT id FROM outbox WHERE account = ? AND state = 'data-sent'", (account,)
    ).fetchall()
    for row in rows:
        doubt(tx, row[0], "the program ended before the server answered", now)
    return [row[0] for row in rows]


def doubt(tx: Transaction, item: int, why: str, now: float) -> None:
    """Note that nobody knows whether an item was sent; who waits for it need not wait any longer."""
    change(tx, item, state="uncertain", error=why)
    tx.execute(
        "UPDATE job SET state = 'failed', error = ?, finished = ? WHERE id = (SELECT job FROM outbox WHERE id = ?)",
        (f"it may have been sent: {why}; retry() or cancel() it in the outbox", now, item),
    )


def change(tx: Transaction, item: int, **columns: Any) -> None:
    """Change columns of an item."""
    names = ", ".join(f"{name} = :{name}" for name in columns)
    tx.execute(f"UPDATE outbox SET {names} WHERE id = :item", {**columns, "item": item})


def automatic_since(db: Transaction, account: int, since: float) -> int:
    """Count the automatic messages of an account since a moment, for the caps.

    What goes to some of its recipients later is one message still, under the job it was queued by.
    """
    row = db.execute(
        "SELECT count(DISTINCT coalesce(job, -id)) FROM outbox WHERE account = ? AND automatic AND created >= ?",
        (account, since),
    ).fetchone()
    return int(row[0])
