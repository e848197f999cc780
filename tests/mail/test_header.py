from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from agent.mail.address import format_addresses, parse_addresses
from agent.mail.header import (
    ATTACHMENT,
    AUTOMATIC,
    BOUNCE,
    BULK,
    CALENDAR,
    LIST,
    LISTING_FIELDS,
    MAX_FIELDS,
    SIGNATURE,
    header_fields,
    people,
    read_header,
)

LISTING = b"""Date: Mon, 23 Nov 2026 10:00:00 +0100\r
From: Ann Example <ann@example.org>\r
Subject: Re: [python-dev] The quick brown fox\r
To: Bob Builder <bob@example.com>, "Carl, C." <carl@example.net>\r
Cc: python-dev@python.org\r
Message-ID: <abc.123@mail.example.org>\r
References: <one@example.org> <two@example.org>\r
 <three@example.org>\r
In-Reply-To: <three@example.org>\r
List-Id: Python dev <python-dev.python.org>\r
Return-Path: <bounce@python.org>\r
Content-Type: text/plain; charset="utf-8"\r
\r
"""


def test_a_listing_header_becomes_an_envelope() -> None:
    envelope = read_header(LISTING)
    assert envelope.subject == "Re: [python-dev] The quick brown fox"
    assert envelope.from_ == "Ann Example <ann@example.org>"
    assert envelope.to == 'Bob Builder <bob@example.com>, "Carl, C." <carl@example.net>'
    assert (envelope.cc, envelope.bcc, envelope.sender, envelope.reply_to) == (
        "python-dev@python.org",
        "",
        "",
        "",
    )
    assert envelope.date == 1795424400
    assert envelope.message_id == "abc.123@mail.example.org"
    assert envelope.references == ("one@example.org", "two@example.org", "three@example.org")
    assert envelope.in_reply_to == ("three@example.org",)
    assert envelope.list_id == "python-dev.python.org"
    assert envelope.return_path == "bounce@python.org"
    assert envelope.traits == LIST


def test_line_ends_folding_and_case_of_names_make_no_difference() -> None:
    expected = read_header(LISTING)
    assert read_header(LISTING.replace(b"\r\n", b"\n")) == expected
    assert read_header(LISTING.replace(b"\r\n", b"\n").replace(b"\n", b"\r")) == expected
    assert (
        read_header(LISTING.replace(b" <two@", b"\r\n\t<two@").replace(b"Subject:", b"SUBJECT :")) == expected
    )
    assert read_header(LISTING + b"From: body@x\r\n") == expected


def test_an_empty_header_says_nothing() -> None:
    envelope = read_header(b"")
    assert (envelope.subject, envelope.date, envelope.return_path, envelope.references) == (
        "",
        None,
        None,
        (),
    )


def test_encoded_and_raw_eight_bit_headers_are_text() -> None:
    assert read_header(b"Subject: =?utf-8?q?J=C3=B6rg?=\n").subject == "Jörg"
    assert read_header("Subject: Jörg\nFrom: Jörg <j@x.org>\n".encode()).from_ == "Jörg <j@x.org>"
    raw = "Subject: Привет, как дела? Сегодня идём гулять\nFrom: Борис <b@x.ru>\n".encode("koi8-r")
    assert read_header(raw).subject.startswith("Привет")
    assert read_header(raw).from_ == "Борис <b@x.ru>"


def test_no_value_can_hold_the_end_of_a_line() -> None:
    envelope = read_header(b"Subject: =?utf-8?q?a=0D=0Ab=00?=\nFrom: =?utf-8?q?x=0Ay?= <a@b>\n")
    assert envelope.subject == "a\ufffd\ufffdb\ufffd"
    assert "\n" not in envelope.from_


def test_an_address_never_comes_out_of_an_encoded_word() -> None:
    assert read_header(b"From: =?utf-8?b?YUBiLmNvbQ==?=\n").from_ == '"a@b.com"'
    assert parse_addresses('"a@b.com"')[0].addr == ""


def test_repeated_recipients_belong_together_and_the_first_author_counts() -> None:
    envelope = read_header(b"To: a@x\nTo: b@x\nFrom: one@x\nFrom: two@x\n")
    assert (envelope.to, envelope.from_) == ("a@x, b@x", "one@x")


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (b"<a@b> garbage <c@d>", ("a@b", "c@d")),
        (b"<a@b><a@b>", ("a@b",)),
        (b"a@b", ("a@b",)),
        (b"Your message of Monday", ()),
        (b"<a\r\n b@c>", ("ab@c",)),
        (b"=?utf-8?q?=3Ca=40b=3E?=", ("a@b",)),
    ],
)
def test_ids_are_found_among_garbage(value: bytes, ids: tuple[str, ...]) -> None:
    assert read_header(b"In-Reply-To: " + value + b"\r\n").in_reply_to == ids


