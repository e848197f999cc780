from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.mail.html import html_links, render
from agent.mail.html_text import html_to_text
from agent.mail.safe import cell_width


def lines(html: str, width: int = 60) -> list[str]:
    return ["".join(text for _, text in line) for line in render(html, width).lines]


def test_paragraphs_headings_and_rules_are_lines() -> None:
    assert lines("<h1>Title</h1><p>one</p><p>two<br>three</p><hr>end", 20) == [
        "Title", "", "one", "", "two", "three", "", "─" * 20, "end",
    ]  # fmt: skip


def test_styles_are_told() -> None:
    [line] = render("a <b>bold <i>both</i></b> <code>x</code>", 40).lines
    assert line == [
        ("", "a"), ("bold", " bold"), ("bold italic", " both"), ("class:code", " x"),
    ]  # fmt: skip


def test_links_are_numbered_once_each() -> None:
    page = render(
        '<a href="https://a.b/c">one</a> <a href="https://d.e">two</a> <a href="https://a.b/c">again</a>', 60
    )
    assert "".join(text for _, text in page.lines[0]) == "one[1] two[2] again[1]"
    assert page.links == ["https://a.b/c", "https://d.e"]


@pytest.mark.parametrize(
    "href", ["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "#top", "cid:1", ""]
)
def test_only_links_that_can_be_followed_are_offered(href: str) -> None:
    html = f'<a href="{href}">x</a>'
    assert render(html, 40).links == []
    assert html_links(html) == []


def test_a_link_that_claims_another_host_is_told() -> None:
    assert lines('<a href="https://evil.example/x">www.bank.com</a>') == [
        "www.bank.com[1](really evil.example)"
    ]
    assert lines('<a href="https://login.bank.com/x">https://bank.com</a>') == ["https://bank.com[1]"]


def test_lists_and_quotes_are_indented() -> None:
    html = "<ul><li>one<ul><li>in</ul><li>two</ul><ol><li>a<li>b</ol><blockquote>q<blockquote>r"
    assert lines(html) == ["• one", "    • in", "• two", "", "1. a", "2. b", "", "> q", ">", "> > r"]


def test_a_small_table_of_data_is_a_grid_and_a_layout_is_not() -> None:
    assert lines("<table><tr><th>A<th>B<tr><td>1<td>22</table>") == ["A  B", "1  22"]
    assert lines("<table><tr><td><p>left</p><td><p>right</p></table>") == ["left", "", "right"]


def test_preformatted_text_keeps_its_blanks() -> None:
    assert lines("<pre>a\n  b\tc</pre>") == ["a", "  b     c"]
    assert html_to_text("<pre>a\nb</pre>") == "a\nb"


@pytest.mark.parametrize(
    "html",
    [
        '<div style="display:none">gone</div>',
        '<div style="DISPLAY : None !important">gone</div>',
        '<p style="font-size:0">gone</p>',
        '<p style="font-size:1px;color:red">gone</p>',
        '<span style="max-height:0;overflow:hidden">gone</span>',
        '<span style="opacity:0">gone</span>',
        "<p hidden>gone</p>",
        "<script>gone</script>",
        "<style>gone</style>",
        "<!-- gone -->",
        "<title>gone</title>",
        '<img src="https://x/t.gif" width=1 height=1 alt="gone">',
        "<select><option>gone</select>",
    ],
)
def test_what_a_browser_does_not_show_is_left_out(html: str) -> None:
    assert lines(f"seen{html}") == ["seen"]
    assert html_to_text(f"seen{html}") == "seen"


def test_a_font_size_of_nothing_on_a_layout_does_not_hide_its_content() -> None:
    html = '<div style="font-size:0px"><div style="font-size:13px">shown</div></div><p style="font-size:1em">too</p>'
    assert [line for line in lines(html) if line] == ["shown", "too"]
    assert html_to_text(html).split() == ["shown", "too"]


def test_control_characters_do_not_pass() -> None:
    shown = "".join(lines("&#27;]0;pwn&#7; a&#x202e;b &#x9b;31m <img alt='\x1b[2J'>"))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert shown.isprintable()


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="ab 日e\u0301\u200d👩<>/p&;\t\n", max_size=120), st.integers(20, 40))
def test_no_line_is_wider_than_asked(text: str, width: int) -> None:
    for line in lines(f"<ul><li><blockquote>{text}</blockquote></ul>{text}<pre>{text}", width):
        assert cell_width(line) <= width


def test_text_has_a_line_per_paragraph_and_marks_quotes() -> None:
    html = (
        "<p>one\n two</p><ul><li>a<li>b</ul><blockquote><p>q</p></blockquote><div>x</div><div>y</div>A&amp;B"
    )
    assert html_to_text(html) == "one two\n\n• a\n• b\n\n> q\n\nx\ny\nA&B"


HOSTILE = {
    "attributes": "<a " + " ".join(f"a{n}=1" for n in range(50_000)) + ">x",
    "many attributes": ("<a " + " ".join(f"a{n}" for n in range(200)) + ">x") * 1_500,
    "nested blocks": "<div>" * 100_000 + "x",
    "nested quotes": "<blockquote>" * 100_000 + "x",
    "nested lists": "<ul><li>" * 50_000 + "x",
    "nested tables": "<table><tr><td>" * 3_000 + "x",
    "reopened formatting": "".join(f"<p><font a={n}>" for n in range(100)) + "<p>x" * 100_000,
    "brackets": "<" * 200_000,
    "comments": "<!--" * 50_000,
    "span": "<table><tr><td colspan=1000000000 rowspan=1000000000>x<td>y</table>",
    "style": '<p style="' + "display: " * 5_000 + '">x',
    "grids": ("<table>" + "<tr><td>x<td>y" * 100 + "</table>") * 300,
    "breaks": "<br>\n" * 100_000,
    "long word": "x" * 1_000_000,
    "links": "".join(f'<a href="https://x.example/{n}">x</a>' for n in range(30_000)),
    "preformatted": "<pre>" * 50_000,
    "entities": "&amp;" * 300_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_are_rendered_within_a_second(name: str) -> None:
    html = HOSTILE[name]
    for run in (lambda: render(html, 78), lambda: html_to_text(html), lambda: html_links(html)):
        start = time.process_time()
        run()
        assert time.process_time() - start < 1.5
