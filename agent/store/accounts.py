"""Accounts as the store knows them, in config.yaml or not: what they hold and what waits in them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from agent.errors import CommandError, NotFound, did_you_mean
from agent.store import folders
from agent.store.db import Transaction


@dataclass(frozen=True, slots=True)
class Census:
    """What the store holds of one account."""

    id: int
    name: str
    messages: int
    changes: int  # that its server has not got yet
    unsent: int  # mails in the outbox that are neither sent nor cancelled
    synced: float | None  # when a folder of it was last known to equal the server

    def waiting(self) -> str:
        """Return in words what waits; empty when nothing does."""
        words = [(self.changes, "change"), (self.unsent, "unsent mail")]
        return " and ".join(f"{n:,} {word}{'' if n == 1 else 's'}" for n, word in words if n)


_CENSUS = """
SELECT a.id, a.name,
  (SELECT count(*) FROM message WHERE folder IN (SELECT id FROM folder WHERE account = a.id)) AS messages,
  (SELECT count(*) FROM op WHERE account = a.id AND state IN ('pending', 'sent')) AS changes,
  (SELECT count(*) FROM outbox WHERE account = a.id AND state NOT IN ('sent', 'cancelled', 'failed')) AS unsent,
  (SELECT max(synced) FROM folder WHERE account = a.id) AS synced
FROM account a WHERE a.name = ?
"""


def census(db: sqlite3.Connection, name: str) -> Census | None:
    """Return what the store holds of an account; None for one it has never seen."""
    row = db.execute(_CENSUS, (name,)).fetchone()
    return Census(*row) if row else None


def holds_something(found: Census) -> bool:
    """Tell whether an account is worth a word when it is not configured."""
    return bool(found.messages or found.changes or found.unsent)


def rename(tx: Transaction, old: str, new: str) -> None:
    """Give an account of the store another name, as config.yaml has it now; raises CommandError.

    A name that stands in config.yaml has a row already; it may be replaced as long as it is empty.
    """
    known = folders.accounts(tx)
    if old not in known:
        raise NotFound(f"the store has no account {old!r}{did_you_mean(old, known)}")
    if new in known and new != old:
        there = census(tx, new)
        if there is not None and (holds_something(there) or there.synced is not None):
            raise CommandError(f"account {new!r} holds mail of its own; it cannot take the place of {old!r}")
        tx.execute("DELETE FROM folder WHERE account = ?", (known[new],))
        tx.execute("DELETE FROM account WHERE id = ?", (known[new],))
    tx.execute("UPDATE account SET name = ? WHERE id = ?", (new, known[old]))
