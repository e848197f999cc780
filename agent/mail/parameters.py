"""Values with parameters, as in Content-Type: RFC 2045, 2231 and what senders write instead. Pure, linear."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from agent.mail.charset import decode_bytes, decode_words, one_line, utf8_or_latin

_PARAMETER = re.compile(r";[\s;]*+(?:([^\s=;\"]++)\s*+=\s*+(?:\"((?:[^\"\\]|\\.)*+)\"|([^;]*+)))?", re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,3}))?(\*)?")
_CHARSET = re.compile(r"([\w.:+-]{1,40})'(?:[\w-]{0,20}')?", re.ASCII)
_TYPE = re.compile(r"[\w!#$&^.+-]++/[\w!#$&^.+*-]++", re.ASCII)
_LOOSE_CHARSET = re.compile(r"([\w.:+-]{1,40})'(?:[\w-]{0,20}')?", re.ASCII)
_LOOSE_TYPE = re.compile(r"[\s\"']*+([\w!#$&^.+-]+/[\w!#$&^.+*-]+)[\"']?", re.ASCII)
_MOST = 200  # parameters of one field


def content_type(value: str, default: str = "text/plain") -> tuple[str, dict[str, str]]:
    """Return the media type, in lower case, and the parameters; `default` where there is no type."""
    kind, parameters = parse_parameters(value)
    if _TYPE.fullmatch(kind):
        return kind, parameters
    # Quoted, or without the semicolon before the first parameter.
    found = _LOOSE_TYPE.match(value)
    if not found:
        return default, parameters
    return found[1].lower(), parse_parameters(f"x; {value[found.end() :]}")[1]


@lru_cache(maxsize=2048)
def _short(value: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    kind, parameters = _read(value)
    return kind, tuple(parameters.items())


def parse_parameters(value: str) -> tuple[str, dict[str, str]]:
    """Return what stands before the first semicolon, in lower case, and the parameters by lower-case name."""
    if len(value) > 300:
        return _read(value)
    kind, parameters = _short(value)
    return kind, dict(parameters)


def _read(value: str) -> tuple[str, dict[str, str]]:
    kind, semicolon, rest = value.partition(";")
    plain: dict[str, str] = {}
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    if semicolon:
        for count, found in enumerate(_PARAMETER.finditer(semicolon + rest)):
            if count >= _MOST:
                break
            if found[1] is None:
                continue
            name, text = found[1].lower(), found[2]
            text = _ESCAPED.sub(r"\1", text) if text is not None else found[3].strip()
            section = _SECTION.fullmatch(name)
            if "*" in name and section:
                pieces.setdefault(section[1], []).append((int(section[2] or 0), bool(section[3]), text))
            else:
                plain.setdefault(name, one_line(decode_words(_eight_bit(text))))
    # The extended form is the better one where both are given (RFC 6266 section 4.3).
    return kind.strip().lower(), {**plain, **{name: _joined(parts) for name, parts in pieces.items()}}


def _joined(parts: list[tuple[int, bool, str]]) -> str:
    """Return the value of RFC 2231 pieces: percent-encoded ones in a charset, others as they are."""
    parts.sort(key=lambda part: part[0])
    charset, data = "", b""
    for _, encoded, text in parts:
        if encoded and not charset and (found := _CHARSET.match(text)):
            charset, text = found[1], text[found.end() :]
        octets = text.encode("utf-8" if not _is_latin(text) else "latin-1")
        data += unquote_to_bytes(octets) if encoded else octets
    text = decode_bytes(data, charset, may_guess=False)
    return one_line(decode_words(text))


def _is_latin(text: str) -> bool:
    return all(char < "\u0100" for char in text)


def _eight_bit(text: str) -> str:
    """Return text whose octets above 127 stand as Latin-1 as what they mean; other text as it is."""
    return utf8_or_latin(text.encode("latin-1")) if not text.isascii() and _is_latin(text) else text
