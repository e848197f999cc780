from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.console.fragments import Line, fill, width_of, wrap

WORDS = st.text(alphabet="ab 来🎉é-", max_size=60)
LINES = st.lists(st.tuples(st.sampled_from(["", "bold"]), WORDS), max_size=5)


def text(line: Line) -> str:
    return "".join(part for _, part in line)


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        ("one two three", ["one two", "three"]),
        ("abcdefghij", ["abcdefgh", "ij"]),
        ("a abcdefghij", ["a", "abcdefgh", "ij"]),
        ("        indented", ["", "indented"]),
        ("来月の東京出張", ["来月の東", "京出張"]),
        ("", [""]),
        ("12345678", ["12345678"]),
        ("1234567 9", ["1234567", "9"]),
    ],
)
def test_lines_break_at_spaces_else_where_they_must(source: str, rows: list[str]) -> None:
    assert [text(row) for row in wrap([("", source)], 8)] == rows


def test_later_rows_begin_with_the_prefix() -> None:
    rows = wrap([("class:quote.1", "> one two three four")], 10, "> ")
    assert [text(row) for row in rows] == ["> one two", "> three", "> four"]


def test_styles_stay_with_their_words() -> None:
    rows = wrap([("", "plain "), ("bold", "strong words")], 12)
    assert rows == [[("", "plain "), ("bold", "strong")], [("bold", "words")]]


@given(LINES, st.integers(2, 30))
def test_no_row_is_wider_than_asked_and_no_letter_is_lost(line: Line, width: int) -> None:
    rows = wrap(line, width)
    assert all(width_of(row) <= width for row in rows)
    assert "".join(text(row) for row in rows).replace(" ", "") == text(line).replace(" ", "")


@given(LINES, st.integers(1, 40))
def test_a_filled_line_is_exactly_as_wide_as_asked(line: Line, width: int) -> None:
    assert width_of(fill(line, width)) == width


def test_a_style_is_added_to_all_of_a_filled_line() -> None:
    assert fill([("bold", "ab")], 4, "reverse") == [("bold reverse", "ab"), ("reverse", "  ")]
