"""The outbox as live objects: what is on its way out, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from agent.core.draft import Draft
from agent.core.message import Message
from agent.errors import CommandError
from agent.mail.safe import safe
from agent.store import job_rows, outbox

if TYPE_CHECKING:
    from agent.core.context import Context
    from agent.store.db import Row, Transaction

_WAITING = ("queued", "uncertain", "failed")


class OutboxItem:
    """One message on its way out; its bytes are frozen."""

    def __init__(self, context: Context, item: int) -> None:
        self._context = context
        self._id = item

    def _row(self) -> Row:
        row = self._context.read(outbox.get, self._id)
        if row is None:
            raise CommandError(f"there is no outbox item {self._id}")
        return row

    @property
    def id(self) -> int:
        """The number of the item."""
        return self._id

    @property
    def subject(self) -> str:
        """The subject."""
        return str(self._row()["subject"])

    @property
    def to(self) -> tuple[str, ...]:
        """Everybody it goes to."""
        return tuple(json.loads(self._row()["recipients"]))

    @property
    def state(self) -> str:
        """One of queued connecting data-sent sent failed uncertain cancelled."""
        return str(self._row()["state"])

    @property
    def attempts(self) -> int:
        """How often it was tried."""
        return int(self._row()["attempts"])

    @property
    def error(self) -> str:
        """Why it waits or failed."""
        return str(self._row()["error"])

    @property
    def data(self) -> bytes:
        """The bytes for the wire."""
        found = self._context.read(outbox.bytes_of, self._id)
        return found[0] if found is not None else b""

    def retry(self) -> None:
        """Send it again, also one that may have arrived; raises CommandError when it is on the wire or sent."""
        now = self._context.clock.now()

        def work(tx: Transaction) -> None:
            row = self._checked(tx, "sent again")
            outbox.change(tx, self._id, state="queued", not_before=now, created=now, error="")
            if row["job"] is not None:
                job_rows.set_job(tx, row["job"], state="queued", error="")

        self._submit(work)

    def cancel(self) -> None:
        """Do not send it; raises CommandError when it is on the wire or sent."""
        now = self._context.clock.now()

        def work(tx: Transaction) -> None:
            row = self._checked(tx, "cancelled")
            outbox.change(tx, self._id, state="cancelled")
            if row["job"] is not None:
                job_rows.set_job(tx, row["job"], state="cancelled", finished=now)

        self._submit(work)

    def edit(self) -> Draft:
        """Take it back and go on writing; raises CommandError when it is on the wire or sent."""
        row, found = self._row(), self._context.read(outbox.bytes_of, self._id)
        if found is None:
            raise CommandError(f"outbox item {self._id}: its text is not kept any more")
        if row["state"] != "cancelled":
            self.cancel()
        draft = self._draft(row, *found)
        self._context.commit(lambda tx: outbox.change(tx, self._id, state="edited"), durable=True)
        return draft

    def _draft(self, row: Row, data: bytes, copy: bytes | None) -> Draft:
        from agent.mail.compose import edit_as_new

        account = self._context.accounts.by_id(row["account"])
        raw = data if copy is None else copy
        content = edit_as_new(raw, own=account.identities, draft=True)
        answers = Message(self._context, row["answers"]) if row["answers"] is not None else None
        return Draft(self._context, account, content, answers=answers, forwards=bool(row["forwards"]))

    def _checked(self, tx: Transaction, what: str) -> Row:
        row = outbox.get(tx, self._id)
        if row is None or row["state"] not in _WAITING:
            raise CommandError(
                f"outbox item {self._id} is {row['state'] if row else 'gone'}; it cannot be {what}"
            )
        return row

    def _submit(self, work: Any) -> None:
        self._context.commit(work, durable=True)

    def __repr__(self) -> str:
        row = self._row()
        detail = f": {safe(row['error'])}" if row["error"] else ""
        to = ", ".join(safe(who) for who in json.loads(row["recipients"]))
        return f"<{row['state']} {safe(row['subject'])!r} to {to}{detail}>"


class Outbox(Sequence[OutboxItem]):
    """What is on its way out, could not be sent or was taken back, oldest first."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def _ids(self) -> list[int]:
        return self._context.read(outbox.shown)

    @overload
    def __getitem__(self, index: int) -> OutboxItem: ...
    @overload
    def __getitem__(self, index: slice) -> list[OutboxItem]: ...
    def __getitem__(self, index: int | slice) -> OutboxItem | list[OutboxItem]:
        if isinstance(index, slice):
            return [OutboxItem(self._context, item) for item in self._ids()[index]]
        return OutboxItem(self._context, self._ids()[index])

    def __iter__(self) -> Iterator[OutboxItem]:
        return iter([OutboxItem(self._context, item) for item in self._ids()])

    def __len__(self) -> int:
        return len(self._ids())

    def __repr__(self) -> str:
        return "\n".join(map(repr, self)) or "<the outbox is empty>"
