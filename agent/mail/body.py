"""What of a message is to be read and what is attached: alternatives chosen, parts sorted. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable

from agent.mail.part import Part

_SIGNATURES = frozenset(
    "application/pgp-signature application/pkcs7-signature application/x-pkcs7-signature".split()
)
_CONTROL = frozenset({"application/pgp-encrypted"})
_REPORTS = frozenset(
    "message/delivery-status message/global-delivery-status message/disposition-notification"
    " message/feedback-report text/rfc822-headers message/global-headers".split()
)
_CALENDARS = frozenset({"text/calendar", "application/ics", "application/calendar"})


MOST = 500  # parts of text that are shown; thousands are an attack


def readable(root: Part, *, html: bool) -> list[Part]:
    """Return the parts a person reads, in order; `html` prefers HTML where there is a choice."""
    if not root.parts:
        return [root] if _is_body(root, "", 0) else []
    return _read(root, html, "", 0)[:MOST]


def _read(part: Part, html: bool, inside: str, place: int) -> list[Part]:
    if not part.is_multipart:
        return [part] if _is_body(part, inside, place) else []
    if part.type == "multipart/alternative":
        return _best([_read(each, html, part.type, 0) for each in part.parts], html)
    if part.type == "multipart/encrypted":
        return []
    found = [_read(each, html, part.type, n) for n, each in enumerate(part.parts)]
    if part.type in ("multipart/related", "multipart/signed", "multipart/report"):
        return next((each for each in found if each), [])
    return [one for each in found for one in each]


def _is_body(part: Part, inside: str, place: int) -> bool:
    """Tell whether a leaf belongs to the text (as RFC 8621 section 4.1.4 sorts them)."""
    if part.disposition == "attachment" and (inside or part.name):
        return False
    if part.type not in ("text/plain", "text/html"):
        # An unknown kind of text is read as plain when nothing says that it is a file.
        return not inside and part.type.startswith("text/") and not part.name and part.type not in _CALENDARS
    return place == 0 or not part.name


def _best(choices: list[list[Part]], html: bool) -> list[Part]:
    """Return the choice with the wanted kind that says anything, else what there is."""
    wanted = "text/html" if html else "text/plain"
    for choice in reversed(choices) if html else choices:
        if any(part.type == wanted and part.bytes.strip() for part in choice):
            return choice
    for choice in reversed(choices):
        if any(part.bytes.strip() for part in choice):
            return choice
    return []


def shown(root: Part) -> dict[int, Part]:
    """Return the parts that are read as text or as HTML, by identity, in order."""
    if not root.parts:
        return {id(root): root} if readable(root, html=False) else {}
    return {id(part): part for html in (False, True) for part in readable(root, html=html)}


def attachments(root: Part, shown: Container[int]) -> tuple[Part, ...]:
    """Return the parts that are files of their own: not read as text, not shown within the text."""
    result: list[Part] = []
    stack: list[tuple[Part, str]] = [(root, "")]
    while stack:
        part, inside = stack.pop()
        if part.is_multipart:
            stack.extend((each, part.type) for each in reversed(part.parts))
        elif id(part) not in shown and _is_file(part, inside):
            result.append(part)
    return tuple(result)


def _is_file(part: Part, inside: str) -> bool:
    if part.type in _SIGNATURES or part.type in _CONTROL or part.type in _REPORTS:
        return False
    if part.disposition == "attachment":
        return True
    if inside == "multipart/alternative":
        return bool(part.name)
    if inside == "multipart/related" and part.content_id and not part.type.startswith("application/"):
        return False
    if part.type in ("text/plain", "text/html"):
        return bool(part.name)
    return True


def has_calendar(parts: Iterable[Part]) -> bool:
    """Tell whether a part is a calendar: an invitation, a reply to one."""
    for part in parts:
        if part.type in _CALENDARS or (part.name and part.name.lower().endswith(".ics")):
            return True
    return False


def has_signature(parts: Iterable[Part]) -> bool:
    """Tell whether the message or a part of it is signed; not whether the signature is good."""
    for part in parts:
        if part.type == "multipart/signed" or part.type in _SIGNATURES:
            return True
        if part.type.endswith("pkcs7-mime") and part.parameters.get("smime-type", "") == "signed-data":
            return True
    return False
