from __future__ import annotations

import tarfile
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.mail.address import Address, decode_addresses, format_addresses, parse_addresses, same_address
from agent.mail.charset import decode_words
from tests.harness import corpora


def read(text: str) -> list[tuple[str, str]]:
    return [(found.name, found.addr) for found in parse_addresses(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ann Example <ann@example.org>", [("Ann Example", "ann@example.org")]),
        ('"Carl, C." <carl@x.net>, bob@x', [("Carl, C.", "carl@x.net"), ("", "bob@x")]),
        ("bob@x.org (Bob (the) Builder)", [("Bob (the) Builder", "bob@x.org")]),
        ('"a\\"b" <c@d>', [('a"b', "c@d")]),
        ('J. R. "Bob" D <jr@x>', [("J. R. Bob D", "jr@x")]),
        ("<@relay,@other:bob@x>", [("", "bob@x")]),
        ("bob @ example . com", [("", "bob@example.com")]),
        ("Pete(a \\) chap) <pete(his)@silly.test(host)>", [("Pete", "pete@silly.test")]),
        ('"john doe"@x.org', [("", '"john doe"@x.org')]),
        ("jdoe@[IPv6:::1]", [("", "jdoe@[IPv6:::1]")]),
        ("a@b, ,, c@d,", [("", "a@b"), ("", "c@d")]),
    ],
)
def test_mailboxes_of_the_standard_are_read(text: str, expected: list[tuple[str, str]]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a@b; c@d", [("", "a@b"), ("", "c@d")]),
        ("Bob bob@x.org", [("Bob", "bob@x.org")]),
        ("<<bob@x>>", [("", "bob@x")]),
        ("<mailto:bob@x.org>", [("", "bob@x.org")]),
        ("Foo (bar <foo@bar.com>", [("Foo (bar", "foo@bar.com")]),
        ('"unclosed <a@b>', [('"unclosed', "a@b")]),
        ("ann@x.org <ann@x.org>", [("", "ann@x.org")]),
        ("ann@x.org via list <list@y.org>", [("ann@x.org via list", "list@y.org")]),
        ("root", [("", "root")]),
        ("Mail Delivery <>", [("Mail Delivery", "")]),
    ],
)
def test_what_senders_write_instead_is_read_too(text: str, expected: list[tuple[str, str]]) -> None:
    assert read(text) == expected


def test_a_group_gives_its_members_and_an_empty_one_nobody() -> None:
    assert read('Team: a@b, "X Y" <c@d>;, e@f') == [("", "a@b"), ("X Y", "c@d"), ("", "e@f")]
    assert read("undisclosed-recipients:;") == []
    assert read("(list)Undisclosed  :(nobody (I know)) ;") == []


@pytest.mark.parametrize(
    "text",
    [
        "alice@a.com<bob@b.com>",
        "<alice@a.com> <bob@b.com>",
        "alice@a.com(<bob@b.com>",
        "alice@a.com)<bob@b.com>",
        "<alice@a.com>bob@b.com",
        "a@b@c",
        "a@b.c d@e.f",
        "<a b@c>",
    ],
)
def test_a_mailbox_with_two_readings_has_no_address(text: str) -> None:
    assert [found.addr for found in parse_addresses(text)] == [""]


def test_encoded_words_are_read_in_names_only() -> None:
    def decoded(text: str) -> list[tuple[str, str]]:
        return [(found.name, found.addr) for found in decode_addresses(text, decode_words)]

    assert decoded("=?utf-8?q?Doe,_J=C3=B6rg?= <a@b>") == [("Doe, Jörg", "a@b")]
    assert decoded('"=?utf-8?q?J=C3=B6rg?=" <j@x>') == [("Jörg", "j@x")]
    assert decoded("=?utf-8?B?YUBiLmNvbQ==?=") == [("a@b.com", "")]
    assert decoded("=?utf-8?q?evil=40x?= <=?utf-8?q?a=40b?=@x.com>")[0][1] == ""


@settings(deadline=None, max_examples=500)
@given(st.text(alphabet=st.sampled_from('ab@.<>()"\\,;:= ?[]\n\té'), max_size=30))
def test_what_is_written_for_a_header_reads_back_the_same(text: str) -> None:
    found = parse_addresses(text)
    assert parse_addresses(format_addresses(found)) == found


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=40), st.sampled_from(["ann@example.org", '"a b"@x.org', "a@[1.2.3.4]"]))
def test_any_name_can_stand_before_an_address(name: str, addr: str) -> None:
    found = parse_addresses(str(Address(" ".join(name.split()), addr)))
    assert [each.addr for each in found] == [addr]


def test_one_mailbox_is_the_same_in_any_case_and_either_form_of_its_domain() -> None:
    assert same_address("Ann@Example.org", Address("Ann", "ann@example.ORG"))
    assert same_address("ann@xn--bcher-kva.example", "ann@bücher.example")
    assert not same_address("ann@example.org", "ann@example.com")
    assert not same_address("", Address("Ann", ""))


def test_local_part_and_domain_are_split_at_the_last_at() -> None:
    assert (Address("", '"a@b"@c.org').local, Address("", '"a@b"@c.org').domain) == ('"a@b"', "c.org")
    assert (Address("", "root").local, Address("", "root").domain) == ("root", "")


@pytest.mark.parametrize(
    "piece",
    ["(", "<", '"', '\\"', '<"', '<\\"',
     ",", ":;", "()", "[", "a@b,", "a ", "@", '("', ". ", "<a@b> ", "a@b <", "\\", "=?a?q?"],
)  # fmt: skip
def test_hostile_text_takes_linear_time(piece: str) -> None:
    text = piece * (65_536 // len(piece))
    start = time.process_time()
    found = parse_addresses(text)
    assert parse_addresses(format_addresses(found)) == found
    assert time.process_time() - start < 2


@pytest.mark.skipif(corpora.why_missing("neomutt-address-fuzz") is not None, reason="no corpora beside")
def test_fuzzed_addresses_neither_raise_nor_change_on_the_way_back() -> None:
    [archive] = (corpora.CORPORA / "neomutt-address-fuzz").rglob("*.tar.gz")
    with tarfile.open(archive) as files:
        texts = [files.extractfile(member).read().decode("latin-1") for member in files if member.isfile()]
    assert len(texts) > 2000
    for text in texts:
        found = parse_addresses(text)
        assert parse_addresses(format_addresses(found)) == found, text


@pytest.mark.parametrize(
    "text",
    [
        "Ann <ann@example.org>",
        '"Miller, Ann" <ann@example.org>, bob@example.com (Bob), <c@example.net>',
        "=?utf-8?Q?J=C3=B6rg?= Miller <j@example.org>",
        "ann@example.org <ann@example.org>",
        '"" <ann@example.org>',
        "Ann <ann@example.org>,bob@example.com",
    ],
)
def test_the_usual_forms_are_read_as_any_other(text: str) -> None:
    # The blank before the end makes the whole a form that is not usual.
    assert parse_addresses(text) == parse_addresses(f"{text}  ,")
