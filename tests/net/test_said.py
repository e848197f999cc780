from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.net.said import code_of, quoted, refusal, said


@given(st.text() | st.binary())
def test_what_was_said_is_one_short_line_of_visible_characters(text: str | bytes) -> None:
    words = said(text, 50)
    assert len(words) <= 50
    assert not [c for c in words if unicodedata.category(c) == "Cc" or c in "\u202e\u2066\u200b"]


def test_what_was_said_is_labelled() -> None:
    assert quoted(b"no \x1b[31mspace") == "the server says: no [31mspace"
    assert quoted(b"") == "the server gives no reason"


@pytest.mark.parametrize(
    ("text", "code", "permanent"),
    [
        (b"[NONEXISTENT] x", "NONEXISTENT", True),
        (b"[UNAVAILABLE] x", "UNAVAILABLE", False),
        (b"[INUSE]", "INUSE", False),
        (b"x [INUSE]", "", True),
        (b"", "", True),
    ],
)
def test_the_code_tells_whether_it_may_pass(text: bytes, code: str, permanent: bool) -> None:
    assert code_of(text) == code
    assert refusal("x", text).permanent is permanent
