"""The last change taken back, and done again: `undo()` and `redo()` of the API, `u` and `C-r`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.core import job as jobs
from agent.core.acting import actor
from agent.core.job import Job
from agent.errors import CommandError
from agent.store import undo as undoing

if TYPE_CHECKING:
    from agent.core.context import Context
    from agent.store.db import Transaction


def undo(context: Context) -> Job:
    """Take back the user's last change that can be undone, whatever process made it."""
    who = actor()

    def work(tx: Transaction) -> int:
        last = undoing.last(tx)
        if last is None:
            raise CommandError("there is nothing to undo")
        return undoing.undo(tx, last, context.clock.now(), cause=who.cause)

    return jobs.submit(context, "undid the last change", work)


def redo(context: Context) -> Job:
    """Do again what was undone last, unless something was changed since."""
    who = actor()

    def work(tx: Transaction) -> int:
        last = undoing.last_undone(tx)
        if last is None:
            raise CommandError("there is nothing to redo")
        return undoing.undo(tx, last, context.clock.now(), cause=who.cause)

    return jobs.submit(context, "redid the last change", work)
