"""Replies, forwards and other messages made from a message; `build` makes the bytes. Pure.

>>> c = reply(envelope, "thanks", own=[Address("Ann", "ann@example.org")])
>>> c.message_id, c.date = new_message_id("example.org", token_bytes(16)), time()
>>> data = build(c)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from email.utils import format_datetime

from agent.errors import CommandError
from agent.mail.address import Address, parse_addresses
from agent.mail.automatic import Headers, mailbox, reply_recipient
from agent.mail.composition import Attachment, Composition, build, envelope_of, new_message_id
from agent.mail.header import Envelope
from agent.mail.mailto import mailto
from agent.mail.parse import parse
from agent.mail.wire_header import is_id

__all__ = [
    "Attachment",
    "Composition",
    "automatic_reply",
    "build",
    "edit_as_new",
    "envelope_of",
    "forward",
    "identity",
    "mailto",
    "new_message_id",
    "reply",
    "signed",
]

MAX_REFERENCES = 100
MAX_AUTOMATIC_SUBJECT = 256
# The answers of a responder say all of this (RFC 3834 section 3, RFC 5230 section 5, Pigeonhole).
AUTOMATIC_HEADERS = {
    "Auto-Submitted": "auto-replied",
    "Precedence": "bulk",
    "X-Auto-Response-Suppress": "All",
}

_RE = re.compile(
    r"\s*((re|aw|sv|vs|antw|odp|ynt|res|回复|答复|回覆)(\[\d+\]|\(\d+\))?\s*[:：]\s*)+", re.IGNORECASE
)
_FWD = re.compile(r"\s*(fwd?|wg|tr|enc|rv|转发|轉寄)\s*[:：]", re.IGNORECASE)
# Fields that tell at which address a message arrived, most telling first.
_ARRIVAL = ("delivered-to", "x-original-to", "envelope-to", "x-delivered-to")


def reply(
    envelope: Envelope,
    text: str = "",
    *,
    own: Sequence[Address],
    all: bool = False,
    to_list: bool = False,
    quoted: str = "",
    signature: str = "",
    headers: Headers = (),
) -> Composition:
    """Start a reply to the sender, to `all`, or to the mailing list.

    Follows Reply-To, and with `all` Mail-Followup-To; own addresses get no copy; a reply to a message
    of one's own goes to whom that went. `quoted` is the quotation with its attribution, `headers` all
    fields of the message, as far as they are known. Raises CommandError when there is nobody to reply to.
    """
    mine = {mailbox(address.addr) for address in own}
    to, cc = _reply_recipients(envelope, mine, all, headers)
    if to_list:
        to, cc = _list_address(headers), []
    if not to:
        raise CommandError("the message names nobody to reply to; set the recipients yourself")
    body = f"{text.rstrip()}\n\n{quoted}" if text and quoted else text or quoted
    answered, references = _threading(envelope)
    return Composition(
        from_=identity(envelope, own, headers),
        to=to,
        cc=cc,
        subject=f"Re: {_RE.sub('', envelope.subject, count=1).strip()}".rstrip(),
        text=signed(body, signature),
        in_reply_to=answered,
        references=references,
    )


def forward(
    envelope: Envelope,
    text: str = "",
    *,
    to: Iterable[Address] = (),
    own: Sequence[Address],
    body: str = "",
    attachments: Iterable[Attachment] = (),
    original: bytes | None = None,
    signature: str = "",
    headers: Headers = (),
    tz: tzinfo | None = None,
) -> Composition:
    """Start a forward: with `original` as an attached message, else inline with `body` and attachments."""
    subject = envelope.subject.strip()
    files = list(attachments)
    if original is None:
        text = "\n\n".join(filter(None, (text.rstrip(), _forwarded(envelope, body, tz))))
    else:
        name = re.sub(r"[^\w .-]+", "_", subject).strip(" .")[:60] or "message"
        files.append(Attachment(f"{name}.eml", "message/rfc822", original))
    return Composition(
        from_=identity(envelope, own, headers),
        to=list(to),
        subject=subject if _FWD.match(subject) else f"Fwd: {subject}".rstrip(),
        text=signed(text, signature),
        attachments=files,
    )


def edit_as_new(raw: bytes, *, own: Sequence[Address], draft: bool = False) -> Composition:
    """Start a message from the content of another one; a `draft` keeps the message it replies to."""
    parsed = parse(raw)
    envelope = parsed.envelope
    sender = next(iter(_usable(envelope.from_)), None)
    mine = {mailbox(address.addr): address for address in own}
    answered = tuple(filter(is_id, envelope.in_reply_to)) if draft else ()
    return Composition(
        from_=sender if sender and mailbox(sender.addr) in mine else identity(envelope, own),
        to=_usable(envelope.to),
        cc=_usable(envelope.cc),
        bcc=_usable(envelope.bcc),
        reply_to=_usable(envelope.reply_to),
        subject=envelope.subject,
        text=parsed.text,
        html=parsed.html,
        attachments=[Attachment(part.name, part.type, part.bytes) for part in parsed.attachments],
        in_reply_to=answered,
        references=tuple(filter(is_id, envelope.references)) if draft else (),
    )


def automatic_reply(
    envelope: Envelope,
    text: str,
    *,
    own: Sequence[Address],
    headers: Headers,
    return_path: str | None = None,
    subject: str = "",
    from_: Address | None = None,
    html: str = "",
) -> Composition:
    """Write the answer of a responder; automatic.refusal must have been asked before.

    It goes to the return path with a null sender and says that it is automatic (RFC 3834 section 3,
    RFC 5230 section 5). Raises CommandError when there is nobody to answer.
    """
    to = reply_recipient(headers, return_path)
    if to is None:
        raise CommandError("the message has no return address; it cannot be answered automatically")
    default = f"Auto: {envelope.subject.strip()}" if envelope.subject.strip() else "Automated reply"
    answered, references = _threading(envelope)
    return Composition(
        from_=from_ or identity(envelope, own, headers),
        to=[to],
        subject=_shortened(subject or default),
        text=text,
        html=html,
        in_reply_to=answered,
        references=references,
        headers=dict(AUTOMATIC_HEADERS),
        sender="",
    )


def identity(envelope: Envelope, own: Sequence[Address], headers: Headers = ()) -> Address:
    """Return the own address to answer from: the one that wrote or received the message, else the first."""
    mine = {mailbox(address.addr): address for address in reversed(own)}
    arrival = [value for name in _ARRIVAL for field, value in headers if field.lower() == name]
    for text in (envelope.from_, envelope.to, envelope.cc, envelope.bcc, *arrival):
        for address in _usable(text):
            if mailbox(address.addr) in mine:
                return mine[mailbox(address.addr)]
    if not own:
        raise CommandError("no address to write from; set `address` of the account in config.yaml")
    return own[0]


def signed(text: str, signature: str) -> str:
    """Put a signature below a text, after the line `-- ` that tells readers where it begins."""
    if not signature.strip():
        return text
    mark = "" if signature.startswith("-- \n") else "-- \n"
    return f"{text.rstrip()}\n\n{mark}{signature.rstrip()}\n".lstrip("\n")


def _reply_recipients(
    envelope: Envelope, mine: set[str], all: bool, headers: Headers
) -> tuple[list[Address], list[Address]]:
    """Return To and Cc of a reply."""
    sender = _usable(envelope.reply_to) or _usable(envelope.from_) or _usable(envelope.sender)
    to, cc = _usable(envelope.to), _usable(envelope.cc)
    if any(mailbox(address.addr) in mine for address in _usable(envelope.from_)) and (to or cc):
        return _distinct(to or cc, mine) or to, _distinct(cc, mine, but=to) if all and to else []
    if not all:
        return _distinct(sender), []
    followup = _distinct(_named(headers, "mail-followup-to"), mine)
    if followup:
        return followup, []
    first = _distinct(sender, mine) or _distinct(sender)
    return first, _distinct([*to, *cc], mine, but=first)


def _list_address(headers: Headers) -> list[Address]:
    for name, value in headers:
        found = re.search(r"<(mailto:[^>]+)>", value) if name.lower() == "list-post" else None
        if found:
            return mailto(found[1]).to
    raise CommandError("the message names no mailing list to write to (List-Post)")


def _usable(text: str) -> list[Address]:
    return [address for address in parse_addresses(text) if address.addr and address.domain]


def _named(headers: Headers, wanted: str) -> list[Address]:
    return [address for name, value in headers if name.lower() == wanted for address in _usable(value)]


def _distinct(
    addresses: Iterable[Address], mine: Iterable[str] = (), *, but: Iterable[Address] = ()
) -> list[Address]:
    """Return each mailbox once, without our own and some others."""
    known = {*mine}
    others = {address.addr.lower() for address in but}
    found: dict[str, Address] = {}
    for address in addresses:
        key = address.addr.lower()
        if mailbox(key) not in known and key not in others:
            found.setdefault(key, address)
    return list(found.values())


def _threading(envelope: Envelope) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return In-Reply-To and References of an answer (RFC 5322 section 3.6.4)."""
    if not is_id(envelope.message_id):
        return (), ()
    earlier = envelope.references or (envelope.in_reply_to if len(envelope.in_reply_to) == 1 else ())
    ids = [*dict.fromkeys(found for found in earlier if is_id(found) and found != envelope.message_id)]
    ids.append(envelope.message_id)
    if len(ids) > MAX_REFERENCES:
        ids[1 : len(ids) - MAX_REFERENCES + 1] = []
    return (envelope.message_id,), tuple(ids)


def _forwarded(envelope: Envelope, body: str, tz: tzinfo | None) -> str:
    date = ""
    if envelope.date is not None:
        at = datetime.fromtimestamp(envelope.date, tz)
        date = format_datetime(at if tz else at.astimezone())
    known = (
        ("From", envelope.from_),
        ("Date", date),
        ("Subject", envelope.subject),
        ("To", envelope.to),
        ("Cc", envelope.cc),
    )
    lines = [f"{name}: {value}" for name, value in known if value]
    return "\n".join(["-------- Forwarded message --------", *lines, "", body])


def _shortened(subject: str) -> str:
    one_line = " ".join(subject.split())
    return one_line if len(one_line) <= MAX_AUTOMATIC_SUBJECT else f"{one_line[: MAX_AUTOMATIC_SUBJECT - 1]}…"
