"""Automatic replies: auto_reply for one message, vacation for all that come. Both pass core/gate.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.core import drafting, gate
from agent.core.job import Job
from agent.core.rules import Rule
from agent.errors import CommandError
from agent.mail import dates

if TYPE_CHECKING:
    from agent.core.context import Context
    from agent.core.message import Message


def auto_reply(
    context: Context, message: Message, text: str, *, handle: str, every: str, subject: str, force: bool
) -> Job:
    """Answer a message automatically; see Message.auto_reply."""
    if dates.duration(every) <= 0:
        raise CommandError(f"auto_reply: every={every!r}; nobody is answered twice at once")
    handle = gate.handle_or_cause(handle)
    return gate.send_reply(
        context,
        message,
        lambda: drafting.automatic_reply(context, message, text, subject),
        handle,
        every,
        force,
    )


def vacation(
    context: Context, text: str, *, since: str, until: str, days: int, subject: str, handle: str, match: str
) -> Rule:
    """Register the rule that answers everybody; dates are read when init.py is loaded."""
    if days < 1:
        raise CommandError(f"vacation: days={days}; nobody is answered more than once a day")
    if not text.strip():
        raise CommandError("vacation: the text is empty")
    now = context.clock.now()
    begin = dates.date_range(since, now)[0] if since else None
    # `until` is the first day back: the last reply goes out the day before.
    end = dates.date_range(until, now)[0] if until else None

    def wanted(message: Message) -> bool:
        at = context.clock.now()
        if (begin is not None and at < begin) or (end is not None and at >= end):
            return False
        return not match or message._in(match)

    def answer(message: Message) -> None:
        auto_reply(context, message, text, handle=handle, every=f"{days}d", subject=subject, force=False)

    answer.__module__, answer.__qualname__ = "vacation", handle
    return context.rules.rule(wanted, order=90)(answer)
