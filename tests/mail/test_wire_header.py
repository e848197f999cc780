from __future__ import annotations

from email import policy
from email.header import decode_header, make_header
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import CommandError
from agent.mail.address import Address, parse_addresses
from agent.mail.header import read_header
from agent.mail.wire_header import address_field, encoded_words, id_field, text_field, wire_address

CLEAN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=120)
SUBJECTS = CLEAN | st.lists(
    st.sampled_from(["Re:", "a", "é", "=?utf-8?q?x?=", " ", "\t", "x" * 90, "東京" * 30, ",", '"', "🎉"]),
    max_size=30,
).map(" ".join)


def read_back(field: str) -> str:
    """What the standard library reads, by way of its older and plainer decoder."""
    name, _, value = field.replace("\r\n", "").partition(":")
    assert name == "Subject"
    return str(make_header(decode_header(value.lstrip(" "))))


def check_wire(field: str) -> None:
    assert field.isascii()
    assert field.endswith("\r\n")
    lines = field.removesuffix("\r\n").split("\r\n")
    assert all(line.strip() and len(line) <= 998 for line in lines)
    assert all(line[0] in " \t" for line in lines[1:])
    assert "\r" not in "".join(lines)
    assert "\n" not in "".join(lines)


@given(SUBJECTS)
def test_any_text_goes_over_the_wire_and_reads_back(text: str) -> None:
    field = text_field("Subject", text)
    check_wire(field)
    assert read_back(field).split() == text.split()


@given(st.lists(st.sampled_from(["Grüße", "aus", "Köln", "bald", "東京"]), min_size=1, max_size=40))
def test_single_blanks_between_words_stay(words: list[str]) -> None:
    assert read_back(text_field("Subject", " ".join(words))) == " ".join(words)


@given(SUBJECTS)
def test_encoded_words_are_short_and_whole(text: str) -> None:
    words = encoded_words(text)
    assert all(len(word) <= 75 for word in words)
    assert "".join(str(make_header(decode_header(word))) for word in words) == text


def test_lines_of_ordinary_text_are_at_most_78_long() -> None:
    field = text_field("Subject", "Grüße und noch viel mehr Text, der hier steht " * 20)
    assert max(map(len, field.split("\r\n"))) <= 78


NAMES = CLEAN | st.sampled_from(
    [
        "Ann",
        "Ann Lee",
        "Lee, Ann",
        'say "hi" \\o/',
        "Jörg",
        "J, ö",
        "=?utf-8?q?x?=",
        "a@b",
        "x" * 500,
        "ü" * 200,
    ]
)
ADDRS = st.sampled_from(
    ["a@b.c", "first.last+tag@sub.example.org", '"odd one"@x.y', "u@[127.0.0.1]", "root@localhost"]
)


@given(st.lists(st.builds(Address, NAMES, ADDRS), min_size=1, max_size=5))
def test_addresses_go_over_the_wire_and_read_back(addresses: list[Address]) -> None:
    field = address_field("To", addresses)
    check_wire(field)
    message = BytesParser(policy=policy.default).parsebytes(field.encode() + b"\r\n")
    assert [found.addr_spec for found in message["to"].addresses] == [found.addr for found in addresses]


VISIBLE = st.text(
    st.characters(
        exclude_categories=["Cs", "Cc", "Cf", "Zs", "Zl", "Zp", "Co", "Cn"], exclude_characters="<>\ufffd"
    ),
    max_size=60,
) | st.lists(
    st.sampled_from(["Ann", "Lee,", "ö", '"x"', "\\", "=?utf-8?q?x?=", "a@b", "(c)", "東京"]), max_size=5
).map(" ".join)


@given(st.lists(VISIBLE, min_size=1, max_size=4), VISIBLE)
def test_names_and_subjects_read_back_by_our_own_reader(names: list[str], subject: str) -> None:
    to = address_field("To", [Address(name, "a@b.c") for name in names])
    envelope = read_header(f"{to}{text_field('Subject', subject)}\r\n".encode())
    assert parse_addresses(envelope.to) == tuple(Address(name, "a@b.c") for name in names)
    assert envelope.subject == subject


def test_names_are_quoted_or_encoded_where_they_must_be() -> None:
    people = [
        Address("Ann Lee", "a@b.c"),
        Address("Lee, Ann", "a@b.c"),
        Address("Jörg", "j@b.c"),
        Address("", "x@y.z"),
    ]
    field = address_field("To", people)
    assert field.replace("\r\n", "") == (
        'To: Ann Lee <a@b.c>, "Lee, Ann" <a@b.c>, =?utf-8?q?J=C3=B6rg?= <j@b.c>, x@y.z'
    )


@given(st.lists(st.sampled_from(["a@b", "x" * 200 + "@example.org", "1$2=@q"]), min_size=1, max_size=60))
def test_ids_are_folded_between_ids_only_and_never_encoded(ids: list[str]) -> None:
    field = id_field("References", ids)
    check_wire(field)
    assert field.removeprefix("References:").split() == [f"<{each}>" for each in ids]


@pytest.mark.parametrize("text", ["x\r\nBcc: a@b.c", "x\ny", "x\ry", "x\0y", "\n"])
def test_line_breaks_and_nul_are_refused_everywhere(text: str) -> None:
    with pytest.raises(CommandError):
        text_field("Subject", text)
    with pytest.raises(CommandError):
        text_field(f"X{text}", "value")
    with pytest.raises(CommandError):
        address_field("To", [Address(text, "a@b.c")])
    with pytest.raises(CommandError):
        address_field("To", [Address("", f"a{text}@b.c")])
    with pytest.raises(CommandError):
        address_field("To", [Address("", f"a@b.c{text}")])
    with pytest.raises(CommandError):
        id_field("References", [f"a{text}@b"])


@pytest.mark.parametrize(
    "addr",
    [
        "",
        "a",
        "@b.c",
        "a@",
        "a b@c.d",
        "a@b c",
        "a@b,c",
        "<a@b.c>",
        "a@b.c>",
        'a"b@c.d',
        "ü@b.c",
        "a@b..c\x7f",
        "a;b@c",
        "a@.b",
        f"{'a' * 400}@b.c",
    ],
)
def test_what_mail_cannot_be_sent_to_is_refused_by_name(addr: str) -> None:
    with pytest.raises(CommandError, match="no address mail can be sent to"):
        wire_address(addr)


def test_an_international_domain_goes_out_in_its_ascii_form() -> None:
    assert wire_address("ann@bücher.example") == "ann@xn--bcher-kva.example"
