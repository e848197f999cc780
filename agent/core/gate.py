"""The one gate that automatic mail passes: replies and whatever hooks, rules and timers send.

RFC 3834 and RFC 5230 decide who may be answered; nobody is answered twice in a period; caps stop
storms. What may go is claimed and queued in one transaction, so that a crash can neither lose the
claim nor send twice. A refusal is a job too: it says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent import threads
from agent.core import job as jobs
from agent.core import sending as sendings
from agent.core.acting import actor
from agent.core.caps import MAX_AGE
from agent.core.job import Job
from agent.errors import CommandError
from agent.mail import automatic, dates
from agent.mail.address import parse_addresses
from agent.mail.automatic import mailbox
from agent.mail.compose import AUTOMATIC_HEADERS
from agent.store import job_rows, ledger, outbox
from agent.store.outbox import Sending

if TYPE_CHECKING:
    from agent.core.account import Account
    from agent.core.context import Context
    from agent.core.draft import Draft
    from agent.core.message import Message
    from agent.store.db import Transaction


_DRAFT_PERIOD = "7d"


@dataclass(frozen=True, slots=True)
class _Passage:
    """What wants to pass: a frozen message, and whom it answers under which handle; nobody when empty."""

    label: str
    account: Account
    sending: Sending
    person: str = ""
    handle: str = ""
    period_s: float = 0.0
    replaces: tuple[int, ...] = ()
    force: bool = False


def applies(context: Context) -> bool:
    """Tell whether what is sent now is automatic mail.

    While hooks and rules run in this process, a thread that nobody vouches for was started by one.
    """
    who = actor()
    return who.automatic or (
        who.origin == "user" and context.bus.started and threads.current() not in ("main", "ui")
    )


def refusal(context: Context, message: Message) -> str | None:
    """Return why a message must not be answered automatically; None when it may be."""
    account, folder = message.account, message.folder
    if account is None or folder is None:
        return "it is gone"
    headers = message.headers
    if not headers:
        return "its headers are not here yet"
    ours = [person.addr for known in context.accounts.values() for person in known.identities]
    own = [person.addr for person in account.identities]
    # Nobody of us is answered; but the message must be for the account that would answer.
    for addresses, for_us in ((ours, False), (own, True)):
        why = automatic.refusal(
            headers,
            own=addresses,
            folder_role=folder.role,
            received=message.received.timestamp(),
            now=context.clock.now(),
            max_age=dates.duration(context.options.value(MAX_AGE)),
            check_recipient=for_us,
        )
        if why is not None:
            return why
    return None


def send_reply(
    context: Context, message: Message, write: Callable[[], Draft], handle: str, every: str, force: bool
) -> Job:
    """Queue an automatic reply when the gate lets it pass; it is written only then."""
    key = actor().next_send()  # taken in any case: the next send must have the same number after a crash
    label = f"answered {message.from_.addr or 'nobody'} automatically ({handle})"
    why = None if force else refusal(context, message)
    if why is not None:
        return _refused(context, label, why)
    draft = write()
    sending = replace(
        draft._frozen(0.0), automatic=True, sender=_return_path(context, draft.account), key=key,
        copy=None, answers=None,  # only a person's answer marks a message as answered
    )  # fmt: skip
    person, period = mailbox(draft.to[0].addr), float(dates.duration(every))
    return _pass(context, _Passage(label, draft.account, sending, person, handle, period, force=force))


def send_draft(context: Context, draft: Draft, not_before: float) -> Job:
    """Queue what a hook, rule or timer sends; an answer passes all that an automatic reply passes.

    Mail to whoever wrote the message that is being handled is an answer, however it was begun.
    """
    who = actor()
    key, answered = who.next_send(), _answered(draft, who.message)
    draft._content.headers |= {"Auto-Submitted": "auto-generated"} if answered is None else AUTOMATIC_HEADERS
    replaces = tuple(draft._kept)
    if answered is None:
        sending = replace(draft._frozen(not_before), automatic=True, key=key)
        label = sendings.label_of(sending)
        if (why := _loop(context, who.message)) is not None:
            return _refused(context, label, why)
        return _pass(context, _Passage(label, draft.account, sending, replaces=replaces))
    handle = who.cause or "thread"
    sender = _return_path(context, draft.account)
    sending = replace(draft._frozen(not_before), automatic=True, key=key, sender=sender)
    label = f"answered {answered.from_.addr or 'nobody'} ({handle})"
    if (why := refusal(context, answered)) is not None:
        return _refused(context, label, why)
    person, period = mailbox(sending.recipients[0]), float(dates.duration(_DRAFT_PERIOD))
    return _pass(context, _Passage(label, draft.account, sending, person, handle, period, replaces))


def send_on(context: Context, message: Message, sending: Sending) -> Job:
    """Queue a message that goes on to others as it is; a rule's passes the caps and may not go round."""
    key, label = actor().next_send(), sendings.label_of(sending)
    sending = replace(sending, key=key)
    if not applies(context):
        return sendings.queue(context, sending)
    account = message.account
    why = "it is gone" if account is None else _loop(context, message) or _went_round(context, message)
    if account is None or why is not None:
        return _refused(context, label, str(why))
    return _pass(context, _Passage(label, account, replace(sending, automatic=True)))


