from __future__ import annotations

import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.mail.safe import Safe, cell_width, fit, safe, safe_block, safe_filename
from tests.harness import corpora

# Letters of Arabic, Syriac and Egyptian that Unicode counts as formatting; they are drawn.
DRAWN = {"Cf"}


def test_no_character_of_unicode_reaches_the_terminal_that_it_could_obey() -> None:
    for code in range(sys.maxunicode + 1):
        for shown in str(safe(f"a{chr(code)}b")):
            category = unicodedata.category(shown)
            assert category not in ("Cc", "Cs", "Zl", "Zp"), hex(code)
            drawn = unicodedata.bidirectional(shown) in ("AN", "AL", "L", "NSM")
            assert category != "Cf" or drawn, hex(code)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;pwn\x07", "␛]0;pwn␇"),
        ("a\x9b31mb", "a\ufffd31mb"),
        ("a\nb\tc\r\nd", "a b c d"),
        ("exe.\u202efdp", "exe.fdp"),
        ("pay\u200bpal", "paypal"),
        ("a\U000e0041b", "ab"),
        ("👨\u200d👩\u200d👧!", "👨!"),
        ("👍🏽", "👍"),
        ("🇩🇪", "DE"),
        ("می\u200cخواهم", "میخواهم"),
        ("क\u200dष", "कष"),
        ("\ud800", "\ufffd"),
    ],
)
def test_controls_are_marked_and_what_shifts_columns_is_reduced(text: str, shown: str) -> None:
    assert safe(text) == shown
    assert isinstance(safe(text), Safe)


def test_a_pile_of_marks_is_cut() -> None:
    assert len(safe("z" + "\u0301" * 500)) < 10


def test_a_block_keeps_its_lines_and_expands_tabs() -> None:
    assert safe_block("a\tb\r\nc\x1b\rd") == "a       b\nc␛\nd"


@given(st.text(max_size=60), st.integers(0, 30))
def test_fitted_text_has_exactly_its_width(text: str, width: int) -> None:
    assert cell_width(fit(text, width)) == width


def test_wide_characters_take_two_cells() -> None:
    assert cell_width("日本") == 4
    assert fit("日本語テキスト", 7) == "日本語…"
    assert fit("日本語", 4) == "日… "
    assert fit("ab", 4) == "ab  "


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../.ssh/authorized_keys", "authorized_keys"),
        ("C:\\temp\\con.txt", "_con.txt"),
        ("nul\0.txt", "_nul.txt"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("a:b|c", "a_b_c"),
        ("invoice.pdf.exe", "invoice.pdf.exe"),
        ("report.\u202efdp.exe", "report.fdp.exe"),
        ("a\u2044b", "b"),
        ("trailing. . ", "trailing"),
        ("...", "attachment"),
        ("", "attachment"),
    ],
)
def test_a_file_name_is_never_a_path_nor_hidden_nor_reserved(name: str, expected: str) -> None:
    assert safe_filename(name) == expected


@given(st.text(max_size=400))
def test_any_name_is_fit_for_a_file_system(name: str) -> None:
    found = safe_filename(name)
    assert 0 < len(found.encode()) <= 255
    assert not set("/\\\0:") & set(found)
    assert found not in (".", "..")
    assert safe_filename(found) == found


def test_a_long_name_keeps_its_suffix() -> None:
    assert safe_filename("日本語" * 100 + ".pdf").endswith("語.pdf")


@pytest.mark.skipif(corpora.why_missing("blns") is not None, reason="no corpora beside")
def test_naughty_strings_are_shown_harmlessly() -> None:
    [table] = (corpora.CORPORA / "blns").rglob("blns.json")
    for text in json.loads(table.read_text()):
        for shown in safe_block(text).replace("\n", "") + safe(text):
            assert shown.isprintable() or unicodedata.category(shown) in ("Zs", "Co", "Cn", "Cf"), text
