"""Header blocks: the fields of one, and the envelope that lists, search, rules and replies use. Pure.

`read_header` runs once per listed message, a hundred thousand in a row: fields of plain ASCII take a
short way, everything else the tolerant one. Nothing raises; time is linear in the size.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from agent.mail.address import decode_addresses, format_addresses
from agent.mail.charset import decode_words, detect, latin, one_line
from agent.mail.sent import parse_date

AUTOMATIC, LIST, BULK, BOUNCE, ATTACHMENT, CALENDAR, SIGNATURE = (1 << n for n in range(7))

# What a listing must fetch for an envelope.
LISTING_FIELDS = (
    *("Date", "From", "Sender", "To", "Cc", "Bcc", "Reply-To", "Subject", "Message-ID", "In-Reply-To"),
    *("References", "List-Id", "Return-Path", "Auto-Submitted", "Precedence", "List-Post"),
    *("List-Unsubscribe", "Content-Type", "X-Auto-Response-Suppress"),
)

MAX_HEADER = 1 << 20  # octets of a header block
MAX_LINE = 1 << 16  # characters of one field
MAX_FIELDS = 5_000

_ADDRESS_FIELDS = frozenset(
    "from sender to cc bcc reply-to resent-from resent-sender resent-to resent-cc resent-bcc"
    " return-path delivered-to x-original-to envelope-to disposition-notification-to errors-to".split()
)
_REPEATED = frozenset({"to", "cc", "bcc", "references"})  # given twice, they belong together
_USUAL_END = re.compile(rb"\n\r?\n")
_END = re.compile(rb"\r?\n\r?\n|\r\r|\A\r?\n")
_BLANK_LINE = re.compile(r"\n\r?\n")
_FOLD = re.compile(r"\n(?=[ \t])")
# A field whose name begins like one of those that an envelope needs; most others are skipped unread.
_FIELD = re.compile(
    r"\n((?:[FfSsTtCcBbDdMmIiLlAaPp]|[Rr][Ee](?![Cc])|[Xx]-[Aa])[A-Za-z-]*+)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)"
)
# Lists of addresses in the form of an Envelope already: nothing to be done.
_WORD = r"[\w!#$%&'*+/^`{|}~.-]++"
_QUOTED = r'"(?=[^"]*[(),:;<>@])[^"\\\s=?]++(?: [^"\\\s=?]++)*+"'
_ADDR = r"[\w!#$%&'*+/=^`{|}~.-]++@[\w.-]++"
_ONE_NORMAL = rf"(?:(?:{_WORD}(?: {_WORD})*+|{_QUOTED}) <{_ADDR}>|{_ADDR})"
_NORMAL = re.compile(rf"{_ONE_NORMAL}(?:, {_ONE_NORMAL})*+", re.ASCII)
_NEEDLESS_QUOTES = re.compile(rf'"({_WORD}(?: {_WORD})*+)" <', re.ASCII)
_ID = re.compile(r"<([^<>]+)>")
_LIST_ID = re.compile(r"<\s*([^<>]*?)\s*>")
_CACHED = 500  # longer lists of addresses seldom come again


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What the header says, decoded, each in one line.

    Addresses stand as `Name <addr>, ...` in the form that `parse_addresses` reads back; ids have no
    brackets; `date` is in seconds since 1970; `return_path` is "" for `<>` and None when there is none.
    """

    subject: str = ""
    from_: str = ""
    sender: str = ""
    to: str = ""
    cc: str = ""
    bcc: str = ""
    reply_to: str = ""
    date: int | None = None
    message_id: str = ""
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    list_id: str = ""
    traits: int = 0
    return_path: str | None = None


def header_of(raw: bytes) -> bytes:
    """Return the header block of a message, without the empty line."""
    usual = _USUAL_END.search(raw)
    if usual and raw[0] not in b"\r\n" and raw.find(b"\r\r", 0, usual.start()) < 0:
        return raw[: usual.start()].removesuffix(b"\r")
    found = _END.search(raw)
    return raw[: found.start()] if found else raw


