"""One row of the message list: marks, who, subject, when, how big. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agent.console.fragments import Line
from agent.mail.safe import cell_width, fit, safe

if TYPE_CHECKING:
    from agent.core.message import Message

_DATE, _SIZE, _MARKS = 9, 5, 6
_UNITS = "KMGT"
# The endings that fraud poses under; more of them would hit names such as Node.js.
_DOMAIN = re.compile(r"(?:[\w-]+\.)+(?:com|net|org|edu|gov|mil|info|biz|bank)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs of the marks column, one cell each."""

    marked: str = "▌"
    unread: str = "●"
    flagged: str = "★"
    answered: str = "r"
    forwarded: str = "f"
    ellipsis: str = "…"


ASCII = Glyphs(marked=">", unread="N", flagged="!")


@dataclass(frozen=True, slots=True)
class Look:
    """What the row depends on besides the message."""

    width: int
    now: datetime
    glyphs: Glyphs = Glyphs()
    marked: bool = False
    outgoing: bool = False  # in Sent and Drafts the recipient is who matters


def row(message: Message, look: Look) -> Line:
    """Return the fragments of a row, exactly `look.width` cells."""
    who_width = max(12, min(26, look.width // 4))
    style = "class:row.unread" if message.unread else "class:row"
    left = look.width - _MARKS - who_width - _DATE - _SIZE - 4
    return [
        *_marks(message, look),
        (f"{style} class:row.who", fit(who(message, outgoing=look.outgoing), who_width)),
        (style, "  "),
        *_subject(message, style, max(0, left)),
        ("class:row.date", f" {smart_date(message.date, look.now):>{_DATE}}"),
        ("class:row.size", f" {human_size(message.size):>{_SIZE}}"),
    ]


def _marks(message: Message, look: Look) -> Line:
    signs = look.glyphs
    reply = signs.answered if message.answered else signs.forwarded if message.forwarded else " "
    return [
        ("class:row.marked", signs.marked if look.marked else " "),
        ("class:row.sign.unread", signs.unread if message.unread else " "),
        ("class:row.sign.flagged", signs.flagged if message.flagged else " "),
        ("class:row.sign", reply + "  "),
    ]


def _subject(message: Message, style: str, width: int) -> Line:
    subject = safe(message.subject) or "(no subject)"
    tags = " ".join(f"+{safe(tag)}" for tag in message.tags if not tag.startswith("$"))
    parts: Line = [("class:row.tag", f"{tags} ")] if tags and cell_width(tags) < width // 2 else []
    room = width - sum(cell_width(text) for _, text in parts)
    used = cell_width(subject)
    if used + 8 < room and (snippet := safe(message.snippet)):
        return [*parts, (style, subject), ("class:row.snippet", fit(f"  {snippet}", room - used))]
    return [*parts, (style, fit(subject, room))]


def who(message: Message, *, outgoing: bool) -> str:
    """Return the name of the sender, or of those a message of ours goes to."""
    if outgoing:
        names = [safe(address.name or address.addr) for address in message.to]
        return f"To: {', '.join(names)}" if names else "To: nobody yet"
    sender = message.from_
    name = safe(sender.name)
    return safe(sender.addr) if not name or _poses(name, sender.domain) else name


def _poses(name: str, domain: str) -> bool:
    """Tell whether a name looks like an address or like another domain: it must not pass for the sender's."""
    plain = unicodedata.normalize("NFKC", name)  # full-width and small @ are @ to the eye
    found = _DOMAIN.search(plain)
    return "@" in plain or (found is not None and not domain.lower().endswith(found[0].lower()))


def smart_date(date: datetime, now: datetime) -> str:
    """Return at most nine cells: the time today, the weekday this week, the day this year."""
    if date.date() == now.date():
        return f"{date:%H:%M}"
    if timedelta(0) < now - date < timedelta(days=6):
        return f"{date:%a %H:%M}"
    if date.year == now.year and date <= now:
        return f"{date.day} {date:%b}"
    return f"{date.day} {date:%b %y}"


def human_size(octets: int) -> str:
    """Return at most four cells such as 980, 3.1K, 12K, 4.5M."""
    if octets < 1000:
        return str(octets)
    value = float(octets)
    for unit in _UNITS:
        value /= 1024
        if value < 9.95:
            return f"{value:.1f}{unit}"
        if value < 999.5 or unit == _UNITS[-1]:
            return f"{value:.0f}{unit}"
    raise AssertionError(octets)
