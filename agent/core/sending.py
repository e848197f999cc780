"""Queue a frozen message: one transaction makes the job and the outbox row, on disk before it returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.core import job as jobs
from agent.core.acting import actor
from agent.core.job import Job
from agent.errors import CommandError
from agent.store import changes, job_rows, outbox
from agent.store.outbox import Sending

if TYPE_CHECKING:
    from agent.core.account import Account
    from agent.core.context import Context
    from agent.store.db import Transaction


def label_of(sending: Sending) -> str:
    """Return the words for the job."""
    count = len(sending.recipients)
    return f"sent {sending.subject!r} to {sending.recipients[0] if count == 1 else f'{count} recipients'}"


def ensure_can_send(account: Account) -> None:
    """Raise CommandError when an account has no way out."""
    if account.config.smtp is None and account.config.sendmail is None:
        raise CommandError(f"account {account.name} cannot send; give it smtp or sendmail in config.yaml")


def queue(context: Context, sending: Sending, replaces: Sequence[int] = ()) -> Job:
    """Queue a message; `replaces` is the saved draft that is not needed any more."""
    return jobs.submit(context, label_of(sending), lambda tx: put(tx, context, sending, replaces)[1])


def put(tx: Transaction, context: Context, sending: Sending, replaces: Sequence[int] = ()) -> tuple[int, int]:
    """Add the outbox row and its job within a transaction; an item with a known key is found again.

    Returns the numbers of item and job.
    """
    if sending.key is not None and (known := outbox.by_key(tx, sending.key)) is not None:
        return int(known["id"]), int(known["job"])
    now, who = context.clock.now(), actor()
    job = job_rows.add_job(tx, "send", label_of(sending), now, origin=who.origin, cause=who.cause)
    item = outbox.add(tx, sending, job, now)
    if replaces:
        label = "removed the sent draft"
        drop = job_rows.add_job(tx, "verb", label, now, origin=who.origin, cause=who.cause)
        changes.delete(tx, drop, replaces)
    return item, job
