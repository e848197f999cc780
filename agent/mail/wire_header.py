"""Header fields as they go over the wire: ASCII, folded, RFC 2047 and RFC 5322. Pure.

The standard library folds and encodes fields too, but it encodes long message ids (which breaks
threads) and loses quotes and blanks of some names; what goes out is too important for that.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence

from agent.errors import CommandError
from agent.mail.address import Address

WIDTH = 76
# RFC 5322 allows 998; a word that long is encoded or refused.
_LONGEST = 900
# RFC 2047 allows 75 for a word; 12 go for the marks around it, and a short name stands before the first.
_ENCODED_WIDTH = 52

_NAME = re.compile(r"[!-9;-~]{1,70}")
_FORBIDDEN = re.compile(r"[\r\n\0]")
_PLAIN_WORD = re.compile(r"[!-~]+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+( [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+" r'|"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*"')
_DOMAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[A-Za-z0-9.:]+\]")
_ID = re.compile(r"[!-;=?-~]+")


def text_field(name: str, text: str) -> str:
    """Return a field of free text (RFC 5322 unstructured) with its CRLF; raises CommandError."""
    _check_name(name)
    _check(name, text)
    words = re.split(r"(?<=[^ \t])(?=[ \t])", text.strip(" \t"))  # each word with the blanks before it
    odd = [n for n, word in enumerate(words) if not _is_plain(word)]
    if odd:
        first, last = odd[0], odd[-1] + 1
        run = "".join(words[first:last])
        # One blank stands outside of the encoded words, as readers may drop more.
        words[first:last] = [f" {word}" for word in encoded_words(run[1:] if run[:1] in " \t" else run)]
    return _folded(name, words)


def address_field(name: str, addresses: Sequence[Address]) -> str:
    """Return a field of addresses with its CRLF, folded between them; raises CommandError."""
    words = []
    for n, address in enumerate(addresses):
        comma = "," if n < len(addresses) - 1 else ""
        words += [f" {word}" for word in _mailbox(name, address)]
        words[-1] += comma
    return _folded(name, words)


def id_field(name: str, ids: Iterable[str]) -> str:
    """Return a field of message ids with its CRLF, folded between ids only; raises CommandError."""
    found = list(ids)
    for message_id in found:
        if not is_id(message_id):
            raise CommandError(f"{name}: {message_id!r} is no message id")
    return _folded(name, [f" <{message_id}>" for message_id in found])


def is_id(message_id: str) -> bool:
    """Tell whether a message id without brackets can go over the wire as it is."""
    return bool(_ID.fullmatch(message_id)) and len(message_id) <= _LONGEST


def wire_address(addr: str, field: str = "address") -> str:
    """Return an addr-spec as the wire wants it, the domain in its ASCII form; raises CommandError."""
    local, at, domain = addr.rpartition("@")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            at = ""
    if not at or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain) or len(addr) > 320:
        raise CommandError(f"{field}: {addr!r} is no address mail can be sent to")
    return f"{local}@{domain}"


def encoded_words(text: str) -> list[str]:
    """Return text as RFC 2047 words of at most 64 characters, none of which splits a character."""
    words, chunk, octets, quoted = [], "", 0, 0
    for char in text:
        more = len(char.encode("utf-8", "replace"))
        width = 1 if char == " " or _is_letter(char) else 3 * more
        if min(quoted + width, (octets + more + 2) // 3 * 4) > _ENCODED_WIDTH:
            words.append(_encoded(chunk))
            chunk, octets, quoted = "", 0, 0
        chunk, octets, quoted = chunk + char, octets + more, quoted + width
    return [*words, _encoded(chunk)]


def _encoded(text: str) -> str:
    octets = text.encode("utf-8", "replace")
    quoted = "".join(
        chr(octet) if _is_letter(chr(octet)) else "_" if octet == 32 else f"={octet:02X}" for octet in octets
    )
    packed = base64.b64encode(octets).decode("ascii")
    # The letter Q is easier on people who read the source, so long as it is hardly longer.
    if len(quoted) <= min(len(packed) + 8, _ENCODED_WIDTH):
        return f"=?utf-8?q?{quoted}?="
    return f"=?utf-8?b?{packed}?="


def _is_letter(char: str) -> bool:
    """Tell whether a character stands for itself, even in a person's name (RFC 2047 section 5 (3))."""
    return char.isascii() and char.isalnum()


def _mailbox(field: str, address: Address) -> list[str]:
    """Return the words of `Name <addr>`; folding happens between them."""
    _check(field, address.name)
    addr = wire_address(address.addr, field)
    name = " ".join(address.name.split())
    if not name:
        return [addr]
    if _ATOMS.fullmatch(name) and "=?" not in name and len(name) < _LONGEST:
        return [*name.split(" "), f"<{addr}>"]
    if name.isascii() and name.isprintable() and "=?" not in name and len(name) < _LONGEST // 2:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return [f'"{escaped}"', f"<{addr}>"]
    return [*encoded_words(name), f"<{addr}>"]


def _folded(name: str, words: Sequence[str]) -> str:
    """Join words, each with the blanks before it, breaking the line before blanks where it gets long."""
    lines, line = [], f"{name}:"
    for word in words:
        piece = word if word[:1].isspace() else f" {word}"
        if len(line) + len(piece) > WIDTH and line.strip() != f"{name}:":
            lines.append(line)
            line = ""
        line += piece
    return "\r\n".join([*lines, line]) + "\r\n"


def _is_plain(word: str) -> bool:
    bare = word.strip(" \t")
    return len(word) <= _LONGEST and "=?" not in bare and bool(_PLAIN_WORD.fullmatch(bare) or not word)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise CommandError(f"{name!r} is no name of a header field")


def _check(name: str, text: str) -> None:
    """Refuse what could start another header field or command."""
    if _FORBIDDEN.search(text):
        raise CommandError(f"{name}: line breaks and NUL are not allowed here: {text[:60]!r}")
