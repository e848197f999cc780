"""Renders a query to IMAP SEARCH (RFC 9051 section 6.4.4): a superset of what the query means.

What the server finds is fetched and filtered by the query itself. Where a part cannot be asked in a
way that finds at least as much, ALL stands in its place. One exception: servers do not fold accents,
so a word that is spelled with others than in the message is not found there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from agent.mail.query import All, And, Date, Is, Node, Not, Or, Person, Size, Tag, Words
from agent.mail.words import words
from agent.net.imap_syntax import search_date

Criterion = list[str | bytes]
Key = tuple[str | bytes, ...]
Keys = tuple[Key, ...]  # all must hold; no key twice, which Dovecot 2.3 stumbles over inside of OR

ALL: Keys = ()
NONE: Keys = (("NOT ALL",),)
_FLAG = {
    "unread": "UNSEEN",
    "read": "SEEN",
    "flagged": "FLAGGED",
    "answered": "ANSWERED",
    "draft": "DRAFT",
    "deleted": "DELETED",
    "forwarded": "KEYWORD $Forwarded",
}
_NOT_FLAG = {
    "unread": "SEEN",
    "read": "UNSEEN",
    "flagged": "UNFLAGGED",
    "answered": "UNANSWERED",
    "draft": "UNDRAFT",
    "deleted": "UNDELETED",
    "forwarded": "UNKEYWORD $Forwarded",
}
_LACKING = {"UNSEEN", "UNFLAGGED", "UNANSWERED", "UNDRAFT", "UNDELETED", "OR", "(", ")"}
_PERSON = {"from": "FROM", "to": "TO", "cc": "CC", "bcc": "BCC", "list": "HEADER List-Id"}
_TEXT = {"any": "TEXT", "subject": "SUBJECT", "body": "BODY"}
_PERSON_PART = re.compile(r'[^\s\x00-\x1f\x7f<>"(),;:\\]+')
_ATOM = re.compile(r"[A-Za-z0-9!#$&'+,\-./:;<=>?@\[^_`|}~]+")
_DAY = 86400


def criteria(node: Node) -> Criterion:
    """Return the words for Backend.search: str are SEARCH keys, bytes the user's text in UTF-8.

    `["ALL"]` means that the server cannot narrow the search.
    """
    return [word for key in _render(node, False) for word in key] or ["ALL"]


def _render(node: Node, negated: bool) -> Keys:
    if isinstance(node, Not):
        return _render(node.item, not negated)
    if isinstance(node, And | Or):
        parts = [_render(item, negated) for item in node.items]
        return _all(parts) if isinstance(node, And) != negated else _any(parts)
    if isinstance(node, All):
        return NONE if negated else ALL
    if isinstance(node, Is) and node.name in _FLAG:
        return (((_NOT_FLAG if negated else _FLAG)[node.name],),)
    if isinstance(node, Size):
        return _size(node, negated)
    if negated:
        return ALL  # the rest finds too much, so its opposite would find too little
    if isinstance(node, Words):
        return _words(node)
    if isinstance(node, Person):
        return _containing(_PERSON[node.field], _PERSON_PART.findall(node.text))
    if isinstance(node, Date):
        return _date(node)
    return _mark(node)


def _mark(node: Node) -> Keys:
    """Render what is a keyword on the server; all else only the local store knows."""
    if isinstance(node, Tag) and _ATOM.fullmatch(node.name):
        return ((f"KEYWORD {node.name}",),)
    if isinstance(node, Is) and node.name == "muted":
        return (("KEYWORD $Muted",),)
    return ALL


def _words(node: Words) -> Keys:
    if node.field == "filename":
        return ALL
    found = words(node.text)
    return _containing(_TEXT[node.field], found) if found else NONE


def _containing(key: str, words: Iterable[str]) -> Keys:
    """Ask for each word by itself: what stands between them may differ."""
    return _all([((key, word.encode("utf-8", "replace")),) for word in words])


def _size(node: Size, negated: bool) -> Keys:
    parts: list[Keys] = []
    if node.larger is not None:
        parts.append(((f"SMALLER {node.larger + 1}" if negated else f"LARGER {max(0, node.larger)}",),))
    if node.smaller is not None:
        parts.append(((f"LARGER {max(0, node.smaller - 1)}" if negated else f"SMALLER {node.smaller}",),))
    return _any(parts) if negated else _all(parts)


def _date(node: Date) -> Keys:
    """Render a range a day wider at both ends, as SEARCH knows neither times nor time zones."""
    since = search_date(node.since // _DAY - 1) if node.since is not None else ""
    before = search_date(node.before // _DAY + 2) if node.before is not None else ""
    received = _all([((f"{key} {day}",),) for key, day in (("SINCE", since), ("BEFORE", before)) if day])
    if node.field == "received":
        return received
    # A message without a Date is as old as its arrival.
    sent = _all([((f"{key} {day}",),) for key, day in (("SENTSINCE", since), ("SENTBEFORE", before)) if day])
    return _any([sent, received])


def _all(parts: list[Keys]) -> Keys:
    if NONE in parts:
        return NONE
    return tuple(dict.fromkeys(key for part in parts for key in part))


def _any(parts: list[Keys]) -> Keys:
    kept = list(dict.fromkeys(part for part in parts if part != NONE))
    if not kept:
        return NONE
    if ALL in kept or (len(kept) > 1 and _lacking_only(kept)):
        return ALL
    result = _one(kept[-1])
    for part in reversed(kept[:-1]):
        result = ("OR", *_one(part), *result)
    return (result,)


def _lacking_only(parts: list[Keys]) -> bool:
    """Tell whether parts ask for nothing but missing flags.

    Dovecot 2.3 makes NOT (SEEN FLAGGED) of OR UNSEEN UNFLAGGED, and then passes over what stands before the
    first unseen message.
    """
    return all(word in _LACKING for part in parts for key in part for word in key)


def _one(part: Keys) -> Key:
    """Return the keys as a single one, in parentheses where they are several."""
    return part[0] if len(part) == 1 else ("(", *(word for key in part for word in key), ")")
