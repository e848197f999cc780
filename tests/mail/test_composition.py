from __future__ import annotations

from datetime import UTC
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import CommandError
from agent.mail.address import Address
from agent.mail.composition import Attachment, Composition, build, envelope_of, new_message_id

ANN, BOB, EVE = (Address(name, f"{name.lower()}@example.org") for name in ("Ann", "Bob", "Eve"))


def draft(**changes) -> Composition:
    return Composition(**{"from_": ANN, "to": [BOB], "message_id": "one@example.org", "date": 0.0, **changes})


def read(data: bytes) -> EmailMessage:
    return BytesParser(policy=policy.default).parsebytes(data)


def check_wire(data: bytes) -> None:
    assert data.isascii()
    assert b"\0" not in data
    lines = data.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 998


def test_a_plain_message_is_what_a_person_would_write_by_hand() -> None:
    data = build(draft(subject="Lunch", text="Today?\n\n-- \nAnn\n"), tz=UTC)
    assert data.decode() == (
        "From: Ann <ann@example.org>\r\nTo: Bob <bob@example.org>\r\nSubject: Lunch\r\n"
        "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <one@example.org>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n'
        "Today?\r\n\r\n-- \r\nAnn\r\n"
    )


BODIES = st.text(st.characters(exclude_categories=["Cs"]), max_size=300) | st.lists(
    st.sampled_from(
        [
            "a",
            "\n",
            "\r",
            "\r\n",
            ".",
            "\n.\n",
            "\r.\r",
            "\0",
            "é",
            "x" * 1200,
            "From ",
            " ",
            "東京",
            "=",
            "\x1b",
        ]
    ),
    max_size=25,
).map("".join)


@settings(max_examples=300)
@given(BODIES, BODIES)
def test_any_body_is_safe_on_the_wire_and_reads_back(text: str, html: str) -> None:
    data = build(draft(text=text, html=html))
    check_wire(data)
    message = read(data)
    for kind, sent in (("plain", text), ("html", html)):
        part = message.get_body((kind,))
        if sent:
            got = part.get_payload(decode=True).decode().replace("\r\n", "\n")
            assert got.rstrip("\n") == sent.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


FILENAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=120
) | st.sampled_from(
    [
        "a.txt",
        "über.pdf",
        'quo"te.txt',
        "back\\slash",
        "semi;colon=.txt",
        "x" * 200 + ".pdf",
        "東" * 60 + ".png",
    ]
)


@given(st.lists(st.tuples(FILENAMES, st.binary(max_size=200)), min_size=1, max_size=3))
def test_attachments_keep_their_bytes_and_names(files: list[tuple[str, bytes]]) -> None:
    data = build(
        draft(text="x", attachments=[Attachment(name, "application/x-test", body) for name, body in files])
    )
    check_wire(data)
    found = list(read(data).iter_attachments())
    assert [part.get_content() for part in found] == [body for _, body in files]
    assert [part.get_filename() for part in found] == [name.strip() or "attachment" for name, _ in files]