def read_header(header: bytes) -> Envelope:
    """Return the envelope of a header block, whole or of LISTING_FIELDS only."""
    return envelope_of(read_fields(header))


def read_fields(header: bytes) -> dict[str, str]:
    """Return the fields an envelope and a part need, by lower-case name, unfolded but not decoded."""
    if b"\n" in header and len(header) <= MAX_LINE and header.count(b"\n") < MAX_FIELDS:
        try:
            return _usual_fields(header.decode("utf-8"))
        except ValueError:  # not UTF-8, or CR where there should be none
            pass
    fields: dict[str, str] = {}
    for line in _lines(header):
        name, colon, value = line.partition(":")
        if colon:
            _add(fields, name.rstrip().lower(), value.strip())
    return fields


def _usual_fields(text: str) -> dict[str, str]:
    blank = _BLANK_LINE.search(text)
    fields: dict[str, str] = {}
    for name, value in _FIELD.findall("\n" + (text[: blank.start()] if blank else text)):
        name = name.lower()
        value = value.strip()
        if "\n" in value:
            value = value.replace("\r\n", "").replace("\n", "")
        if "\r" in value:
            raise ValueError
        if name not in fields:
            fields[name] = value
        else:
            _add(fields, name, value)
    return fields


def _add(fields: dict[str, str], name: str, value: str) -> None:
    if name not in fields:
        fields[name] = value
    elif name in _REPEATED:
        fields[name] += f" {value}" if name == "references" else f", {value}"


def envelope_of(fields: dict[str, str]) -> Envelope:
    """Return what an envelope says of the fields that `read_fields` gives."""
    get = fields.get
    return_path = get("return-path")
    if return_path is not None:
        return_path = _addr_only(return_path)
    from_ = people(get("from", ""))
    subject = get("subject", "")
    ids = _ids(get("message-id", ""))
    references = get("references")
    in_reply_to = get("in-reply-to")
    list_id = get("list-id")
    return Envelope(
        decode_text(subject),
        from_,
        people(get("sender", "")),
        people(get("to", "")),
        people(get("cc", "")),
        people(get("bcc", "")),
        people(get("reply-to", "")),
        parse_date(fields["date"]) if "date" in fields else None,
        ids[0] if ids else "",
        _ids(in_reply_to) if in_reply_to else (),
        _ids(references) if references else (),
        _list_id(list_id) if list_id else "",
        _traits(fields, from_, return_path),
        return_path,
    )


def header_fields(header: bytes) -> list[tuple[str, str]]:
    """Return all fields of a header block in order, decoded, each value in one line."""
    result = []
    for line in _lines(header):
        name, colon, value = line.partition(":")
        name = name.rstrip()
        if colon and name and not name.startswith((" ", "\t")) and " " not in name:
            result.append((name, _field(name.lower(), value.strip())))
    return result


def _field(name: str, value: str) -> str:
    if name in _ADDRESS_FIELDS and "=?" in value:
        return people(value)
    return decode_text(value)


def _lines(header: bytes) -> list[str]:
    """Return the unfolded lines of a header block."""
    text = header[:MAX_HEADER].decode("latin-1").replace("\r\n", "\n")
    if "\r" in text and "\n" not in text:
        text = text.replace("\r", "\n")
    end = text.find("\n\n")
    if end >= 0:
        text = text[:end]
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub("", text)
    lines = text.split("\n", MAX_FIELDS)
    if len(lines) > MAX_FIELDS:
        del lines[MAX_FIELDS:]
    if len(text) > MAX_LINE:
        lines = [line[:MAX_LINE] for line in lines]
    return lines if text.isascii() else _eight_bit(lines)


def decode_text(value: str) -> str:
    """Return a field's text with its encoded words decoded, in one line."""
    return one_line(decode_words(value.replace("\t", " ")))