def _went_round(context: Context, message: Message) -> str | None:
    before = [value for name, value in message.headers if name.lower() == "resent-from"]
    people = {mailbox(person.addr) for value in before for person in parse_addresses(value)}
    return "we sent it on before" if people & _ours(context) else None


def _ours(context: Context) -> set[str]:
    return {mailbox(who.addr) for account in context.accounts.values() for who in account.identities}


def _answered(draft: Draft, message: Message | None) -> Message | None:
    """Return the message a draft answers, in form or in fact; None when it answers none."""
    if draft.answers is not None and not draft._forwards:
        return draft.answers
    if message is None:
        return None
    back = automatic.reply_recipient(message.headers)
    writers = (message.from_, *message.reply_to, *([back] if back else []))
    known = {mailbox(person.addr) for person in writers if person.addr}
    to = {mailbox(person.addr) for person in (*draft.to, *draft.cc, *draft.bcc)}
    return message if known & to else None


def _loop(context: Context, message: Message | None) -> str | None:
    """Refuse to send because of what we sent automatically ourselves: that would go round and round."""
    if message is None or not message.is_automatic:
        return None
    if mailbox(message.from_.addr) in _ours(context):
        return "the message that led to it was sent automatically by ourselves"
    return None


def _pass(context: Context, passage: _Passage) -> Job:
    """Ask the ledger and the caps, claim and queue: all in one transaction."""
    account, sending = passage.account, passage.sending

    def work(tx: Transaction) -> int:
        now = context.clock.now()
        if sending.key is not None and (known := outbox.by_key(tx, sending.key)) is not None:
            return int(known["job"])
        why = None
        if not passage.force:
            why = _too_soon(tx, passage, now) or context.caps.over(tx, context, account, now)
        if why is not None:
            return _note(tx, passage.label, why, now)
        item, job = sendings.put(tx, context, sending, passage.replaces)
        if passage.person:
            ledger.answer(tx, account.id, passage.handle, passage.person, item, now)
        return job

    return jobs.submit(context, passage.label, work)


def _too_soon(tx: Transaction, passage: _Passage, now: float) -> str | None:
    if not passage.person:
        return None
    last = ledger.answered(tx, passage.handle, passage.person)
    if automatic.period_over(last, now, passage.period_s):
        return None
    return f"{passage.person} was answered under {passage.handle!r} already"


def _refused(context: Context, label: str, why: str) -> Job:
    return jobs.submit(context, label, lambda tx: _note(tx, label, why, context.clock.now()))


def _note(tx: Transaction, label: str, why: str, now: float) -> int:
    who = actor()
    job = job_rows.add_job(tx, "refusal", f"not {label}", now, origin=who.origin, cause=who.cause)
    job_rows.set_job(tx, job, state="cancelled", error=why, finished=now)
    return job


def _return_path(context: Context, account: Account) -> str:
    """Return the null return path, or the address where the server takes no mail from <>."""
    rows = context.store.read("SELECT null_sender_refused FROM account WHERE id = ?", (account.id,))
    return account.config.address if rows and rows[0][0] else ""


def handle_or_cause(handle: str) -> str:
    """Return the handle a reply is remembered under: the rule's or hook's name unless given."""
    found = handle or actor().cause
    if not found:
        raise CommandError(
            "auto_reply outside of a hook or rule wants a handle: auto_reply(text, handle='away')"
        )
    return found
