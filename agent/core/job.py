"""Job: what every verb returns. It lives in the store, so any process may wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, overload

from agent import threads
from agent.core.acting import actor
from agent.errors import CommandError
from agent.mail.safe import safe
from agent.store import job_rows
from agent.store import undo as undoing

if TYPE_CHECKING:
    from agent.core.context import Context
    from agent.store.db import Row, Transaction

_WAITING = {"queued": "syncing", "running": "running"}


class Job:
    """Something that was asked for: done, on its way, waiting for the network, or failed."""

    def __init__(self, context: Context, label: str, made: Future[int]) -> None:
        self._context = context
        self._label = label
        self._made = made

    @classmethod
    def of_row(cls, context: Context, job: int) -> Job:
        """Return the job with an id of the store."""
        made: Future[int] = Future()
        made.set_result(job)
        row = context.read(job_rows.get_job, job)
        return cls(context, row["label"] if row else "", made)

    @property
    def id(self) -> int | None:
        """The number of the job; None for the instant until it is committed."""
        if self._made.done() and self._made.exception() is None:
            return self._made.result()
        return None

    @property
    def label(self) -> str:
        """What it does, in words: `archived 3 messages`."""
        row = self._row()
        return safe(row["label"] if row else self._label)

    @property
    def state(self) -> str:
        """One of queued running done failed cancelled."""
        if self._made.done() and self._made.exception() is not None:
            return "failed"
        row = self._row()
        return str(row["state"]) if row else ("queued" if self.id is None else "done")

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def error(self) -> str:
        """Why it failed; empty when it did not."""
        if self._made.done() and (raised := self._made.exception()) is not None:
            return safe(str(raised))
        row = self._row()
        return safe(row["error"]) if row else ""

    @property
    def progress(self) -> float | None:
        """How much of it is done, from 0 to 1; None when that is not known."""
        row = self._row()
        return row["progress"] / row["total"] if row and row["total"] else None

    @property
    def counted(self) -> tuple[int, int] | None:
        """How many of how many are done; None when that is not known."""
        row = self._row()
        return (row["progress"], row["total"]) if row and row["total"] else None

    def wait(self, timeout: float | None = None) -> Job:
        """Block until it has ended, at most `timeout` seconds; Ctrl-C stops the waiting, not the job.

        Raises CommandError when it failed, TimeoutError when the time is up.
        """
        threads.ensure_may_wait(f"the job {self._label!r}")
        end = None if timeout is None else time.monotonic() + timeout
        self._made.result(timeout)
        left = None if end is None else max(0.0, end - time.monotonic())
        if not self._context.store.wait_until(lambda: self.done, left):
            raise TimeoutError(f"{self.label}: still {self.state} after {timeout} s")
        if self.state == "failed":
            raise CommandError(f"{self.label}: {self.error}")
        return self

    def cancel(self) -> None:
        """Take back what has not gone to the wire yet."""
        if (job := self.id) is not None:
            now = self._context.clock.now()
            self._context.submit(lambda tx: job_rows.cancel(tx, job, now))

    def undo(self) -> Job:
        """Take back what it changed, also after a restart; what was changed again since is left out and told.

        Raises CommandError when it was undone already or cannot be undone: mail that is sent, delete().
        """
        context, made, who = self._context, self._made, actor()

        def work(tx: Transaction) -> int:
            # Transactions run in order: the job that is to be undone has been made, or has failed.
            return undoing.undo(tx, made.result(0), context.clock.now(), cause=who.cause)

        return submit(context, f"undid: {self._label}", work)

    def _row(self) -> Row | None:
        job = self.id
        return None if job is None else self._context.read(job_rows.get_job, job)

    def __repr__(self) -> str:
        state = self.state
        detail = f": {self.error}" if state == "failed" else ""
        return f"<{self.label} · {_WAITING.get(state, state)}{detail}>"


def submit(context: Context, label: str, work: Callable[[Transaction], int]) -> Job:
    """Run a transaction that makes a job; threads that may wait see its effect when this returns.

    Intents survive a power cut: the commit waits for the disk.
    """
    made = context.submit(work, durable=True)
    if threads.may_wait():
        made.result()
    return Job(context, label, made)


def request(context: Context, account: int, kind: str, label: str, **args: Any) -> Job:
    """Ask the owner of an account's wire for something."""
    now = context.clock.now()
    made = context.submit(
        lambda tx: job_rows.add_job(tx, kind, label, now, account=account, args=args), durable=False
    )
    if threads.may_wait():
        made.result()
    return Job(context, label, made)


def nothing(context: Context, label: str) -> Job:
    """Return a job that is done: there was nothing to do."""

    def work(tx: Transaction) -> int:
        now = context.clock.now()
        job = job_rows.add_job(tx, "note", label, now)
        job_rows.set_job(tx, job, state="done", finished=now)
        return job

    return submit(context, label, work)


class Group(Job):
    """Several jobs as one: it has ended when all have."""

    def __init__(self, context: Context, label: str, parts: Sequence[Job]) -> None:
        super().__init__(context, label, Future())
        self._parts = tuple(parts)

    @property
    def label(self) -> str:
        """What they do, in words."""
        return safe(self._label)

    @property
    def state(self) -> str:
        """The state of the part that is furthest from done."""
        states = {part.state for part in self._parts}
        order = ("running", "queued", "failed", "cancelled")
        return next((state for state in order if state in states), "done")

    @property
    def error(self) -> str:
        """Why parts failed."""
        return safe("; ".join(f"{part.label}: {part.error}" for part in self._parts if part.error))

    @property
    def progress(self) -> float | None:
        """How much of it is done, from 0 to 1."""
        return sum(part.done for part in self._parts) / len(self._parts) if self._parts else None

    def wait(self, timeout: float | None = None) -> Group:
        """Block until all have ended; raises CommandError when one failed, TimeoutError."""
        threads.ensure_may_wait(f"the jobs {self._label!r}")
        if not self._context.store.wait_until(lambda: self.done, timeout):
            raise TimeoutError(f"{self.label}: still {self.state} after {timeout} s")
        if self.state == "failed":
            raise CommandError(self.error)
        return self

    def cancel(self) -> None:
        """Take back what has not gone to the wire yet."""
        for part in self._parts:
            part.cancel()

    def undo(self) -> Group:
        """Take back what all of them changed, the last one first."""
        return Group(self._context, f"undid: {self._label}", [part.undo() for part in reversed(self._parts)])


class Jobs(Sequence[Job]):
    """What was asked for lately, newest first."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def _ids(self) -> list[int]:
        return self._context.read(job_rows.recent_jobs)

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[Job]: ...
    def __getitem__(self, index: int | slice) -> Job | list[Job]:
        if isinstance(index, slice):
            return [Job.of_row(self._context, job) for job in self._ids()[index]]
        return Job.of_row(self._context, self._ids()[index])

    def __len__(self) -> int:
        return len(self._ids())

    def __repr__(self) -> str:
        return "\n".join(map(repr, self[:10])) or "<no jobs>"
