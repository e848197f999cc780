from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

import pytest

from agent.errors import CommandError
from agent.mail.address import Address
from agent.mail.compose import (
    MAX_REFERENCES,
    Attachment,
    Composition,
    automatic_reply,
    build,
    edit_as_new,
    envelope_of,
    forward,
    identity,
    reply,
    signed,
)
from agent.mail.header import Envelope, header_fields, read_header

ANN = Address("Ann", "ann@example.org")
SUPPORT = Address("Support", "support@example.org")
OWN = [ANN, SUPPORT]


def header(**fields: str) -> bytes:
    """The header of a message from Bob to Ann, with changes; an empty field is left out."""
    usual = {
        "From": "Bob <bob@example.com>",
        "To": "Ann <ann@example.org>",
        "Subject": "Lunch",
        "Date": "Thu, 26 Nov 2026 12:00:00 +0000",
        "Message-ID": "<one@example.com>",
    }
    usual |= {name.replace("_", "-"): value for name, value in fields.items()}
    return "".join(f"{name}: {value}\r\n" for name, value in usual.items() if value).encode() + b"\r\n"


def envelope(**fields: str) -> Envelope:
    return read_header(header(**fields))


def answer(all: bool = False, text: str = "", **fields: str) -> Composition:
    raw = header(**fields)
    return reply(read_header(raw), text, own=OWN, all=all, headers=header_fields(raw))


def addrs(addresses: Sequence[Address]) -> list[str]:
    return [address.addr for address in addresses]


# -- recipients


def test_a_reply_goes_to_the_sender() -> None:
    c = answer()
    assert (c.from_, c.to, c.cc) == (ANN, [Address("Bob", "bob@example.com")], [])


def test_a_reply_follows_reply_to() -> None:
    assert addrs(answer(Reply_To="desk@example.com, b@x.y").to) == ["desk@example.com", "b@x.y"]


def test_a_reply_to_all_copies_the_others_once_and_never_ourselves() -> None:
    c = answer(
        all=True,
        To="Ann <ANN@example.org>, carl@x.y, support+a@example.org",
        Cc="Carl <carl@X.Y>, bob@example.com, dora@x.y",
    )
    assert addrs(c.to) == ["bob@example.com"]
    assert addrs(c.cc) == ["carl@x.y", "dora@x.y"]


def test_a_reply_to_all_follows_mail_followup_to() -> None:
    c = answer(all=True, To="list@x.y", Mail_Followup_To="list@x.y, ann@example.org")
    assert (addrs(c.to), c.cc) == (["list@x.y"], [])


def test_mail_followup_to_does_not_count_for_a_private_reply() -> None:
    assert addrs(answer(Mail_Followup_To="list@x.y").to) == ["bob@example.com"]


def test_a_reply_to_our_own_message_goes_to_whom_that_went() -> None:
    mine = {
        "From": "Support <support@example.org>",
        "To": "bob@example.com",
        "Cc": "carl@x.y, ann@example.org",
    }
    assert addrs(answer(**mine).to) == ["bob@example.com"]
    assert answer(**mine).from_ == SUPPORT
    assert addrs(answer(all=True, **mine).to) == ["bob@example.com"]
    assert addrs(answer(all=True, **mine).cc) == ["carl@x.y"]


def test_a_note_to_ourselves_can_be_answered() -> None:
    assert addrs(answer(From="ann@example.org").to) == ["ann@example.org"]
    assert addrs(answer(all=True, From="ann@example.org").to) == ["ann@example.org"]


def test_a_reply_to_the_list_goes_to_the_list() -> None:
    raw = header(List_Post="<mailto:list@x.y>")
    c = reply(read_header(raw), own=OWN, to_list=True, headers=header_fields(raw))
    assert addrs(c.to) == ["list@x.y"]
    with pytest.raises(CommandError, match="no mailing list"):
        reply(envelope(), own=OWN, to_list=True)


def test_a_message_from_nobody_cannot_be_answered() -> None:
    with pytest.raises(CommandError, match="nobody to reply to"):
        answer(From="", To="")


