"""Draft: a message being written. Nothing leaves before `send`, which freezes it into the outbox.

core/drafting.py begins one. What writes messages is loaded when one is written: much starts without.
"""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.core import bodies, sending
from agent.core import job as jobs
from agent.core.acting import actor
from agent.core.job import Job
from agent.errors import CommandError
from agent.mail import dates, flags
from agent.mail.address import Address, parse_addresses
from agent.mail.safe import safe
from agent.store import changes, job_rows
from agent.store.outbox import Sending

if TYPE_CHECKING:
    from agent.core.account import Account
    from agent.core.context import Context
    from agent.core.message import Message
    from agent.mail.composition import Attachment, Composition
    from agent.store.db import Transaction

People = str | Address | Sequence[str | Address]


class Draft:
    """A message being written; its fields can be set until it is sent."""

    def __init__(
        self, context: Context, account: Account, content: Composition, *, answers: Message | None = None,
        forwards: bool = False,
    ) -> None:  # fmt: skip
        self._context = context
        self._account = account
        self._content = content
        self._answers = answers
        self._forwards = forwards
        self._kept: list[int] = []  # the message in the drafts folder, when it was saved
        self._job: Job | None = None  # sends it

    @property
    def account(self) -> Account:
        """The account that sends it."""
        return self._account

    @property
    def answers(self) -> Message | None:
        """The message it answers or forwards."""
        return self._answers

    # -- fields ------------------------------------------------------------------------------

    @property
    def from_(self) -> Address:
        """The author: one of our own addresses."""
        return self._content.from_

    @from_.setter
    def from_(self, value: str | Address) -> None:
        wanted = people(value)
        for account in self._context.accounts.values():
            for identity in account.identities:
                if wanted and identity.addr.casefold() == wanted[0].addr.casefold():
                    self._content.from_ = Address(wanted[0].name or identity.name, identity.addr)
                    self._account = account
                    return
        raise CommandError(f"{value} is none of our addresses; add it under aliases in config.yaml")

    @property
    def to(self) -> list[Address]:
        """To."""
        return self._content.to

    @to.setter
    def to(self, value: People) -> None:
        self._content.to = people(value)

    @property
    def cc(self) -> list[Address]:
        """Cc."""
        return self._content.cc

    @cc.setter
    def cc(self, value: People) -> None:
        self._content.cc = people(value)

    @property
    def bcc(self) -> list[Address]:
        """Bcc: they get it, nobody sees that they do."""
        return self._content.bcc

    @bcc.setter
    def bcc(self, value: People) -> None:
        self._content.bcc = people(value)

    @property
    def subject(self) -> str:
        """The subject."""
        return self._content.subject

    @subject.setter
    def subject(self, value: str) -> None:
        self._content.subject = value

    @property
    def text(self) -> str:
        """The text."""
        return self._content.text

    @text.setter
    def text(self, value: str) -> None:
        self._content.text = value

    @property
    def html(self) -> str:
        """An HTML version of the text; empty for none."""
        return self._content.html

    @html.setter
    def html(self, value: str) -> None:
        self._content.html = value

    @property
    def attachments(self) -> list[Attachment]:
        """What is attached."""
        return self._content.attachments

    def attach(self, path: str | Path) -> Draft:
        """Attach a file; raises CommandError when it cannot be read."""
        path = Path(path).expanduser()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CommandError(f"cannot attach {path}: {error.strerror}") from None
        from agent.mail.composition import Attachment

        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self._content.attachments.append(Attachment(path.name, kind, content))
        return self

    # -- checking, saving, sending -----------------------------------------------------------

    def check(self) -> list[str]:
        """Return what speaks against sending it, in words; empty when nothing does."""
        problems = []
        if not (self.to or self.cc or self.bcc):
            problems.append("it has no recipient")
        for person in (*self.to, *self.cc, *self.bcc):
            if "@" not in person.addr:
                problems.append(f"{str(person)!r} is not an address")
        if not self.subject.strip():
            problems.append("it has no subject")
        if self._mentions_attachment() and not self.attachments:
            problems.append("it speaks of an attachment and has none")
        return problems

    def _mentions_attachment(self) -> bool:
        own = [line for line in self.text.splitlines() if not line.startswith(">")]
        return any(
            word in line.lower()
            for line in own
            for word in ("attached", "attachment", "im anhang", "ci-joint")
        )

    def save(self) -> Job:
        """Keep it in the drafts folder; saving again replaces what was kept."""
        from agent.mail import composition

        context, account, folder = self._context, self._account, self._account.drafts
        # Each version has an id of its own: by it an append whose answer was lost is found again.
        self._content.message_id = composition.new_message_id(self.from_.domain, os.urandom(16))
        raw = self._build(keep_bcc=True)
        now = context.clock.now()
        item = bodies.of_bytes(
            raw, uid=None, flags=flags.SEEN | flags.DRAFT, tags="", received=int(now), size=len(raw)
        )
        label, old = f"saved draft {self.subject!r}", tuple(self._kept)

        def work(tx: Transaction) -> int:
            job = job_rows.add_job(tx, "verb", label, now, origin=actor().origin)
            made = changes.append(tx, job, account.id, folder.id, item)
            # What was kept before goes when this has arrived, and stays when it is refused.
            arrival = changes.op_of(tx, job, made)
            changes.delete(tx, job, old, after=dict.fromkeys(old, arrival))
            kept.append(made)
            return job

        kept: list[int] = []
        job = jobs.submit(context, label, work)
        self._kept = kept
        return job

    def send(self, at: str | None = None, hold: float | None = None, force: bool = False) -> Job:
        """Queue it durably and send it; what answers a message marks that one answered when it is out.

        `at` is a moment such as "18:00" or "mon 9:00", `hold` seconds during which it can be cancelled.
        Raises CommandError when it cannot be sent as it is. From hooks, rules and timers it passes the
        gate for automatic mail, unless `force` is set.
        """
        from agent.core import gate

        fatal = [problem for problem in self.check() if "recipient" in problem or "address" in problem]
        if fatal:
            raise CommandError(f"cannot send {self.subject!r}: {fatal[0]}")
        sending.ensure_can_send(self._account)
        if self._job is not None and self._job.state not in ("failed", "cancelled"):
            raise CommandError(f"{self.subject!r} is queued already; edit_as_new() makes another one of it")
        now = self._context.clock.now()
        later = dates.moment(at, now) if at else now + (hold or 0.0)
        if gate.applies(self._context) and not force:
            self._job = gate.send_draft(self._context, self, later)
        else:
            frozen = self._frozen(later, key=actor().next_send())
            self._job = sending.queue(self._context, frozen, replaces=self._kept)
        return self._job

    def _frozen(self, not_before: float, **more: Any) -> Sending:
        """Freeze bytes, envelope and Message-ID."""
        from agent.mail import composition

        self._content.message_id = composition.new_message_id(self.from_.domain, os.urandom(16))
        data = self._build(keep_bcc=False)
        sender, recipients = composition.envelope_of(self._content)
        return Sending(
            account=self._account.id,
            message_id=self._content.message_id,
            sender=sender,
            recipients=tuple(recipients),
            subject=self.subject,
            data=data,
            copy=self._build(keep_bcc=True),
            answers=self._answers._id if self._answers else None,
            forwards=self._forwards,
            not_before=not_before,
            **more,
        )

    def _build(self, *, keep_bcc: bool) -> bytes:
        from agent.mail import composition

        self._content.date = self._context.clock.now()
        return composition.build(self._content, keep_bcc=keep_bcc)

    def __repr__(self) -> str:
        to = ", ".join(safe(str(person)) for person in (*self.to, *self.cc, *self.bcc)) or "nobody yet"
        return f"<Draft {safe(self.subject)!r} from {safe(str(self.from_))} to {to}>"


def people(value: People) -> list[Address]:
    if isinstance(value, Address):
        return [value]
    if isinstance(value, str):
        return list(parse_addresses(value))
    return [person for each in value for person in people(each)]