@pytest.mark.parametrize(
    ("header", "traits"),
    [
        (b"List-Id: <x.y>", LIST),
        (b"List-Unsubscribe: <https://x>", BULK),
        (b"Precedence: Bulk", BULK),
        (b"Precedence: list", BULK | LIST),
        (b"Auto-Submitted: auto-replied (vacation)", AUTOMATIC),
        (b"Auto-Submitted: no", 0),
        (b"X-Auto-Response-Suppress: All", AUTOMATIC),
        (b"Return-Path: <>\nFrom: MAILER-DAEMON@x.org", BOUNCE | AUTOMATIC),
        (b"Return-Path: <>\nFrom: bob@x.org", 0),
        (b"Content-Type: multipart/report; report-type=delivery-status", BOUNCE | AUTOMATIC),
        (b"Content-Type: multipart/mixed; boundary=x", ATTACHMENT),
        (b"Content-Type: Multipart/Signed; boundary=x", SIGNATURE),
        (b"Content-Type: text/calendar", CALENDAR),
        (b"Content-Type: TEXT/plain", 0),
    ],
)
def test_traits_tell_what_kind_of_mail_it_is(header: bytes, traits: int) -> None:
    assert read_header(header + b"\n").traits == traits


def test_a_null_return_path_is_not_a_missing_one() -> None:
    assert read_header(b"Return-Path: <>\n").return_path == ""
    assert read_header(b"Subject: x\n").return_path is None


def test_all_fields_are_given_in_order() -> None:
    assert header_fields(
        b"Received: a\r\n b\r\nX: =?utf-8?q?=C3=A9?=\r\nReceived: c\r\nnonsense\r\n\r\nbody: x"
    ) == [
        ("Received", "a b"),
        ("X", "é"),
        ("Received", "c"),
    ]


def test_addresses_among_all_fields_are_decoded_in_names_only() -> None:
    [(_, value)] = header_fields(b"Reply-To: =?utf-8?q?a=40b=2Ec=2C?= <x@y.z>\n")
    assert parse_addresses(value)[0].addr == "x@y.z"


@given(st.text(alphabet=st.sampled_from('ab@.<>()",; =?é'), max_size=25))
def test_the_short_way_of_reading_addresses_agrees_with_the_long_one(text: str) -> None:
    assert people(text) == format_addresses(parse_addresses(text)) or "=?" in text


@given(st.binary(max_size=300))
def test_any_octets_are_a_header(data: bytes) -> None:
    for _, value in header_fields(data):
        value.encode()
    envelope = read_header(b"Subject: " + data + b"\nFrom: " + data)
    assert "\n" not in envelope.subject + envelope.from_


@pytest.mark.parametrize(
    "line",
    [
        b"To: " + b"a@b.c, " * 30_000,
        b"Subject: " + b"=?utf-8?q?=41?= " * 30_000,
        b"From: " + b"(" * 100_000,
        b"References: " + b"<" * 100_000,
        b"Date: " + b"(" * 100_000,
        b"Content-Type: x/y" + b";" * 100_000,
        b"X: \xff\n" * 20_000,
        b"Subject: x" + b"\n " * 100_000,
        b"x" * 3_000_000,
        b":" * 1_000_000,
    ],
)
def test_hostile_headers_are_read_within_limits(line: bytes) -> None:
    start = time.process_time()
    read_header(line)
    assert len(header_fields(line)) <= MAX_FIELDS
    assert time.process_time() - start < 2


def test_a_listing_asks_for_every_field_an_envelope_needs() -> None:
    whole = read_header(LISTING)
    names = {name.lower() for name in LISTING_FIELDS}
    kept = b"".join(
        line + b"\r\n"
        for line in LISTING.replace(b"\r\n ", b" ").split(b"\r\n")
        if line.partition(b":")[0].decode().lower() in names
    )
    assert read_header(kept) == whole


@pytest.mark.parametrize("value", [b"a\0b <x\0@y>", b"=?utf-8?q?a=00b?= <x@y>", b"<a\0b@c>", b"<a\0b>\xff"])
def test_no_field_of_an_envelope_holds_a_nul(value: bytes) -> None:
    header = b"".join(b"%s: %s\r\n" % (name.encode(), value) for name in LISTING_FIELDS)
    assert "\0" not in "".join(map(str, astuple(read_header(header))))