def test_an_address_that_can_be_read_in_two_ways_is_not_written_to() -> None:
    with pytest.raises(CommandError, match="nobody to reply to"):
        answer(From="alice@example.com <bob@example.com> <x@y.z>", To="")


@pytest.mark.parametrize(
    ("fields", "own"),
    [
        ({"To": "support@example.org"}, SUPPORT),
        ({"To": "x@y.z", "Cc": "Support@Example.ORG"}, SUPPORT),
        ({"To": "support+tag@example.org"}, SUPPORT),
        ({"To": "list@x.y", "Delivered_To": "support@example.org"}, SUPPORT),
        ({"To": "list@x.y"}, ANN),
        ({"To": "ann@example.org, support@example.org"}, ANN),
    ],
)
def test_the_address_that_received_the_message_answers_it(fields: dict[str, str], own: Address) -> None:
    assert answer(**fields).from_ == own


def test_without_an_own_address_nothing_can_be_written() -> None:
    with pytest.raises(CommandError, match="no address to write from"):
        identity(envelope(), [])


# -- subject, threading, text


@pytest.mark.parametrize(
    ("subject", "answered"),
    [
        ("Lunch", "Re: Lunch"),
        ("Re: Lunch", "Re: Lunch"),
        ("RE: AW: Re[2]: Lunch", "Re: Lunch"),
        ("Fwd: Lunch", "Re: Fwd: Lunch"),
        ("Regarding: lunch", "Re: Regarding: lunch"),
        ("", "Re:"),
    ],
)
def test_the_subject_says_re_once(subject: str, answered: str) -> None:
    assert answer(Subject=subject).subject == answered


def test_references_grow_by_the_message_answered() -> None:
    c = answer(References="<a@x> <b@x>", In_Reply_To="<b@x>")
    assert (c.in_reply_to, c.references) == (("one@example.com",), ("a@x", "b@x", "one@example.com"))


def test_without_references_a_single_in_reply_to_stands_in_for_them() -> None:
    assert answer(In_Reply_To="<b@x>").references == ("b@x", "one@example.com")
    assert answer(In_Reply_To="<b@x> <c@x>").references == ("one@example.com",)


def test_a_message_without_an_id_starts_a_new_thread() -> None:
    c = answer(Message_ID="", References="<a@x>")
    assert (c.in_reply_to, c.references) == ((), ())


def test_endless_references_keep_their_first_and_last_ids() -> None:
    ids = [f"{n}@x" for n in range(500)]
    c = answer(References="\r\n ".join(f"<{each}>" for each in ids))
    assert len(c.references) == MAX_REFERENCES
    assert c.references[0] == "0@x"
    assert c.references[-2:] == ("499@x", "one@example.com")


def test_text_quotation_and_signature_stand_in_this_order() -> None:
    c = reply(envelope(), "thanks", own=OWN, quoted="Bob wrote:\n> Lunch?\n", signature="Ann\nExample Ltd")
    assert c.text == "thanks\n\nBob wrote:\n> Lunch?\n\n-- \nAnn\nExample Ltd\n"


@pytest.mark.parametrize(
    ("text", "signature", "signed_text"),
    [
        ("hi", "", "hi"),
        ("hi", "Ann", "hi\n\n-- \nAnn\n"),
        ("hi\n\n\n", "-- \nAnn\n", "hi\n\n-- \nAnn\n"),
        ("", "Ann", "-- \nAnn\n"),
    ],
)
def test_a_signature_stands_below_its_mark(text: str, signature: str, signed_text: str) -> None:
    assert signed(text, signature) == signed_text


def test_the_signature_mark_keeps_its_blank_on_the_wire() -> None:
    c = reply(envelope(), "hé", own=OWN, signature="Ann")
    c.message_id, c.date = "two@example.org", 0.0
    assert b"\r\n-- \r\n" in build(c) or b"\r\n--=20\r\n" in build(c)


# -- forward, edit as new


