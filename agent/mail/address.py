"""Mail addresses: the one parser that display, search, rules and replies share. Pure, linear, never raises.

A mailbox that can be read in two ways (CVE-2023-27043) has no address at all: `Address(text, "")`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

_SPECIAL = re.compile(r'["\\<>()\[\]:;,@]|^\s|\s$|=\?')
_PLAIN_NAME = re.compile(r"[^\s]+(?: [^\s]+)+")

# One step of reading; each alternative begins with a character of its own, so the whole is linear.
_TOKEN = re.compile(
    r"""(?P<word>=\?[^?\s]{1,60}\?[BbQq]\?[^?]*+\?=)
    |"(?P<quoted>(?:[^"\\]|\\.)*+)"
    |<(?P<angle>(?:[^<>"]|"(?:[^"\\]|\\.){0,300}+")*+)>
    |(?P<open>\()
    |(?P<sep>[,;:])
    |(?P<blank>\s+)
    |(?P<text>\[[^\[\]\s]*+\]|[^\s"<>(),;:=\[\\]++|\\.|.)""",
    re.VERBOSE | re.DOTALL,
)
_PAREN = re.compile(r"\\.|[()]", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_AROUND = re.compile(r"\s*([@.])\s*")
_ROUTE = re.compile(r"(?:@[^:]*:|mailto:)", re.IGNORECASE)
_NO_ADDRESS = re.compile(r'[\x00-\x20\x7f-\xa0\ufffd<>,;"()\\]|@.*@|@\Z|:(?!.*\])')
_COMMENT = re.compile(r"\([^()]*\)")
_LONGEST = 998  # a line of mail; RFC 5321 allows 254
_QUOTED_LOCAL = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*+"')
# What nearly all senders write, read in one step: a name or none and <an address>, an address (with a comment).
_ATOM = r"(?:[\w!#$%&'*+/^`{|}~.-]++|=\?[^?\s\"<>(),;:]{1,60}\?[BbQq]\?[^?\s\"<>(),;:]*+\?=)"
_ADDR = r"[\w!#$%&'*+/=^`{|}~.-]{1,300}+@[\w.-]{1,300}+"
_USUAL = re.compile(
    rf"(?:(?:({_ATOM}(?:[ \t]++{_ATOM})*+)|\"([^\"\\]*+)\")?[ \t]*+<({_ADDR})>"
    rf"|({_ADDR})(?: \(([^()\\\"]*+)\))?)(?:,[ \t]*+(?=.)|\Z)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox: a name to show and an address to write to; either may be empty."""

    name: str
    addr: str

    @property
    def local(self) -> str:
        """What stands before the last @."""
        return self.addr.rpartition("@")[0] or self.addr

    @property
    def domain(self) -> str:
        """What stands behind the last @; empty when there is none."""
        return self.addr.rpartition("@")[2] if "@" in self.addr else ""

    def __str__(self) -> str:
        if not self.addr:
            return self.name if _is_plainly_a_name(self.name) else _quote(self.name)
        if not self.name:
            return self.addr if _reads_alone(self.addr) else f"<{self.addr}>"
        name = _quote(self.name) if _SPECIAL.search(self.name) else self.name
        return f"{name} <{self.addr}>"


def _quote(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _is_plainly_a_name(text: str) -> bool:
    return _PLAIN_NAME.fullmatch(text) is not None and not _SPECIAL.search(text)


def _reads_alone(addr: str) -> bool:
    return not re.search(r'[\s"\\<>():;,]', addr)


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Return the mailboxes of decoded header text in order, those of groups too (RFC 5322 section 3.4)."""
    return decode_addresses(text, str)


def decode_addresses(text: str, decode: Callable[[str], str]) -> tuple[Address, ...]:
    """Return the mailboxes of undecoded header text; `decode` sees names only, never an address."""
    return _usual(text, decode) or tuple(each for each in _mailboxes(text, decode) if each.addr or each.name)


def format_addresses(addresses: Iterable[Address]) -> str:
    """Return addresses as header text, names quoted where RFC 5322 wants it; not encoded."""
    return ", ".join(str(address) for address in addresses)


def same_address(one: Address | str, other: Address | str) -> bool:
    """Tell whether two addresses are one mailbox: case does not count, nor how the domain is written.

    No address at all is never the same as another.
    """
    first, second = (normal_address(each) for each in (one, other))
    return bool(first) and first == second


def normal_address(address: Address | str) -> str:
    """Return the form in which addresses are compared: folded, an internationalised domain in Unicode."""
    addr = address.addr if isinstance(address, Address) else address
    local, at, domain = addr.strip().casefold().rpartition("@")
    if "xn--" in domain and len(domain) < 256:
        try:
            domain = domain.encode("ascii").decode("idna")
        except UnicodeError:
            pass
    return f"{local}{at}{domain.rstrip('.')}"


# -- reading ---------------------------------------------------------------------------------


def _usual(text: str, decode: Callable[[str], str]) -> tuple[Address, ...]:
    """Read the usual forms; nothing where there is anything else."""
    result, place = [], 0
    while found := _USUAL.match(text, place):
        words, quoted, angle, bare, comment = found.groups()
        name = words or quoted or comment
        result.append(_named(_clean(decode(name)) if name else "", angle or bare))
        place = found.end()
    return tuple(result) if result and place == len(text) else ()


class _Piece(NamedTuple):
    """A piece of one mailbox: what kind, its text, and whether blanks stood before it."""

    kind: str  # word quoted angle comment text
    text: str
    spaced: bool


def _mailboxes(text: str, decode: Callable[[str], str]) -> Iterator[Address]:
    """Cut text at commas (and semicolons, as some clients write) and read each piece."""
    pieces: list[_Piece] = []
    for piece in _pieces(text):
        if piece.kind != "sep":
            pieces.append(piece)
        elif piece.text == ":" and not _may_be_address(pieces):
            pieces = []  # the name of a group
        elif piece.text == ":":
            pieces.append(piece._replace(kind="text"))
        else:
            if _says_something(pieces):
                yield _mailbox(pieces, decode)
            pieces = []
    if _says_something(pieces):
        yield _mailbox(pieces, decode)


def _says_something(pieces: list[_Piece]) -> bool:
    return any(piece.kind != "comment" for piece in pieces)


def _may_be_address(pieces: list[_Piece]) -> bool:
    return any(piece.kind == "angle" or (piece.kind == "text" and "@" in piece.text) for piece in pieces)


def _pieces(text: str) -> Iterator[_Piece]:
    place, spaced, comments = 0, False, True
    while found := _TOKEN.match(text, place):
        kind, place = found.lastgroup or "text", found.end()
        if kind == "blank":
            spaced = True
            continue
        content = found[kind]
        if kind == "open":
            end = _end_of_comment(text, place) if comments else None
            # What was not closed once is not closed further on; looking again would take quadratic time.
            comments = end is not None
            kind, content, place = ("comment", text[place : end - 1], end) if end else ("text", "(", place)
        elif kind == "quoted":
            content = _ESCAPED.sub(r"\1", content)
        yield _Piece(kind, content, spaced)
        spaced = False


def _end_of_comment(text: str, start: int) -> int | None:
    """Return where the comment ends that begins before `start`; comments nest."""
    depth = 1
    for paren in _PAREN.finditer(text, start):
        depth += {"(": 1, ")": -1}.get(paren[0], 0)
        if not depth:
            return paren.end()
    return None


def _mailbox(pieces: list[_Piece], decode: Callable[[str], str]) -> Address:
    angles = [piece.text for piece in pieces if piece.kind == "angle"]
    if not angles:
        return _bare(pieces, decode)
    names = [piece for piece in pieces if piece.kind not in ("angle", "comment")]
    name = _phrase(names, decode)
    if len(angles) > 1 or _runs_into_angle(pieces):
        return Address(_phrase([_shown(piece) for piece in pieces], decode), "")
    addr = _addr_spec(angles[0])
    if not name:
        name = _comments(pieces, decode) or ("" if addr else _clean(decode(angles[0])))
    return _named(name, addr)


def _named(name: str, addr: str) -> Address:
    """Return an address whose name says more than the address itself."""
    return Address("" if name == addr else name, addr)


def _runs_into_angle(pieces: list[_Piece]) -> bool:
    """Tell whether an address and an angle touch, or an address follows it: two readings are possible."""
    before = True
    for n, piece in enumerate(pieces):
        if piece.kind == "angle":
            touching = not piece.spaced and n and pieces[n - 1].kind == "text"
            if touching and any("@" in each.text for each in pieces[:n] if each.kind == "text"):
                return True
            before = False
        elif not before and piece.kind == "text" and "@" in piece.text:
            return True
    return False


def _bare(pieces: list[_Piece], decode: Callable[[str], str]) -> Address:
    """Read a mailbox without angle brackets: an address, a name, or a name and an address."""
    core = [piece for piece in pieces if piece.kind != "comment"]
    raw = "".join((" " if piece.spaced else "") + _source(piece) for piece in core).strip()
    comment = _comments(pieces, decode)
    if not core or all(piece.kind in ("quoted", "word") for piece in core):
        return Address(_phrase(core, decode) or comment, "")
    if not any(piece.kind == "text" and "@" in piece.text for piece in core):
        addr = "" if " " in raw else _addr_spec(raw)
        return _named(comment, addr) if addr else Address(_phrase(core, decode), "")
    if core[0].kind == "quoted" and not core[1].spaced:
        words = [raw]
    else:
        words = _AROUND.sub(r"\1", raw).split()
    with_at = [word for word in words if "@" in word]
    if len(with_at) == 1 and with_at[0] in (words[0], words[-1]) and (addr := _addr_spec(with_at[0])):
        rest = " ".join(word for word in words if word is not with_at[0])
        return _named(_clean(decode(rest.replace('"', ""))) or comment, addr)
    return Address(_clean(decode(raw)), "")


def _comments(pieces: list[_Piece], decode: Callable[[str], str]) -> str:
    return _clean(" ".join(_phrase([piece], decode) for piece in pieces if piece.kind == "comment"))


def _source(piece: _Piece) -> str:
    return _quote(piece.text) if piece.kind == "quoted" else piece.text


def _shown(piece: _Piece) -> _Piece:
    around = {"angle": "<>", "comment": "()"}.get(piece.kind)
    return piece._replace(text=f"{around[0]}{piece.text}{around[1]}") if around else piece


def _phrase(pieces: list[_Piece], decode: Callable[[str], str]) -> str:
    """Return a name: words with the blanks that stood between them, decoded as one text."""
    return _clean(decode("".join((" " if piece.spaced else "") + piece.text for piece in pieces)))


def _clean(name: str) -> str:
    """Return a name in one line; stray brackets alone are none."""
    return " ".join(name.split()) if name.strip("<> \t\r\n") else ""


def _addr_spec(text: str) -> str:
    """Return an address, or nothing where there is none to be trusted."""
    addr = text.strip("<> \t\r\n")
    if "(" in addr and '"' not in addr:
        addr = _COMMENT.sub("", addr)
    if len(addr) > _LONGEST:
        return ""
    if found := _ROUTE.match(addr):
        addr = addr[found.end() :].strip()
    if not addr.startswith('"'):
        addr = _AROUND.sub(r"\1", addr)
    quoted = _QUOTED_LOCAL.match(addr)
    outside = addr[quoted.end() :] if quoted else addr
    return "" if _NO_ADDRESS.search(outside) or addr.startswith(("=?", "@")) else addr
