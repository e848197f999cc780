"""Beginning a draft: a new message, a reply, a forward, the content of another, an automatic reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent import threads
from agent.core.draft import Draft, People, people
from agent.errors import CommandError
from agent.mail import compose as writing
from agent.mail import quote as quoting
from agent.mail.composition import Attachment, Composition

if TYPE_CHECKING:
    from agent.core.account import Account
    from agent.core.context import Context
    from agent.core.message import Message


def compose(
    context: Context, *, to: People, subject: str, text: str, cc: People = "", bcc: People = "",
    account: Account | None = None,
) -> Draft:  # fmt: skip
    """Begin a new message; without an account the first one that can send writes it."""
    account = account or _writer(context)
    content = Composition(
        from_=account.address, to=people(to), cc=people(cc), bcc=people(bcc), subject=subject,
        text=writing.signed(text, account.signature_for(account.address)),
    )  # fmt: skip
    return Draft(context, account, content)


def reply(context: Context, message: Message, text: str, *, to_all: bool, quote: bool) -> Draft:
    """Begin a reply; the address that received the message writes it."""
    account = _here(message)
    envelope = message._envelope()
    quoted = quoting.quote(message.text, quoting.attribution(envelope)) if quote and message.text else ""
    own = account.identities
    author = writing.identity(envelope, own, message.headers)
    content = writing.reply(
        envelope, text, own=own, all=to_all, quoted=quoted, signature=account.signature_for(author),
        headers=message.headers,
    )  # fmt: skip
    return Draft(context, account, content, answers=message)


def forward(context: Context, message: Message, to: People, text: str) -> Draft:
    """Begin a forward with text inline and attachments kept."""
    account = _here(message)
    envelope = message._envelope()
    files = [Attachment(part.name or "attachment", part.type, part.bytes) for part in message.attachments]
    author = writing.identity(envelope, account.identities, message.headers)
    content = writing.forward(
        envelope, text, to=people(to), own=account.identities, body=message.text, attachments=files,
        signature=account.signature_for(author), headers=message.headers,
    )  # fmt: skip
    return Draft(context, account, content, answers=message, forwards=True)


def edit_as_new(context: Context, message: Message) -> Draft:
    """Begin a message with the content of another; a draft of ours is replaced when it is saved or sent."""
    account = _here(message)
    content = writing.edit_as_new(message.raw, own=account.identities, draft=message.draft)
    draft = Draft(context, account, content)
    if message.draft:
        draft._kept = [message._id]
    return draft


def automatic_reply(context: Context, message: Message, text: str, subject: str) -> Draft:
    """Write an automatic reply; raises CommandError when there is nobody to answer."""
    account = _here(message)
    content = writing.automatic_reply(
        message._envelope(), text, own=account.identities, headers=message.headers, subject=subject
    )
    return Draft(context, account, content, answers=message)


def _here(message: Message) -> Account:
    """Make sure that the message is here, where waiting is allowed, and return its account."""
    account = message.account
    if account is None:
        raise CommandError(f"message {message.id} is gone")
    if not message.fetched and threads.may_wait():
        message.fetch().wait()
    return account


def _writer(context: Context) -> Account:
    for account in context.accounts.values():
        if account.config.smtp is not None or account.config.sendmail is not None:
            return account
    raise CommandError("no account can send; give one smtp or sendmail in config.yaml")