def _eight_bit(lines: list[str]) -> list[str]:
    """Return lines whose raw octets stand as Latin-1 as text: UTF-8, else what all of them seem to be."""
    result, others = [], []
    for n, line in enumerate(lines):
        if not line.isascii():
            octets = line.encode("latin-1")
            try:
                line = octets.decode("utf-8")
            except UnicodeError:
                others.append((n, octets))
        result.append(line)
    codec = detect(b"\n".join(octets.partition(b":")[2] for _, octets in others)) if others else None
    for n, octets in others:
        try:
            result[n] = octets.decode(codec or "utf-8")
        except UnicodeError:
            result[n] = latin(octets)
    return result


def people(value: str) -> str:
    """Return a field of addresses, not decoded yet, in the form of an Envelope."""
    if not value:
        return ""
    return _people(value) if len(value) < _CACHED else _read_people(value)


@lru_cache(maxsize=8192)
def _people(value: str) -> str:
    if '"' in value:
        value = _NEEDLESS_QUOTES.sub(r"\1 <", value)
    return value if _NORMAL.fullmatch(value) else _read_people(value)


def _read_people(value: str) -> str:
    return one_line(format_addresses(decode_addresses(value, _name)))


def _name(text: str) -> str:
    return one_line(decode_words(text))


def _addr_only(value: str) -> str:
    if (
        value.isascii()
        and value.isprintable()
        and value[:1] == "<"
        and value[-1:] == ">"
        and value.count("<") == 1
        and " " not in value
    ):
        return value[1:-1]
    found = decode_addresses(value, _name)
    return found[0].addr if found else ""


def _ids(value: str) -> tuple[str, ...]:
    """Return the message ids in a field, each once, garbage around them left out."""
    if not value.isascii() or "=?" in value or "\0" in value:
        value = decode_text(value)
    found = _ID.findall(value)
    if not found:
        words = value.strip("<> ").split()
        return tuple(words) if len(words) == 1 or all("@" in word for word in words) else ()
    if len(found) > 1:
        found = list(dict.fromkeys(found))
    # An id longer than a line is folded by some senders, against RFC 5322.
    return tuple(["".join(each.split()) if " " in each else each for each in found])


def _list_id(value: str) -> str:
    """Return the id of a list without its description (RFC 2919)."""
    text = decode_text(value)
    found = _LIST_ID.search(text)
    return found[1] if found and found[1] else text


# -- traits ----------------------------------------------------------------------------------


def _traits(fields: dict[str, str], from_: str, return_path: str | None) -> int:
    traits = 0
    if "list-id" in fields or "list-post" in fields or "mailing-list" in fields:
        traits |= LIST
    if "list-unsubscribe" in fields:
        traits |= BULK
    if precedence := fields.get("precedence"):
        traits |= _PRECEDENCE.get(precedence.strip().lower(), 0)
    if (auto := fields.get("auto-submitted")) and not auto.lower().startswith("no"):
        traits |= AUTOMATIC
    if fields.get("x-auto-response-suppress", "none").lower() not in ("none", ""):
        traits |= AUTOMATIC
    content = fields.get("content-type")
    if content and not content.startswith("text/plain"):
        traits |= _hint(content[:1000].lower())
    if return_path == "" or "aemon" in from_ or "AEMON" in from_:
        sender = from_.lower()
        if "mailer-daemon" in sender or (return_path == "" and "postmaster@" in sender):
            traits |= BOUNCE | AUTOMATIC
    return traits


_PRECEDENCE = {
    "bulk": BULK,
    "junk": BULK,
    "list": BULK | LIST,
    "auto_reply": AUTOMATIC,
    "auto-reply": AUTOMATIC,
}


def _hint(content: str) -> int:
    """Return what the outermost type lets expect of a message whose body is not here yet."""
    kind = content.partition(";")[0].strip()
    if kind == "multipart/mixed":
        return ATTACHMENT
    if kind == "multipart/report":
        return AUTOMATIC | (BOUNCE if "delivery-status" in content else 0)
    if kind == "multipart/signed" or "signed-data" in content:
        return SIGNATURE
    if kind == "text/calendar":
        return CALENDAR
    if kind.partition("/")[0] in ("application", "image", "audio", "video"):
        return ATTACHMENT
    return 0
