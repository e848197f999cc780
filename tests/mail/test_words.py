from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.mail.words import fold, split_cjk, tokens

# Text that may be stored: no lone surrogates.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
EUROPEAN = st.text(
    st.sampled_from("aAeé ÉßſıİøØñ\u0301\u0308ςΣΩё-_.,'’“0 9٣²\u00ad\u200b\u0000"), max_size=30
)
ASIAN = st.text(st.sampled_from("東京a bカｶﾞがか\u3099한글ไทย中—、"), max_size=20)


def index_tokens(texts: Iterable[str]) -> dict[int, list[str]]:
    """What the real tokenizer makes of the texts, by their number."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE t USING fts5(x, tokenize='unicode61 remove_diacritics 2')")
    db.execute("CREATE VIRTUAL TABLE v USING fts5vocab(t, 'instance')")
    db.executemany("INSERT INTO t (rowid, x) VALUES (?, ?)", enumerate(texts))
    found: dict[int, list[str]] = {}
    for doc, term in db.execute('SELECT doc, term FROM v ORDER BY doc, "offset"'):
        found.setdefault(doc, []).append(term)
    db.close()
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT | EUROPEAN | ASIAN, max_size=8))
def test_any_text_is_split_as_the_index_does_it(texts: list[str]) -> None:
    index = index_tokens(split_cjk(text) for text in texts)
    assert [tokens(text) for text in texts] == [index.get(n, []) for n in range(len(texts))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("Café CAFE\u0301", ["cafe", "cafe"]),
        ("ann@example.org", ["ann", "example", "org"]),
        ("snake_case don't", ["snake", "case", "don", "t"]),
        ("東京 tower", ["東", "京", "tower"]),
        ("가\u1102\u1161", ["가", "나"]),
        ("", []),
        ("— … 🎉", []),
    ],
)
def test_words_are_what_a_person_would_call_words(text: str, words: list[str]) -> None:
    assert tokens(text) == words


def test_fold_drops_case_and_latin_accents_and_keeps_the_rest() -> None:
    assert fold("Jürgen <J.Ü@Example.ORG>") == "jurgen <j.u@example.org>"
    assert fold("ΣΟΦΟΣ") == fold("σοφος")


def test_split_cjk_leaves_spaced_scripts_alone() -> None:
    assert split_cjk("naïve – Привет") == "naïve – Привет"
    assert split_cjk("go東京go").split() == ["go", "東", "京", "go"]
