from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.mail.html_text import html_to_text

PARSED = "<svg></svg>"  # an element that only a parser is trusted with

PAGES = [
    "<p>one<p>two<br>three<div>four</div>five",
    "<b>H</b>ello <i>w</i>orld",
    "<ul><li>a<li>b</ul><hr>c",
    "<html><head><title>not seen</title><style>p { x: '</p>' }</style></head><body>seen</body></html>",
    "a<style><!-- p {} --></style>b<script>if (a < b) x('<p>')</script>c",
    "a<!-- <p>not seen</p> -->b<!-->c<!---->d<!doctype x>e<?xml y>f<!-- -- > --!>g",
    "<a href='x>y' title=\"a > b\">link</a> <a href=x\"y>z</a> 1 < 2",
    "<td width=3D\"4=\n\">kept</td>",
    "&lt;b&gt; &amp;amp; &eacute; &#233; &nbsp;x&nbsp;y",
    "before<blockquote>quoted<p>more</blockquote>after",
    "<P>UPPER</P><BR><TABLE><TR><TD>cell</TABLE>",
    "<pre>a\nb > c\n<b\nclass=x>d</b>\ne</pre>f\ng",
    "<input type=hidden value=x>seen",
    "<style>never closed <p>not seen",
    "x <a href=\"never closed",
    "x <!-- never closed <p>y",
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_a_page_reads_the_same_with_and_without_a_parser(page: str) -> None:
    assert html_to_text(page) == html_to_text(f"{PARSED}{page}")


def test_lines_of_text_right_in_a_table_stay_lines() -> None:
    # A parser moves what stands there out of the table, and the ends of its lines elsewhere.
    assert html_to_text("<table><br>one<br>two<tr><td>three</table>") == "one\ntwo\nthree"


def test_elements_with_rules_of_their_own_are_left_out() -> None:
    page = "a<textarea><p>no</textarea>b<select><option>no</select>c<svg><text>no</text></svg>d"
    assert html_to_text(page) == "abcd"


@given(st.text(st.sampled_from("<>/!-=\"' abpstyle&#;\n\x01"), max_size=60))
def test_nothing_makes_it_raise(page: str) -> None:
    html_to_text(page)


@pytest.mark.parametrize(
    "piece", ["<", "<a", '<a ="', "<a ='\"", "<!--", "<!-- -", "<style", "<style>", "</style", "&", "<pre>\n"]
)
def test_pages_made_of_one_piece_take_no_time(piece: str) -> None:
    page = piece * (200_000 // len(piece))
    begun = time.process_time()
    html_to_text(page)
    assert time.process_time() - begun < 1
