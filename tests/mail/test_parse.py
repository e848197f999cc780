from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.mail.header import ATTACHMENT, BOUNCE, CALENDAR, SIGNATURE
from agent.mail.mime import MAX_DEPTH, MAX_PARTS
from agent.mail.parse import MAX_INDEX, Parsed, parse

TREE = b"""From: Ann <ann@example.org>\r
To: bob@example.com\r
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r
Content-Type: multipart/mixed; boundary=outer\r
\r
preamble\r
--outer\r
Content-Type: multipart/alternative; boundary=inner\r
\r
--inner\r
Content-Type: text/plain; charset=iso-8859-1\r
Content-Transfer-Encoding: quoted-printable\r
\r
Gr=FC=DFe from https://plain.example/x.\r
--inner\r
Content-Type: text/html; charset=utf-8\r
\r
<p>Gr\xc3\xbc\xc3\x9fe <a href="https://html.example/">there</a></p>\r
--inner--\r
--outer\r
Content-Type: application/pdf; name="r\xc3\xa9sum\xc3\xa9.pdf"\r
Content-Disposition: attachment; filename*=utf-8''r%C3%A9sum%C3%A9.pdf\r
Content-Transfer-Encoding: base64\r
\r
JVBERi0=\r
--outer\r
Content-Type: message/rfc822\r
\r
Subject: inside\r
Content-Type: multipart/mixed; boundary=deep\r
\r
--deep\r
\r
nested words\r
--deep--\r
--outer--\r
"""


def mail(body: bytes, header: bytes = b"Content-Type: text/plain") -> Parsed:
    return parse(header + b"\r\n\r\n" + body)


def test_the_tree_has_the_numbers_of_imap() -> None:
    found = parse(TREE)
    assert [(part.number, part.type) for part in found.parts] == [
        ("", "multipart/mixed"),
        ("1", "multipart/alternative"),
        ("1.1", "text/plain"),
        ("1.2", "text/html"),
        ("2", "application/pdf"),
        ("3", "message/rfc822"),
        ("3.TEXT", "multipart/mixed"),
        ("3.1", "text/plain"),
    ]
    assert [part.number for part in mail(b"x").parts] == ["1"]


def test_texts_attachments_and_links_are_sorted_out() -> None:
    found = parse(TREE)
    assert found.envelope.subject == "Grüße"
    assert found.text == "Grüße from https://plain.example/x."
    assert found.html.startswith("<p>Grüße")
    assert [(part.name, part.type, part.size) for part in found.attachments] == [
        ("résumé.pdf", "application/pdf", 5),
        ("", "message/rfc822", len(found.attachments[1].bytes)),
    ]
    assert found.attachments[0].bytes == b"%PDF-"
    assert found.links == ("https://plain.example/x", "https://html.example/")
    assert found.traits & ATTACHMENT
    assert found.defects == ()


def test_the_index_has_the_words_of_messages_within_and_of_attached_text() -> None:
    assert "nested words" in parse(TREE).index_text
    assert "nested words" not in parse(TREE).text
    note = TREE.replace(b"application/pdf", b"text/plain").replace(
        b"JVBERi0=", base64.b64encode(b"in a file")
    )
    assert "in a file" in parse(note).index_text
    assert len(mail(b"word " * MAX_INDEX).index_text) == MAX_INDEX


def test_html_alone_is_read_as_text() -> None:
    found = mail(b"<p>Hello</p><p>there</p>", b"Content-Type: text/html")
    assert found.text == "Hello\n\nthere"
    assert found.snippet == "Hello there"


def test_an_empty_plain_alternative_gives_way_to_the_html() -> None:
    raw = TREE.replace(b"Gr=FC=DFe from https://plain.example/x.", b" ")
    assert parse(raw).text.startswith("Grüße there")


def test_parts_one_after_the_other_are_read_together() -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: text/html\n\n<b>two</b>\n"
        b"--b\nContent-Type: text/plain; name=notes.txt\n\nfile\n--b--\n"
    )
    assert parse(raw).text == "one\ntwo"
    assert [part.name for part in parse(raw).attachments] == ["notes.txt"]


def test_pictures_shown_within_the_html_are_no_attachments() -> None:
    raw = (
        b"Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n<img src=cid:x>\n"
        b"--b\nContent-Type: image/png; name=logo.png\nContent-ID: <x>\n\nPNG\n--b--\n"
    )
    assert parse(raw).attachments == ()
    assert not parse(raw).traits & ATTACHMENT
    assert parse(raw).parts[2].content_id == "x"
    assert parse(raw.replace(b"related", b"mixed")).attachments[0].name == "logo.png"


