"""Words as the full-text index has them: FTS5's `unicode61 remove_diacritics 2` on text from split_cjk.

Whatever goes into the index or is looked up there passes `split_cjk` first; `tokens` is what the
index then makes of it, so that a query gives the same answer with and without the index. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from agent.mail import unicode61

# Scripts that put no blanks between words: each letter is a word of its own, a word is a phrase.
# Thai, Lao, Myanmar, Hangul jamo, Khmer, radicals, kana and Han, Hangul, compatibility and half-width forms.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u303a"
    "\u3040-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff]+"
)
_ASCII_WORD = re.compile("[0-9a-z]+")


def split_cjk(text: str) -> str:
    """Put blanks around each letter of scripts that are written without blanks, and compose accents (NFC)."""
    if text.isascii():
        return text
    return _UNSPACED.sub(lambda run: f" {' '.join(run[0])} ", unicodedata.normalize("NFC", text))


def fold(text: str) -> str:
    """Return text in which neither case nor Latin accents count; it keeps all that is no letter."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text).translate(_folding())


def words(text: str) -> list[str]:
    """Return the words of a text as they are spelled, split where `tokens` splits."""
    return _word().findall(split_cjk(text))


def tokens(text: str) -> list[str]:
    """Return the folded words of a text in order, as the index has them."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _word().findall(split_cjk(text).translate(_folding()))


@cache
def _folding() -> dict[int, int | None]:
    capitals = {n: n + 32 for n in range(ord("A"), ord("Z") + 1)}
    letters = {ord(one): ord(other) for one, other in zip(unicode61.FROM, unicode61.TO, strict=True)}
    return {**capitals, **letters, **{int(mark, 16): None for mark in unicode61.DIACRITICS.split()}}


@cache
def _word() -> re.Pattern[str]:
    """Compile what a word consists of, once somebody has text that is not ASCII."""
    ends = [span.partition("-") for span in unicode61.SEPARATORS.split()]
    ranges = [f"\\U{int(first, 16):08x}-\\U{int(last or first, 16):08x}" for first, _, last in ends]
    return re.compile(f"[^\\x00-/:-@\\[-`{{-\\x7f{''.join(ranges)}]+")
