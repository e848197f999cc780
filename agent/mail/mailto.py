"""mailto: URLs (RFC 6068), of which only harmless fields are taken. Pure.

A link may come from anybody: it never attaches files, never sets Bcc or headers of its choice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from agent.errors import CommandError
from agent.mail.address import Address, parse_addresses
from agent.mail.wire_header import is_id

MAX_LENGTH = 100_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_BODY_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Mailto:
    """What a mailto: URL asks for; `ignored` names the fields that were left out."""

    to: list[Address] = field(default_factory=list)
    cc: list[Address] = field(default_factory=list)
    subject: str = ""
    body: str = ""
    in_reply_to: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def mailto(url: str) -> Mailto:
    """Read a mailto: URL: to, cc, subject, body and in-reply-to. Raises CommandError for anything else."""
    scheme, colon, rest = url.strip().partition(":")
    if scheme.lower() != "mailto" or not colon:
        raise CommandError(f"{url[:60]!r} is no mailto: address")
    if len(url) > MAX_LENGTH:
        raise CommandError(f"the mailto: address has {len(url)} characters, more than {MAX_LENGTH}")
    path, _, query = rest.partition("#")[0].partition("?")
    people: dict[str, list[Address]] = {"to": _addresses(path), "cc": []}
    texts = {"subject": "", "body": "", "in-reply-to": ""}
    ignored = []
    for item in filter(None, re.split("&amp;|&", query)):
        name, _, value = item.partition("=")
        name = _one_line(name).lower()
        if name in people:
            people[name] += _addresses(value)
        elif name in texts:
            texts[name] = _text(value) if name == "body" else _one_line(value)
        else:
            ignored.append(name)
    answered = texts["in-reply-to"].removeprefix("<").removesuffix(">")
    return Mailto(
        to=people["to"],
        cc=people["cc"],
        subject=texts["subject"],
        body=texts["body"],
        in_reply_to=(answered,) if is_id(answered) else (),
        ignored=tuple(ignored),
    )


def _addresses(encoded: str) -> list[Address]:
    """Return the addresses of a comma list, each decoded by itself."""
    found = []
    for one in encoded.split(","):
        found += [address for address in parse_addresses(_one_line(one)) if address.domain]
    return found


def _one_line(encoded: str) -> str:
    return _CONTROL.sub(" ", unquote(encoded)).strip()


def _text(encoded: str) -> str:
    return _BODY_CONTROL.sub("", re.sub("\r\n|\r", "\n", unquote(encoded)))