def test_a_bounce_is_read_and_has_no_attachments() -> None:
    raw = (
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nsorry\n"
        b"--b\nContent-Type: message/delivery-status\n\nAction: failed\n"
        b"--b\nContent-Type: message/rfc822\n\nSubject: x\n\noriginal\n--b--\n"
    )
    found = parse(raw)
    assert found.text == "sorry"
    assert found.traits & BOUNCE
    assert not found.traits & ATTACHMENT
    assert "original" in found.index_text


@pytest.mark.parametrize(
    ("kind", "trait"),
    [
        (b"text/calendar; method=REQUEST", CALENDAR),
        (b"application/octet-stream; name=invite.ics", CALENDAR),
        (b"application/pgp-signature", SIGNATURE),
        (b"application/pkcs7-mime; smime-type=signed-data", SIGNATURE),
    ],
)
def test_calendars_and_signatures_are_traits(kind: bytes, trait: int) -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: "
        + kind
        + b"\n\ny\n--b--\n"
    )
    assert parse(raw).traits & trait
    assert mail(b"-----BEGIN PGP SIGNED MESSAGE-----\n\nx").traits & SIGNATURE


def test_flowed_text_is_joined() -> None:
    assert mail(b"one \r\ntwo\r\n", b"Content-Type: text/plain; format=flowed").text == "one two\n"


def test_damaged_base64_is_told_and_as_much_as_possible_decoded() -> None:
    found = mail(b"SGVsbG8gd29ybGQhIQ", b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64")
    assert found.text == "Hello world!!"
    assert found.defects == ("part 1: damaged transfer encoding",)


def test_an_unknown_charset_is_told_and_guessed() -> None:
    found = mail("Grüße".encode(), b"Content-Type: text/plain; charset=x-nonsense")
    assert found.text == "Grüße"
    assert found.defects == ("part 1: unknown charset 'x-nonsense'",)


def test_the_charset_within_a_page_counts_when_none_is_declared() -> None:
    page = '<meta charset="windows-1251"><p>Привет</p>'.encode("cp1251")
    assert mail(page, b"Content-Type: text/html").text == "Привет"


def test_boundaries_that_begin_alike_are_told_apart() -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=abc\n\n--abc\nContent-Type: multipart/alternative; boundary=abcd\n"
        b"\n--abcd\n\nplain\n--abcd\nContent-Type: text/html\n\n<p>page\n--abcd--\n--abc\n"
        b"Content-Type: application/pdf\n\nPDF\n--abc--\n"
    )
    assert [part.type for part in parse(raw).parts] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/pdf",
    ]


def test_a_header_that_the_fast_parser_refuses_is_read_all_the_same() -> None:
    found = parse(b" leading\nSubject: x\n\nbody")
    assert (found.envelope.subject, found.text) == ("x", "body")


def test_a_message_cut_off_in_the_middle_shows_what_is_there() -> None:
    for end in range(0, len(TREE), 7):
        found = parse(TREE[:end])
        assert isinstance(found.text + found.snippet + found.index_text, str)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\n", b"\r\n\r\n", b"\0", b":", b"From x\n", b"Content-Type: multipart/mixed\n\nx",
        b"Content-Type: text/plain; name*\n\nx", b"To: :;:;:;\n\n", b"Content-Type: message/rfc822\n\n",
        b"Content-Type: text/plain; charset=\n\n\xff", b"Content-Transfer-Encoding: nonsense\n\nx",
    ],
)  # fmt: skip
def test_odd_messages_are_messages(raw: bytes) -> None:
    found = parse(raw)
    assert found.parts
    assert isinstance(found.text, str)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(TREE.split(b"\r\n")), max_size=40), st.integers(0, 3))
def test_any_order_of_lines_is_a_message(lines: list[bytes], ending: int) -> None:
    found = parse((b"\r\n", b"\n", b"\r", b"\n\n")[ending].join(lines))
    everything = found.text + found.html + found.index_text + found.snippet + "".join(found.links)
    everything.encode()
    assert all(isinstance(part.bytes, bytes) for part in found.parts)
    assert found.defects is not None


