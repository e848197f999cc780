"""Bytes of any charset to text: declared, misdeclared or undeclared, and RFC 2047 encoded words. Pure.

Nothing here raises and everything takes linear time; what cannot be decoded becomes U+FFFD.
"""

from __future__ import annotations

import binascii
import codecs
import re
from functools import lru_cache

# Labels that Python does not know, or that mean more in the wild than they say (as browsers read them).
_ALIASES = {
    "ansi-x3.4-1968": "ascii",
    "us-ascii": "ascii",
    "usascii": "ascii",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "8859-1": "cp1252",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "windows-874": "cp874",
    "tis-620": "cp874",
    "x-sjis": "cp932",
    "shift-jis": "cp932",
    "shift_jis": "cp932",
    "sjis": "cp932",
    "windows-31j": "cp932",
    "iso-2022-jp": "iso2022_jp_ext",
    "x-euc-jp": "euc_jp",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "cn-gb": "gb18030",
    "hz-gb-2312": "hz",
    "big5": "big5hkscs",
    "x-x-big5": "big5hkscs",
    "cn-big5": "big5hkscs",
    "ks_c_5601-1987": "cp949",
    "ks-c-5601-1987": "cp949",
    "euc-kr": "cp949",
    "x-windows-949": "cp949",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-8mb4": "utf-8",
    "utf8mb4": "utf-8",
    "cp-850": "cp850",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "koi8-ru": "koi8_u",
}
# Python's codecs that are no charsets of mail: they run other code, take quadratic time or need Windows.
_REFUSED = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
_GUESSED_FROM = 2048  # octets shown to the guesser
_LEAST_CONFIDENCE = 0.3
_HIGH_PAIR = re.compile(rb"[\x80-\xff]{2}|\xa4")  # or what may be the sign of the euro
_FEW = 100  # octets of text for one that is not ASCII
_HIGH = re.compile(rb"[\x80-\xff]")
# English with dots, quotes, dashes, a copyright: the same in most one-octet charsets, and single.
_ONLY_SIGNS = re.compile(
    rb"[\x00-\x7f]*+(?:[\x85\x91-\x97\x99\xa0\xa9\xae\xb7](?![\x80-\xff])[\x00-\x7f]*+)++"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CP1252 = "".join(bytes([n]).decode("cp1252", "ignore") or chr(n) for n in range(256))
_WIDE = ("utf-16", "utf-32", "utf_16", "utf_32")
# Codecs in which octets below 128 need not be ASCII.
_NOT_ASCII = (*_WIDE, "utf-7", "hz", "iso2022")
_BROKEN_LINE = str.maketrans("\0\r\n", "\ufffd" * 3)

# A stray ? inside a word is common enough to allow a few; their number is bounded to stay linear.
_WORD = re.compile(
    r"=\?([^?*\s\"<>()]{1,60})(?:\*[^?\s]{0,40})?\?([BbQq])\?([^?]*+(?:\?(?!=)[^?]*+){0,4}+)\?="
)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_GAP = " \t\n\r"


def decode_bytes(data: bytes, charset: str | None, *, may_guess: bool = True) -> str:
    """Return the text of bytes with a declared charset; guessed when that is missing or plainly wrong.

    A guess costs 0.3 ms: `may_guess=False` where a sender could ask for thousands.
    """
    codec = codec_of(charset)
    if b"\x1b$" in data and codec in (None, "ascii"):
        codec = "iso2022_jp_ext"  # seven-bit Japanese that nobody declared
    elif codec is not None and codec.startswith(_WIDE) and b"\0" not in data:
        codec = None  # text of one octet per character, whatever the label says
    if data.isascii() and (codec is None or not codec.startswith(_NOT_ASCII)):
        return data.decode("ascii")
    if codec is None or codec == "ascii":
        return guess(data) if may_guess else utf8_or_latin(data)
    try:
        text = data.decode(codec)
    except UnicodeError:
        text = _misdeclared(data, codec, may_guess)
    return without_surrogates(text) if codec == "utf-7" else text


def _misdeclared(data: bytes, codec: str, may_guess: bool) -> str:
    """Decode what is not in its declared charset: as UTF-8 when it is that, else with replacements."""
    if codec != "utf-8":
        try:
            return data.decode("utf-8")
        except UnicodeError:
            pass
    if codec == "cp1252":
        return latin(data)
    text = data.decode(codec, "replace")
    # One bad octet is damage; many mean that the label lies.
    if may_guess and codec == "utf-8" and text.count("\ufffd") > 1 + len(text) // 50:
        return guess(data)
    return text


def utf8_or_latin(data: bytes) -> str:
    """Return the text of undeclared bytes as UTF-8 if they are that, else as Latin; no guessing."""
    try:
        return data.decode("utf-8")
    except UnicodeError:
        return latin(data)


def guess(data: bytes) -> str:
    """Return the text of bytes whose charset nobody declared."""
    try:
        return data.decode("utf-8")
    except UnicodeError:
        pass
    codec = detect(data)
    if codec is not None:
        try:
            return data.decode(codec)
        except UnicodeError:
            pass
    return latin(data)


def detect(data: bytes) -> str | None:
    """Return the codec that bytes, which are not UTF-8, seem to be in; None when nothing is likely."""
    if _ONLY_SIGNS.fullmatch(data):
        return None
    high = _HIGH.search(data)
    start = max(0, high.start() - _GUESSED_FROM // 2) if high else 0
    sample = data[start : start + _GUESSED_FROM]
    # A letter here and there in ASCII is of a western name or word; other languages have far more of them.
    if len(_HIGH.findall(sample)) * _FEW < len(sample) and not _HIGH_PAIR.search(sample):
        return None
    return _detected(sample)


@lru_cache(maxsize=256)
def _detected(sample: bytes) -> str | None:
    import chardet  # 40 ms, and most mail never needs it

    # Those of mainframes and of old Macs take most of the time, and mail is not in them.
    era = chardet.EncodingEra
    found = chardet.detect(sample, encoding_era=era.MODERN_WEB | era.LEGACY_ISO | era.DOS)
    # Text that is mostly high octets is not of Latin letters, however short and unsure.
    least = _LEAST_CONFIDENCE / 3 if len(_HIGH.findall(sample)) * 2 > len(sample) else _LEAST_CONFIDENCE
    if not found["encoding"] or (found["confidence"] or 0) < least:
        return None
    codec = codec_of(found["encoding"])
    return None if codec is None or codec.startswith(_NOT_ASCII) else codec


def latin(data: bytes) -> str:
    """Decode as cp1252, its five unassigned octets as the controls of Latin-1."""
    return codecs.charmap_decode(data, "strict", _CP1252)[0]


@lru_cache(maxsize=512)
def codec_of(charset: str | None) -> str | None:
    """Return the Python codec for a charset label, None when it is unknown or no charset of text."""
    if not charset:
        return None
    label = charset.strip("\"' \t").lower().replace("_", "-") if len(charset) < 60 else ""
    name = _ALIASES.get(label) or _ALIASES.get(label.replace("-", "_")) or label
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError, UnicodeError):
        return None
    canonical = info.name.replace("-", "_")
    if canonical in _REFUSED or not getattr(info, "_is_text_encoding", True):
        return None
    return name if name in _ALIASES.values() else info.name


def without_surrogates(text: str) -> str:
    """Return text that can be encoded: lone surrogates become U+FFFD."""
    return _SURROGATE.sub("\ufffd", text) if not text.isascii() else text


def one_line(text: str) -> str:
    """Return text in which NUL, CR and LF are U+FFFD, so that a header value stays one."""
    if "\n" in text or "\r" in text or "\0" in text:
        return text.translate(_BROKEN_LINE)
    return text


def decode_words(text: str) -> str:
    """Return header text with its RFC 2047 encoded words decoded, tolerantly; the rest stays as it is.

    Words next to each other in one charset are joined before decoding: many senders split characters.
    """
    if "=?" not in text:
        return text
    result: list[str] = []
    run, run_charset, end = b"", "", 0
    for word in _WORD.finditer(text):
        between = text[end : word.start()]
        charset = word[1].lower()
        data = _decoded(word[2], word[3], charset)
        if run_charset and not between.strip(_GAP):
            between = ""
        if run_charset and (between or charset != run_charset):
            result.append(decode_bytes(run, run_charset, may_guess=False))
            run = b""
        result.append(between)
        run, run_charset, end = run + data if not between else data, charset, word.end()
    if run_charset:
        result.append(decode_bytes(run, run_charset, may_guess=False))
    result.append(text[end:])
    return one_line("".join(result))


def _decoded(encoding: str, payload: str, charset: str) -> bytes:
    """Return the octets of a word; what stands in it as text already was in its charset before."""
    data = payload.encode("ascii" if payload.isascii() else codec_of(charset) or "utf-8", "replace")
    return base64_bytes(data) if encoding in "Bb" else binascii.a2b_qp(data, header=True)


def base64_bytes(data: bytes) -> bytes:
    """Return what base64 text stands for; foreign characters are skipped, a cut end is kept.

    Padding in the middle starts anew: some senders encode in pieces.
    """
    padding = data.find(b"=")
    if padding >= 0 and data[padding:].strip(b"= \t\r\n"):
        return _pieces(data)
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        return _pieces(data)


def _pieces(data: bytes) -> bytes:
    result = []
    for piece in re.split(rb"=+", data):
        clean = _NOT_BASE64.sub(b"", piece)
        if len(clean) % 4 == 1:
            clean = clean[:-1]
        result.append(binascii.a2b_base64(clean + b"=" * (-len(clean) % 4)))
    return b"".join(result)
