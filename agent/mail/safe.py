"""Text from outside made fit to be shown, and names made fit to be files. Pure, any thread.

A terminal obeys control characters, so nothing of a message or a server is shown unless it passed
here: `safe` for one line, `safe_block` for several. What has no place on a screen of cells (joiners,
tags, skin tones, directions) is dropped or replaced by one symbol, so that columns hold.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache


class Safe(str):
    """Text that may be written to a terminal."""

    __slots__ = ()


# C0, DEL, C1, lone surrogates, separators of lines, and noncharacters: shown as a mark.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\ufff0-\ufffb\ufffe\uffff\U000f0000-\U0010ffff]"
)
# Directions, zero-width characters, fillers, variation selectors, tags: not shown at all.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# In a joined emoji all but the first symbol; between letters only the joiner.
_JOINED = re.compile("\u200d[\u2190-\u2bff\U0001f000-\U0001faff]?")
_SKIN = re.compile("[\U0001f3fb-\U0001f3ff]")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]")
# More marks than any script piles on one letter paint over the lines above and below.
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
_PILE = re.compile(f"([{_MARKS}]{{4}})[{_MARKS}]+")
# Printable for Python, yet of the above.
_SPECIAL = re.compile(
    f"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0{_MARKS}"
    "\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff\U000e0000-\U000e0fff]"
)
_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029|\x85")
_TAB = 8


def safe(text: str) -> Safe:
    """Return text as one line without anything a terminal could obey."""
    if text.isprintable() and (text.isascii() or not _SPECIAL.search(text)):
        return Safe(text)
    return Safe(_clean(re.sub(r"[\t\n\r]+", " ", text)))


def safe_block(text: str) -> Safe:
    """Return text as lines without anything a terminal could obey; tabs become blanks."""
    if "\r" in text or not text.isascii():
        text = _LINE_ENDS.sub("\n", text)
    lines = text.split("\n")
    for n, line in enumerate(lines):
        if not line.isprintable() or not (line.isascii() or not _SPECIAL.search(line)):
            lines[n] = _clean(line.expandtabs(_TAB))
    return Safe("\n".join(lines))


def _clean(text: str) -> str:
    if not text.isascii():
        text = _JOINED.sub("", _INVISIBLE.sub("", text))
        text = _PILE.sub(r"\1", _FLAG.sub(_letter, _SKIN.sub("", text)))
    return _CONTROL.sub(_mark, text)


def _letter(symbol: re.Match[str]) -> str:
    """Return the letter of a regional indicator; whether two of them make a flag is up to the font."""
    return chr(ord(symbol[0]) - 0x1F1E6 + ord("A"))


def _mark(control: re.Match[str]) -> str:
    """Return what is shown for a control: the picture Unicode has of it, or the replacement character."""
    code = ord(control[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


# -- cells -----------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _char_width(char: str) -> int:
    from wcwidth import wcwidth  # its tables are needed for more than ASCII only

    return max(0, wcwidth(char))


def cell_width(text: str) -> int:
    """Return the cells that text takes, counted character by character as the screen does."""
    return len(text) if text.isascii() else sum(map(_char_width, text))


def fit(text: str, width: int) -> Safe:
    """Return one line of text cut (with an ellipsis) or filled with blanks to exactly `width` cells."""
    text = safe(text)
    cells = cell_width(text)
    if cells <= width:
        return Safe(text + " " * (width - cells))
    if width <= 0:
        return Safe("")
    if text.isascii():
        return Safe(text[: width - 1] + "\u2026")
    used = 0
    for place, char in enumerate(text):
        wide = _char_width(char)
        if used + wide > width - 1:
            return Safe(text[:place] + "\u2026" + " " * (width - 1 - used))
        used += wide
    return Safe(text)


# -- files -----------------------------------------------------------------------------------

_LONGEST_NAME = 240  # octets; room for a number below the 255 of most file systems
_LONGEST_SUFFIX = 20
_NOT_IN_NAMES = re.compile(r'[<>:"|?*\x00-\x1f\x7f-\x9f]')
_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\.|\Z)", re.IGNORECASE
)


def safe_filename(name: str) -> str:
    """Return a name for a file in one folder: no path, nothing hidden, reserved, invisible or too long.

    `attachment` stands for a name of which nothing is left.
    """
    text = unicodedata.normalize("NFC", name.replace("\0", ""))
    text = re.split(r"[/\\\u2044\u2215\u29f8\uff0f\uff3c]", text)[-1]
    text = str(safe(_NOT_IN_NAMES.sub("_", text))).replace("\ufffd", "_")
    text = " ".join(text.split()).lstrip(".-~ ").rstrip(". ")
    if _RESERVED.match(text):
        text = f"_{text}"
    return _shortened(text) or "attachment"


def _shortened(name: str) -> str:
    """Cut the stem, not the suffix, to what file systems take."""
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > _LONGEST_SUFFIX:
        stem, dot, suffix = name, "", ""
    room = _LONGEST_NAME - len((dot + suffix).encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") + dot + suffix
