"""A draft as the text that is edited: the headers people write, an empty line, the body. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.errors import CommandError, did_you_mean
from agent.mail.address import Address, parse_addresses

if TYPE_CHECKING:
    from agent.core.draft import Draft

_PEOPLE = ("To", "Cc", "Bcc")
_KNOWN = ("From", *_PEOPLE, "Subject")


def to_text(draft: Draft) -> str:
    """Return the text of a draft for an editor."""
    lines = [f"From: {draft.from_}"]
    lines += [f"{name}: {', '.join(map(str, getattr(draft, name.lower())))}" for name in _PEOPLE]
    lines.append(f"Subject: {draft.subject}")
    return "\n".join([*lines, "", draft.text])


def from_text(draft: Draft, text: str) -> None:
    """Put edited text into the draft; raises CommandError, naming the line, when it cannot be read."""
    headers, body = _split(text.replace("\r\n", "\n"))
    for name in _PEOPLE:
        setattr(draft, name.lower(), list(_addresses(name, headers.get(name, ""))))
    draft.subject = headers.get("Subject", "")
    senders = _addresses("From", headers.get("From", ""))
    if len(senders) > 1:
        raise CommandError(f"From: only one sender is possible, not {len(senders)}")
    if senders:
        draft.from_ = senders[0]
    draft.text = body


def _split(text: str) -> tuple[dict[str, str], str]:
    headers: dict[str, str] = {}
    name = ""
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            return headers, "\n".join(lines[number:])
        if line[0] in " \t" and name:
            headers[name] += " " + line.strip()
            continue
        word, colon, value = line.partition(":")
        name = word.strip().capitalize()
        if not colon or name not in _KNOWN:
            hint = did_you_mean(name, _KNOWN) if colon else "; an empty line ends the headers"
            raise CommandError(f"line {number}: {line[:40]!r} is none of {', '.join(_KNOWN)}{hint}")
        headers[name] = value.strip()
    return headers, ""


def _addresses(name: str, text: str) -> tuple[Address, ...]:
    found = parse_addresses(text)
    for address in found:
        if "@" not in address.addr:
            raise CommandError(f"{name}: {text!r} has something that is no address; write name@example.org")
    if text.strip() and not found:
        raise CommandError(f"{name}: {text!r} has no address; write name@example.org")
    return found
