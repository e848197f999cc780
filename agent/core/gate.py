"""The one gate that automatic mail passes: replies and whatever hooks, rules and timers send.

RFC 3834 and RFC 5230 decide who may be answered; nobody is answered twice in a period; caps and a
circuit breaker stop storms. What may go is claimed and queued in one transaction, so that a crash
can neither lose the claim nor send twice. A refusal is a job too: it says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.core import job as jobs
from agent.core import sending as sendings
from agent.core.acting import actor
from agent.core.job import Job
from agent.core.options import Option
from agent.errors import CommandError
from agent.mail import automatic, dates
from agent.store import journal, ledger, outbox
from agent.store.outbox import Sending

if TYPE_CHECKING:
    from agent.core.account import Account
    from agent.core.context import Context
    from agent.core.draft import Draft
    from agent.core.message import Message
    from agent.store.db import Transaction

HOURLY = Option("automatic-per-hour", 20, "Automatic messages an account sends in an hour at the most")
DAILY = Option("automatic-per-day", 50, "Automatic messages an account sends in a day at the most")
MAX_AGE = Option("automatic-max-age", "3d", "Mail older than this is not answered automatically")
OPTIONS: tuple[Option[int] | Option[str], ...] = (HOURLY, DAILY, MAX_AGE)


def refusal(context: Context, message: Message) -> str | None:
    """Return why a message must not be answered automatically; None when it may be."""
    account, folder = message.account, message.folder
    if account is None or folder is None:
        return "it is gone"
    headers = message.headers
    if not headers:
        return "its headers are not here yet"
    return automatic.refusal(
        headers,
        own=[identity.addr for identity in account.identities],
        folder_role=folder.role,
        received=message.received.timestamp(),
        now=context.clock.now(),
        max_age=dates.duration(context.options.value(MAX_AGE)),
    )


def send_reply(
    context: Context, message: Message, write: Callable[[], Draft], handle: str, every: str, force: bool
) -> Job:
    """Queue an automatic reply when the gate lets it pass; it is written only then."""
    label = f"answered {message.from_.addr or 'nobody'} automatically ({handle})"
    why = None if force else refusal(context, message)
    if why is not None:
        return _refused(context, label, why)
    draft = write()
    sending = replace(
        draft._frozen(0.0), automatic=True, sender=_return_path(context, draft.account), key=_key(), copy=None
    )
    sender, period = automatic.mailbox(draft.to[0].addr), float(dates.duration(every))

    def claim(tx: Transaction, now: float) -> str | None:
        last = ledger.answered(tx, draft.account.id, handle, sender)
        if not force and not automatic.period_over(last, now, period):
            return f"{sender} was answered under {handle!r} already"
        return None

    def claimed(tx: Transaction, now: float) -> None:
        ledger.answer(tx, draft.account.id, handle, sender, 0, now)

    return _pass(context, draft.account, sending, label, claim, claimed, force)


def send_draft(context: Context, draft: Draft, not_before: float) -> Job:
    """Queue what a hook, rule or timer sends; a reply passes all that an automatic reply passes."""
    handle = actor().cause
    draft._content.headers["Auto-Submitted"] = "auto-replied" if _is_reply(draft) else "auto-generated"
    if draft.answers is not None and _is_reply(draft):
        return send_reply(context, draft.answers, lambda: draft, handle, "7d", False)
    sending = replace(draft._frozen(not_before), automatic=True, key=_key())
    label = sendings.label_of(sending)
    return _pass(context, draft.account, sending, label, lambda tx, now: None, lambda tx, now: None, False)


def _is_reply(draft: Draft) -> bool:
    return draft.answers is not None and not draft._forwards


def _pass(
    context: Context,
    account: Account,
    sending: Sending,
    label: str,
    claim: Callable[[Transaction, float], str | None],
    claimed: Callable[[Transaction, float], None],
    force: bool,
) -> Job:
    """Ask the ledger and the caps, and queue: all in one transaction."""

    def work(tx: Transaction) -> int:
        now = context.clock.now()
        if sending.key is not None and (known := outbox.by_key(tx, sending.key)) is not None:
            return int(known["job"])
        why = claim(tx, now) or (None if force else _over_cap(tx, context, account, now))
        if why is not None:
            return _note(tx, label, why, now)
        job = sendings.put(tx, context, sending)
        claimed(tx, now)
        return job

    return jobs.submit(context, label, work)


def _over_cap(tx: Transaction, context: Context, account: Account, now: float) -> str | None:
    for option, span, words in ((HOURLY, 3600.0, "an hour"), (DAILY, 86_400.0, "a day")):
        limit = context.options.value(option)
        if outbox.automatic_since(tx, account.id, now - span) >= limit:
            why = f"{account.name} has sent {limit} automatic messages within {words}"
            context.messages.append(f"{why}: no more are sent for now; see option {option.name}")
            return why
    return None


def _refused(context: Context, label: str, why: str) -> Job:
    return jobs.submit(context, label, lambda tx: _note(tx, label, why, context.clock.now()))


def _note(tx: Transaction, label: str, why: str, now: float) -> int:
    who = actor()
    job = journal.add_job(tx, "refusal", f"not {label}", now, origin=who.origin, cause=who.cause)
    journal.set_job(tx, job, state="cancelled", error=why, finished=now)
    return job


def _return_path(context: Context, account: Account) -> str:
    """Return the null return path, or the address where the server takes no mail from <>."""
    rows = context.store.read("SELECT null_sender_refused FROM account WHERE id = ?", (account.id,))
    return account.config.address if rows and rows[0][0] else ""


def _key() -> str | None:
    """Return the key of the next send of the running rule or hook; None when a person acts."""
    who = actor()
    return f"{who.cause}\n{who.key}\n{next(who.sends)}" if who.key else None


def handle_or_cause(handle: str) -> str:
    """Return the handle a reply is remembered under: the rule's or hook's name unless given."""
    found = handle or actor().cause
    if not found:
        raise CommandError(
            "auto_reply outside of a hook or rule wants a handle: auto_reply(text, handle='away')"
        )
    return found
