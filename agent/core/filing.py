"""Copies of what was sent, put into the Sent folder: an append of its own, which can fail without sending again.

Runs on the out: thread after a message was sent, and on the in: thread once the folders are known.
"""

from __future__ import annotations

from agent.core import bodies
from agent.core.account import Account
from agent.mail import flags
from agent.store import changes, folders, job_rows, outbox
from agent.store.contents import Incoming
from agent.store.db import Row, Store, Transaction


def sent_folder(db: Transaction, account: Account) -> int | None:
    """Return the folder for copies of an account; None while there is none or it is not known yet."""
    found = (row.id for row in folders.of_account(db, account.id) if account.role_of(row) == "sent")
    return next(found, None)


def copy_of(db: Transaction, item: Row, now: float) -> Incoming | None:
    """Return the copy of an outbox item as the store takes it, when one is to be kept; parses it."""
    found = outbox.bytes_of(db, item["id"])
    raw = found[1] if found is not None else None
    if raw is None:
        return None
    return bodies.of_bytes(raw, uid=None, flags=flags.SEEN, tags="", received=int(now), size=len(raw))


def file(tx: Transaction, account: Account, folder: int, item: Row, copy: Incoming, now: float) -> None:
    """Queue the append of a copy."""
    label = f"kept a copy of {item['subject']!r}"
    job = job_rows.add_job(tx, "verb", label, now, origin="rule", cause="copy to Sent")
    changes.append(tx, job, account.id, folder, copy)
    outbox.change(tx, item["id"], filed=1)


def file_waiting(store: Store, account: Account, now: float) -> None:
    """File the copies that waited until the Sent folder was known."""
    waiting = outbox.unfiled(store.reader, account.id)
    folder = sent_folder(store.reader, account) if waiting else None
    if folder is None:
        return
    for item in waiting:
        copy = copy_of(store.reader, item, now)
        if copy is None:
            continue
        store.write(lambda tx, item=item, copy=copy: file(tx, account, folder, item, copy, now)).result()  # type: ignore[misc]