def test_a_forward_shows_who_wrote_what_when() -> None:
    c = forward(envelope(Cc="carl@x.y"), "see below", to=[SUPPORT], own=OWN, body="Today?", tz=UTC)
    assert (c.subject, c.to, c.references) == ("Fwd: Lunch", [SUPPORT], ())
    assert c.text == (
        "see below\n\n-------- Forwarded message --------\nFrom: Bob <bob@example.com>\n"
        "Date: Thu, 26 Nov 2026 12:00:00 +0000\nSubject: Lunch\nTo: Ann <ann@example.org>\n"
        "Cc: carl@x.y\n\nToday?"
    )


def test_a_forward_takes_the_attachments_along() -> None:
    pdf = Attachment("a.pdf", "application/pdf", b"%PDF")
    assert forward(envelope(), own=OWN, attachments=[pdf]).attachments == [pdf]


def test_a_forward_can_carry_the_whole_message() -> None:
    c = forward(envelope(Subject="Re: ../etc: x"), own=OWN, original=b"Subject: x\r\n\r\n")
    assert c.attachments == [Attachment("Re_ .._etc_ x.eml", "message/rfc822", b"Subject: x\r\n\r\n")]
    assert c.text == ""


def test_a_forward_of_a_forward_says_so_once() -> None:
    assert forward(envelope(Subject="FW: x"), own=OWN).subject == "FW: x"


def test_a_message_edited_as_new_keeps_its_content_and_loses_its_thread() -> None:
    sent = Composition(
        from_=SUPPORT,
        to=[ANN],
        cc=[Address("Jörg", "j@x.y")],
        bcc=[Address("", "b@x.y")],
        subject="Grüße",
        text="Hallo\n",
        attachments=[Attachment("ü.bin", "application/x-a", b"\0\1")],
        in_reply_to=("a@x",),
        references=("a@x",),
        message_id="one@example.org",
        date=0.0,
    )
    raw = build(sent, keep_bcc=True)
    again = edit_as_new(raw, own=OWN)
    assert (again.from_, again.to, again.cc, again.bcc) == (sent.from_, sent.to, sent.cc, sent.bcc)
    assert (again.subject, again.text.strip(), again.attachments) == ("Grüße", "Hallo", sent.attachments)
    assert (again.references, again.message_id, again.date) == ((), "", None)
    assert edit_as_new(raw, own=OWN, draft=True).references == ("a@x",)


def test_somebody_else_s_message_edited_as_new_is_ours() -> None:
    assert edit_as_new(header(To="support@example.org") + b"hi", own=OWN).from_ == SUPPORT


# -- automatic replies


def automatic(subject: str = "", **fields: str) -> Composition:
    raw = header(Return_Path="<bob@example.com>", **fields)
    return automatic_reply(read_header(raw), "Away", own=OWN, headers=header_fields(raw), subject=subject)


def test_an_automatic_reply_says_so_and_comes_from_nobody() -> None:
    c = automatic(References="<a@x>")
    c.message_id, c.date = "two@example.org", 0.0
    assert envelope_of(c) == ("", ("bob@example.com",))
    data = build(c)
    for line in (
        b"Auto-Submitted: auto-replied",
        b"Precedence: bulk",
        b"X-Auto-Response-Suppress: All",
        b"Subject: Auto: Lunch",
        b"In-Reply-To: <one@example.com>",
        b"References: <a@x> <one@example.com>",
    ):
        assert line + b"\r\n" in data


def test_an_automatic_reply_never_follows_reply_to() -> None:
    assert addrs(automatic(Reply_To="victim@x.y").to) == ["bob@example.com"]


def test_the_subject_of_an_automatic_reply_can_be_given_and_is_never_endless() -> None:
    assert automatic("Away until Monday").subject == "Away until Monday"
    assert automatic(Subject="").subject == "Automated reply"
    assert len(automatic(Subject="x" * 900).subject) == 256


def test_nobody_to_answer_is_an_error() -> None:
    raw = header(From="")
    with pytest.raises(CommandError, match="no return address"):
        automatic_reply(read_header(raw), "Away", own=OWN, headers=header_fields(raw))
