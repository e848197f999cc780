"""Queue a frozen message: one transaction makes the job and the outbox row, on disk before it returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.core import job as jobs
from agent.core.acting import actor
from agent.core.job import Job
from agent.store import journal, outbox
from agent.store.outbox import Sending

if TYPE_CHECKING:
    from agent.core.context import Context
    from agent.store.db import Transaction


def label_of(sending: Sending) -> str:
    """Return the words for the job."""
    count = len(sending.recipients)
    return f"sent {sending.subject!r} to {sending.recipients[0] if count == 1 else f'{count} recipients'}"


def queue(context: Context, sending: Sending, replaces: Sequence[int] = ()) -> Job:
    """Queue a message; `replaces` is the saved draft that is not needed any more."""
    who, label = actor(), label_of(sending)

    def work(tx: Transaction) -> int:
        job = put(tx, context, sending)
        if replaces:
            now = context.clock.now()
            drop = journal.add_job(
                tx, "verb", "removed the sent draft", now, origin=who.origin, cause=who.cause
            )
            journal.delete(tx, drop, replaces)
        return job

    return jobs.submit(context, label, work)


def put(tx: Transaction, context: Context, sending: Sending) -> int:
    """Add the outbox row and its job within a transaction; an item with a known key is found again."""
    if sending.key is not None and (known := outbox.by_key(tx, sending.key)) is not None:
        return int(known["job"])
    now, who = context.clock.now(), actor()
    job = journal.add_job(
        tx, "send", label_of(sending), now, account=None, origin=who.origin, cause=who.cause
    )
    outbox.add(tx, sending, job, now)
    return job
