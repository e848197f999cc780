"""A message being written, and the bytes it becomes. Pure; runs on any thread."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from email.message import MIMEPart
from email.policy import SMTP
from email.utils import format_datetime

from agent.errors import CommandError
from agent.mail.address import Address
from agent.mail.wire_header import address_field, id_field, is_id, text_field, wire_address

_POLICY = SMTP.clone(cte_type="7bit")
_LONGEST_LINE = 998  # RFC 5322 section 2.1.1
_OWN_FIELDS = frozenset(
    "from sender to cc bcc reply-to subject date message-id in-reply-to references return-path"
    " mime-version".split()
)
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")
_UNSAFE_TEXT = re.compile(r"[^\t\n\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a message; `message/rfc822` keeps its bytes where the wire allows."""

    name: str
    type: str
    data: bytes


@dataclass(slots=True)
class Composition:
    """What a person or a rule writes. `build` makes bytes of it, `envelope_of` says where they go.

    Ids stand without brackets. `sender` is the envelope sender where it is not the From address;
    an empty one is the null return path of automatic mail. `date` is in epoch seconds.
    """

    from_: Address
    to: list[Address] = field(default_factory=list)
    cc: list[Address] = field(default_factory=list)
    bcc: list[Address] = field(default_factory=list)
    reply_to: list[Address] = field(default_factory=list)
    subject: str = ""
    text: str = ""
    html: str = ""
    attachments: list[Attachment] = field(default_factory=list)
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    message_id: str = ""
    date: float | None = None
    sender: str | None = None


def build(c: Composition, *, keep_bcc: bool = False, tz: tzinfo | None = None) -> bytes:
    """Return the message as it goes over the wire: CRLF, 7 bit, no line over 998 octets.

    Bcc is left out unless `keep_bcc` asks for it (drafts, the copy in Sent); never send such bytes.
    `tz` is the zone of the Date field, None the machine's. Raises CommandError for line breaks
    or NUL in a header, addresses that cannot be sent to, and a missing date or Message-ID.
    """
    if c.date is None or not is_id(c.message_id):
        raise CommandError("the message has no date or no Message-ID yet; set both before it is built")
    date = datetime.fromtimestamp(c.date, tz)
    fields = [
        address_field("From", [c.from_]),
        *_people(c, keep_bcc),
        text_field("Subject", c.subject),
        f"Date: {format_datetime(date if tz else date.astimezone())}\r\n",
        id_field("Message-ID", [c.message_id]),
    ]
    if c.in_reply_to:
        fields.append(id_field("In-Reply-To", c.in_reply_to))
    if c.references:
        fields.append(id_field("References", c.references))
    for name, value in c.headers.items():
        if name.lower() in _OWN_FIELDS or name.lower().startswith("content-"):
            raise CommandError(f"{name}: this header is set by the message itself")
        fields.append(text_field(name, value))
    fields.append("MIME-Version: 1.0\r\n")
    return "".join(fields).encode("ascii") + _body(c).as_bytes()


def envelope_of(c: Composition) -> tuple[str, tuple[str, ...]]:
    """Return the envelope sender and the recipients, each once, as addr-specs in their ASCII form.

    Raises CommandError when there is no recipient or an address cannot be sent to.
    """
    sender = c.from_.addr if c.sender is None else c.sender
    people = {wire_address(person.addr): None for person in (*c.to, *c.cc, *c.bcc)}
    if not people:
        raise CommandError("the message has no recipient; set to, cc or bcc")
    return wire_address(sender, "sender") if sender else "", tuple(people)


def new_message_id(domain: str, random: bytes) -> str:
    """Return a Message-ID without brackets; `random` are at least 16 random octets."""
    name = base64.b32encode(random).decode("ascii").rstrip("=").lower()
    message_id = f"{name}@{domain.lower()}"
    try:
        return wire_address(message_id)
    except CommandError:
        return f"{name}@localhost"


def _people(c: Composition, keep_bcc: bool) -> list[str]:
    found = [("Reply-To", c.reply_to), ("To", c.to), ("Cc", c.cc), ("Bcc", c.bcc if keep_bcc else [])]
    return [address_field(name, people) for name, people in found if people]


def _body(c: Composition) -> MIMEPart:
    """Make the MIME tree: text, HTML beside it, attachments after them."""
    message = MIMEPart(policy=_POLICY)
    _set_text(message, c.text, "plain") if c.text or not c.html else _set_text(message, c.html, "html")
    if c.text and c.html:
        message.make_alternative()
        message.attach(_set_text(MIMEPart(policy=_POLICY), c.html, "html"))
    if c.attachments:
        message.make_mixed()
        for attachment in c.attachments:
            message.attach(_attached(attachment))
    # Made of the id, so that what is sent and what is kept are the same bytes; nobody can know it before.
    mark = hashlib.sha256(c.message_id.encode()).hexdigest()[:24]
    for n, part in enumerate(part for part in message.walk() if part.is_multipart()):
        part.set_boundary(f"=_{n}_{mark}")
    return message


def _set_text(part: MIMEPart, text: str, subtype: str) -> MIMEPart:
    text = "\n".join(re.split("\r\n|\r|\n", text)).encode("utf-8", "replace").decode("utf-8")
    part.set_content(text, subtype=subtype, charset="utf-8", cte=_encoding(text))
    return part


def _encoding(text: str) -> str:
    """Choose 7bit where the wire can carry the text as it is, else what is shorter."""
    if not _UNSAFE_TEXT.search(text) and len(max(text.split("\n"), key=len)) <= _LONGEST_LINE:
        return "7bit"
    octets, safe = len(text.encode()), len(_UNSAFE_TEXT.sub("", text))
    return "quoted-printable" if safe + 3 * (octets - safe) <= octets * 5 // 3 else "base64"


def _attached(attachment: Attachment) -> MIMEPart:
    if re.search(r"[\r\n\0]", attachment.name):
        raise CommandError(f"the attachment name {attachment.name!r} has a line break or NUL in it")
    if not _TYPE.fullmatch(attachment.type) or attachment.type.startswith("multipart/"):
        raise CommandError(f"{attachment.name}: {attachment.type!r} is no type an attachment may have")
    part, name = MIMEPart(policy=_POLICY), attachment.name.strip() or "attachment"
    maintype, _, subtype = attachment.type.lower().partition("/")
    if maintype == "message" and _fits(attachment.data):
        # As a text, so that the bytes stay what they are; RFC 2046 forbids to encode them.
        text = attachment.data.decode("ascii")
        part["Content-Type"] = attachment.type
        part.set_payload("\r\n".join(re.split("\r\n|\n", text)))
        part.add_header("Content-Disposition", "attachment", filename=name)
        return part
    if maintype == "message":
        maintype, subtype = "application", "octet-stream"
    part.set_content(
        attachment.data, maintype, subtype, cte="base64", disposition="attachment", filename=name
    )
    return part


def _fits(data: bytes) -> bool:
    """Tell whether bytes can go over the wire unencoded, but for their line ends."""
    lines: Sequence[bytes] = data.replace(b"\r\n", b"\n").split(b"\n")
    return data.isascii() and not re.search(rb"\0|\r(?!\n)", data) and max(map(len, lines)) <= _LONGEST_LINE