def nested(kind: bytes, depth: int) -> bytes:
    if kind == b"multipart":
        opened = b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth)
        )
        return b"Subject: x\n" + opened + b"\ninnermost\n"
    return b"Subject: x\n" + b"Content-Type: message/rfc822\n\n" * depth + b"\ninnermost\n"


HOSTILE = {
    "multiparts": nested(b"multipart", 5_000),
    "messages": nested(b"message", 5_000),
    "parts": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 60_000,
    "parts without end": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n" * 100_000,
    "eight-bit parts": b"Content-Type: multipart/mixed; boundary=b\n\n"
    + b"".join(b"--b\n\n\xff\xfe%d\n" % n for n in range(20_000)),
    "pages": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\nContent-Type: text/html\n\n<p>x\n" * 20_000,
    "same boundary": b"Content-Type: multipart/mixed; boundary=b\n\n"
    + b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 20_000,
    "delimiters": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--c\n" * 300_000,
    "addresses": b"To: " + b"a@b.c, " * 100_000 + b"\n\nx",
    "words": b"Subject: " + b"=?utf-8?q?=41?= " * 60_000 + b"\n\nx",
    "guessed words": b"".join(b"X%d: =?us-ascii?q?=FF%d?=\n" % (n, n) for n in range(60_000)) + b"\nx",
    "fields": b"X: y\n" * 300_000 + b"\nx",
    "semicolons": b"Content-Type: text/plain" + b";" * 500_000 + b"\n\nx",
    "parameters": b"Content-Type: text/plain" + b"; a*0*=x" * 60_000 + b"\n\nx",
    "parentheses": b"From: " + b"(" * 100_000 + b"\n\nx",
    "references": b"References: " + b"<a@b> " * 100_000 + b"\n\nx",
    "quotes": b"\n" + b"> " * 1_000_000,
    "lines": b"\n" + b"\n" * 2_000_000,
    "equals": b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=" * 2_000_000,
    "base64": b"Content-Transfer-Encoding: base64\n\n" + b"=A" * 1_000_000,
    "uuencode": b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n" + b"!\n" * 300_000,
    "utf-7": b"Content-Type: text/plain; charset=utf-7\n\n" + b"+AGE" * 300_000,
    "links": b"\n" + b"http://x/" + b")" * 500_000,
    "brackets": b"Content-Type: text/html\n\n" + b"<" * 1_000_000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_take_at_most_two_seconds(name: str) -> None:
    start = time.process_time()
    found = parse(HOSTILE[name])
    assert isinstance(found.text + found.snippet + found.index_text + found.html, str)
    assert len(found.headers) <= 5_000
    assert found.links is not None
    assert found.defects is not None
    assert time.process_time() - start < 2
    assert len(found.parts) <= MAX_PARTS + MAX_DEPTH
    assert max(part.number.count(".") for part in found.parts) <= MAX_DEPTH


def test_what_is_left_out_beyond_the_limits_is_told() -> None:
    assert any("nested deeper" in defect for defect in parse(HOSTILE["multiparts"]).defects)
    assert any("parts; the rest" in defect for defect in parse(HOSTILE["parts"]).defects)


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"Content-Type: text/plain; charset=utf-8\r\n",
        b"Content-Type: TEXT/HTML; charset=\"utf-8\"\r\nContent-Transfer-Encoding: 8bit\r\n",
        b"content-type: text/plain;\r\n\tformat=flowed; charset=utf-8\r\n",
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Type: text\r\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "body", [b"", b"Gr\xc3\xbc\xc3\x9fe <b>an</b> \r\nalle\r\n", b"a=3Db\r\n\r\n-- \r\nc"]
)
def test_one_text_is_the_same_whoever_reads_it(fields: bytes, body: bytes) -> None:
    raw = b"From: ann@example.org\r\nSubject: x\r\n" + fields + b"\r\n" + body
    # A disposition is a matter for the parser, and this one changes nothing.
    parsed = parse(b"Content-Disposition: inline; x=y\r\n" + raw)
    short = parse(raw)
    assert short.text == parsed.text
    assert short.html == parsed.html
    assert (short.root.type, short.root.charset) == (parsed.root.type, parsed.root.charset)
    assert short.root.bytes == parsed.root.bytes
    assert short.root.header("subject") == "x"
    assert short.defects == parsed.defects


def test_a_header_with_rubbish_in_it_is_read_by_the_parser() -> None:
    parsed = parse(b"Subject: x\r\nrubbish\r\n\r\nbody")
    assert "body" in parsed.text
