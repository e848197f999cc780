"""The grammar of IMAP answers (RFC 9051 section 9): values, FETCH items, dates, flags, UID sets. Pure."""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Iterable, Iterator, Sequence

from agent.errors import CommandError, NetworkError
from agent.mail.flags import from_wire

Value = None | bytes | list["Value"]  # None is NIL

_TOKEN = re.compile(
    rb'\s*(?:(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\]|\\.)*)"'
    rb"|(?P<atom>[^\s()\"\[]*\[[^\]]*\](?:<\d+>)?|[^\s()\"]+))",
    re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_DEEPEST = 100
_MONTHS = {m: n for n, m in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_UID_SET = re.compile(r"(?:\d+|\*)(?::(?:\d+|\*))?(?:,(?:\d+|\*)(?::(?:\d+|\*))?)*")
_LONGEST_SET = 7500  # commands stay below 8 kB
MOST_UIDS = 20_000_000  # what a range from a server may expand to


def values(parts: Sequence[bytes]) -> list[Value]:
    """Read the values of a response given as text, literal, text, …; raises NetworkError."""
    result: list[Value] = []
    stack = [result]
    for n, part in enumerate(parts):
        if n % 2:
            stack[-1].append(part)
            continue
        for match in _TOKEN.finditer(part):
            kind = match.lastgroup
            if kind == "open":
                inner: list[Value] = []
                stack[-1].append(inner)
                stack.append(inner)
                if len(stack) > _DEEPEST:
                    raise NetworkError("the server's answer is nested too deeply")
            elif kind == "close":
                if len(stack) > 1:
                    stack.pop()
            elif kind == "quoted":
                stack[-1].append(_ESCAPE.sub(rb"\1", match["quoted"]))
            else:
                atom = match["atom"]
                if atom[:1] == b"{":
                    raise NetworkError(f"the server announces {atom[:40]!r} octets")
                stack[-1].append(None if atom.upper() == b"NIL" else atom)
    return result


def items(parts: Sequence[bytes]) -> dict[bytes, Value]:
    """Read the items of a FETCH or STATUS answer; names in capitals, sections cut to `BODY[]`."""
    read = values(parts)
    pairs = next((value for value in read if isinstance(value, list)), [])
    result: dict[bytes, Value] = {}
    for name, value in zip(pairs[::2], pairs[1::2], strict=False):
        if isinstance(name, bytes):
            result[name.upper().partition(b"[")[0] + (b"[]" if b"[" in name else b"")] = value
    return result


def number(value: Value) -> int | None:
    """Return a number, also one in parentheses as MODSEQ has it, or None."""
    if isinstance(value, list):
        value = value[0] if value else None
    return int(value) if isinstance(value, bytes) and value.isdigit() and len(value) < 20 else None


def internal_date(text: bytes) -> int:
    """Return seconds since 1970 of `17-Jul-2026 02:44:25 +0200`; 0 for what cannot be read."""
    try:
        day, month, year = int(text[:2]), _MONTHS[text[3:6].lower()], int(text[7:11])
        hour, minute, second = int(text[12:14]), int(text[15:17]), int(text[18:20])
        zone = int(text[22:24]) * 3600 + int(text[24:26]) * 60 if len(text) >= 26 else 0
        local = timegm((year, month, day, hour, minute, second))
        return local + zone if text[21:22] == b"-" else local - zone
    except (ValueError, KeyError, OverflowError):
        return 0


def wire_date(seconds: int) -> str:
    """Return the INTERNALDATE of a moment, in UTC, quoted."""
    days, rest = divmod(seconds, 86400)
    year, month, day = _civil(days)
    name = list(_MONTHS)[month - 1].decode().capitalize()
    return f'"{day:02d}-{name}-{year:04d} {rest // 3600:02d}:{rest % 3600 // 60:02d}:{rest % 60:02d} +0000"'


def search_date(days: int) -> str:
    """Return the date of a day counted from 1970-01-01, as SEARCH wants it."""
    year, month, day = _civil(days)
    return f"{day}-{list(_MONTHS)[month - 1].decode().capitalize()}-{year:04d}"


def _civil(days: int) -> tuple[int, int, int]:
    # Independent of what the platform's time functions can express.
    days += 719468
    era, of_era = divmod(days, 146097)
    years = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * years + years // 4 - years // 100)
    shifted = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return years + era * 400 + (month <= 2), month, day


def flag_words(raw: bytes) -> tuple[int, frozenset[str]]:
    """Return flag bits and tags of what stands between the parentheses of FLAGS."""
    return from_wire(raw.decode("utf-8", "replace").split())


def uid_ranges(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of a UID set from a server; raises NetworkError for nonsense."""
    for part in text.split(b","):
        first, _, last = part.strip().partition(b":")
        if not first.isdigit() or (last and not last.isdigit()) or len(first) > 10 or len(last) > 10:
            raise NetworkError(f"the server sent {text[:40]!r} for a set of UIDs")
        low = int(first)
        high = int(last) if last else low
        yield min(low, high), max(low, high)


def uid_list(text: bytes, most: int = MOST_UIDS) -> list[int]:
    """Return the UIDs of a set from a server, in its order; raises NetworkError for more than `most`."""
    result: list[int] = []
    for low, high in uid_ranges(text):
        if high - low + len(result) >= most:
            raise NetworkError(f"the server sent a set of more than {most} UIDs")
        result.extend(range(low, high + 1))
    return result


def uid_set(uids: Iterable[int]) -> str:
    """Return the shortest set such as `3:9,12` that names the UIDs."""
    runs: list[list[int]] = []
    for uid in sorted(set(uids)):
        if runs and uid == runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return ",".join(str(a) if a == b else f"{a}:{b}" for a, b in runs)


def split_set(uids: str) -> list[str]:
    """Return the sets of at most 7,500 characters that a set makes; raises CommandError for no set."""
    if not _UID_SET.fullmatch(uids):
        raise CommandError(f"{uids!r:.60} is no set of UIDs such as 3:9,12")
    result = []
    while len(uids) > _LONGEST_SET:
        cut = uids.rindex(",", 0, _LONGEST_SET)
        result.append(uids[:cut])
        uids = uids[cut + 1 :]
    return [*result, uids]