def test_text_html_and_attachments_nest_as_readers_expect() -> None:
    c = draft(text="a", html="<p>a</p>", attachments=[Attachment("a.pdf", "application/pdf", b"%PDF")])
    kinds = [part.get_content_type() for part in read(build(c)).walk()]
    assert kinds == ["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "application/pdf"]
    assert build(c).count(b"MIME-Version") == 1


def test_the_same_message_is_built_into_the_same_bytes() -> None:
    c = draft(text="a", html="b", attachments=[Attachment("a.pdf", "application/pdf", b"%PDF")])
    assert build(c) == build(c, keep_bcc=True)


def test_html_alone_needs_no_alternative() -> None:
    assert read(build(draft(html="<p>a</p>"))).get_content_type() == "text/html"


def test_an_attached_message_keeps_its_bytes() -> None:
    original = b"Subject:   odd \r\nReceived: from a\r\n\tby b\r\n\r\nhi\r\n-- \r\n"
    data = build(draft(text="see", attachments=[Attachment("m.eml", "message/rfc822", original)]))
    check_wire(data)
    assert original in data
    assert message_from_bytes(data).get_payload(1).get_content_type() == "message/rfc822"


@pytest.mark.parametrize(
    "original", [b"Subject: x\n\nh\xc3\xb6", b"Subject: x\n\n" + b"y" * 1200, b"a\rb", b"\0"]
)
def test_a_message_the_wire_cannot_carry_as_it_is_goes_as_a_file(original: bytes) -> None:
    data = build(draft(attachments=[Attachment("m.eml", "message/rfc822", original)]))
    check_wire(data)
    part = next(iter(read(data).iter_attachments()))
    assert (part.get_content_type(), part.get_content()) == ("application/octet-stream", original)


def test_bcc_goes_to_the_envelope_and_never_to_the_wire() -> None:
    c = draft(cc=[BOB], bcc=[EVE])
    assert b"eve" not in build(c).lower()
    assert b"Bcc: Eve <eve@example.org>" in build(c, keep_bcc=True)
    assert envelope_of(c) == ("ann@example.org", ("bob@example.org", "eve@example.org"))


def test_automatic_mail_has_a_null_sender() -> None:
    assert envelope_of(draft(sender="")) == ("", ("bob@example.org",))


def test_a_message_without_recipients_can_be_kept_but_not_sent() -> None:
    c = draft(to=[])
    assert b"To:" not in build(c)
    with pytest.raises(CommandError, match="no recipient"):
        envelope_of(c)


@pytest.mark.parametrize("bad", ["x\r\nBcc: eve@example.org", "x\n.\n", "x\ry", "x\0"])
@pytest.mark.parametrize(
    "place",
    [
        lambda bad: {"subject": bad},
        lambda bad: {"from_": Address(bad, "a@b.c")},
        lambda bad: {"to": [Address("", f"a@b.c{bad}")]},
        lambda bad: {"cc": [Address(bad, "a@b.c")]},
        lambda bad: {"bcc": [Address("", bad)]},
        lambda bad: {"reply_to": [Address(bad, "a@b.c")]},
        lambda bad: {"headers": {"X-Test": bad}},
        lambda bad: {"headers": {f"X-{bad}": "y"}},
        lambda bad: {"references": (bad,)},
        lambda bad: {"in_reply_to": (bad,)},
        lambda bad: {"message_id": bad},
        lambda bad: {"attachments": [Attachment(bad, "text/plain", b"")]},
        lambda bad: {"attachments": [Attachment("a", f"text/plain{bad}", b"")]},
    ],
)
def test_line_breaks_and_nul_are_refused_in_every_header(place, bad: str) -> None:
    with pytest.raises(CommandError):
        build(draft(**place(bad)), keep_bcc=True)


def test_a_bad_envelope_address_is_refused() -> None:
    for c in (draft(bcc=[Address("", "a@b.c\r\nDATA")]), draft(sender="a@b.c>\r\nRCPT TO:<x@y.z")):
        with pytest.raises(CommandError):
            envelope_of(c)


@pytest.mark.parametrize("name", ["From", "bcc", "Content-Type", "MIME-Version", "Message-Id", "Return-Path"])
def test_headers_the_message_sets_itself_cannot_be_slipped_in(name: str) -> None:
    with pytest.raises(CommandError, match="set by the message itself"):
        build(draft(headers={name: "x"}))


def test_a_message_without_date_or_id_is_not_built() -> None:
    for c in (draft(date=None), draft(message_id="")):
        with pytest.raises(CommandError, match="no date or no Message-ID"):
            build(c)


def test_message_ids_are_unique_by_their_random_part_and_always_valid() -> None:
    assert new_message_id("Example.org", b"\1" * 16) != new_message_id("Example.org", b"\2" * 16)
    assert new_message_id("Example.org", b"\1" * 16).endswith("@example.org")
    assert new_message_id("no domain\r\n", b"\1" * 16).endswith("@localhost")
    assert new_message_id("bücher.example", b"\1" * 16).endswith("@xn--bcher-kva.example")
