from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.mail.address import Address, parse_addresses
from agent.mail.automatic import MAX_AGE_S, mailbox, period_over, refusal, reply_recipient
from agent.mail.header import header_fields

OWN = ["ann@example.org", "support@example.org"]
USUAL = {
    "From": "Bob <bob@example.com>",
    "To": "ann@example.org",
    "Subject": "Lunch",
    "Return-Path": "<bob@example.com>",
}


def fields(**changes: str) -> list[tuple[str, str]]:
    """The header of a message that may be answered, with changes; an empty field is left out."""
    found = USUAL | {name.replace("_", "-"): value for name, value in changes.items()}
    return [(name, value) for name, value in found.items() if value]


def why(return_path: str | None = None, **changes: str) -> str | None:
    return refusal(fields(**changes), own=OWN, return_path=return_path, received=0, now=0)


def test_a_person_s_message_to_us_may_be_answered() -> None:
    assert why() is None
    assert why(Return_Path="") is None
    assert why(Auto_Submitted="no", Precedence="normal", X_Auto_Response_Suppress="None, DR, RN, NRN") is None
    assert why(Auto_Submitted="No (really)") is None
    assert why(Cc="ann@example.org", To="x@y.z") is None
    assert why(Resent_To="ann@example.org", To="x@y.z") is None
    assert why(To="Ann <ann+shop@EXAMPLE.org>") is None
    assert why(Subject="Re: Automatic reply: Lunch") is None
    assert why(Subject="Delivery of the sofa") is None
    assert why(From="Norep Lying <bounceback@example.com>", Return_Path="") is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Auto_Submitted": "auto-generated"}, "sent automatically"),
        ({"Auto_Submitted": 'auto-notified; owner-email="x@y"'}, "sent automatically"),
        ({"Auto_Submitted": "yes"}, "sent automatically"),
        ({"List_Id": "<x.y>"}, "mailing list"),
        ({"List_Unsubscribe": "<mailto:x@y>"}, "mailing list"),
        ({"list_Anything": "x"}, "mailing list"),
        ({"X_Mailing_List": "x@y"}, "mailing list"),
        ({"Precedence": "Bulk"}, "bulk mail"),
        ({"Precedence": "junk"}, "bulk mail"),
        ({"Precedence": "list"}, "bulk mail"),
        ({"Precedence": "auto_reply"}, "bulk mail"),
        ({"X_Auto_Response_Suppress": "DR, OOF,\tRN"}, "wants no automatic answer"),
        ({"X_Auto_Response_Suppress": "all"}, "wants no automatic answer"),
        ({"X_Autoreply": "yes"}, "sent automatically"),
        ({"X_Auto_Reply_From": "x@y.z"}, "sent automatically"),
        ({"X_Failed_Recipients": "x@y.z"}, "sent automatically"),
        ({"X_Loop": "x@y.z"}, "sent automatically"),
        ({"Content_Type": "multipart/report; report-type=delivery-status"}, "report"),
        ({"X_Spam_Flag": "YES"}, "spam"),
        ({"Return_Path": "<>"}, "null sender"),
        ({"Return_Path": " < > "}, "null sender"),
        ({"From": "MAILER-DAEMON@example.com"}, "by a program"),
        ({"From": "Mail Delivery <mailer-daemon@x.y>", "Return_Path": ""}, "by a program"),
        ({"From": "noreply@example.com"}, "by a program"),
        ({"From": "No-Reply+abc@example.com"}, "by a program"),
        ({"From": "shop-do-not-reply@example.com"}, "by a program"),
        ({"From": "listserv@example.com"}, "by a program"),
        ({"From": "Majordomo@example.com"}, "by a program"),
        ({"From": "owner-birds@example.com"}, "by a program"),
        ({"From": "birds-request@example.com"}, "by a program"),
        ({"Sender": "birds-bounces@example.com"}, "by a program"),
        ({"Return_Path": "<birds-bounces+ann=example.org@x.y>"}, "by a program"),
        ({"Return_Path": "<msg-77-ann=example.org@bulk.example.com>"}, "bulk mail"),
        ({"From": "Ann <ANN@example.org>"}, "by ourselves"),
        ({"From": "ann+x@example.org"}, "by ourselves"),
        ({"Return_Path": "<support@example.org>"}, "by ourselves"),
        ({"From": "", "Return_Path": ""}, "no usable return address"),
        ({"From": "undisclosed", "Return_Path": ""}, "no usable return address"),
        ({"Return_Path": "<nonsense>"}, "no usable return address"),
        ({"To": "everyone@example.org"}, "none of our addresses"),
        ({"To": ""}, "none of our addresses"),
        ({"Subject": "Automatic reply: Lunch"}, "subject"),
        ({"Subject": "Auto: Lunch"}, "subject"),
        ({"Subject": "[support #33575] AutoReply: Lunch"}, "subject"),
        ({"Subject": "[Preview] Report Domain: example.org Submitter: x"}, "subject"),
        ({"Subject": "Delivery Status"}, "subject"),
        ({"X_RT_Loop_Prevention": "example"}, "sent automatically"),
        ({"Subject": "[Out of Office] Lunch"}, "subject"),
        ({"Subject": "Undelivered Mail Returned to Sender"}, "subject"),
        ({"Subject": "Mail delivery failed: returning message to sender"}, "subject"),
    ],
)
def test_a_message_is_not_answered_and_the_reason_is_told(changes: dict[str, str], reason: str) -> None:
    assert reason in (why(**changes) or "")


def test_the_envelope_counts_before_the_header() -> None:
    assert "null sender" in (why(return_path="") or "")
    assert "program" in (why(return_path="x-request@y.z") or "")
    assert why(return_path="carl@example.com") is None


@pytest.mark.parametrize("role", ["junk", "trash", "sent", "drafts"])
def test_some_folders_are_never_answered_from(role: str) -> None:
    assert refusal(fields(), own=OWN, folder_role=role, received=0, now=0)


def test_old_mail_is_not_answered() -> None:
    assert refusal(fields(), own=OWN, received=0, now=MAX_AGE_S) is None
    assert "3 days ago" in (refusal(fields(), own=OWN, received=0, now=MAX_AGE_S + 1) or "")
    assert refusal(fields(), own=OWN, received=0, now=10**9, max_age=10**10) is None


def test_the_demand_to_be_named_can_be_dropped() -> None:
    assert refusal(fields(To="x@y.z"), own=OWN, received=0, now=0, check_recipient=False) is None


def test_the_reply_goes_to_the_return_path_with_the_name_its_owner_uses() -> None:
    assert reply_recipient(fields()) == Address("Bob", "bob@example.com")
    assert reply_recipient(fields(Return_Path="")) == Address("Bob", "bob@example.com")
    assert reply_recipient(fields(), "BOB@example.com") == Address("Bob", "bob@example.com")
    assert reply_recipient(fields(), "x@y.z") == Address("", "x@y.z")
    assert reply_recipient(fields(Sender="Ola <o@x.y>"), "o@x.y") == Address("Ola", "o@x.y")
    assert reply_recipient(fields(Reply_To="victim@x.y")) == Address("Bob", "bob@example.com")
    assert reply_recipient(fields(), "") is None


def test_a_period_is_over_when_it_is_over() -> None:
    assert period_over(None, 0, 100)
    assert not period_over(0, 99, 100)
    assert period_over(0, 100, 100)
    assert period_over(5, 5, 0)


def test_detail_and_case_do_not_make_another_mailbox() -> None:
    assert mailbox("Ann+shop@Example.ORG") == "ann@example.org"
    assert mailbox("+1@x.y") != mailbox("+2@x.y")


NAMES = st.sampled_from(
    ["From", "Return-Path", "Auto-Submitted", "Subject", "To", "Content-Type", "X-Auto-Reply"]
)


@given(st.lists(st.tuples(NAMES, st.text(max_size=40)), max_size=8), st.none() | st.text(max_size=20))
def test_any_header_gets_an_answer(headers: list[tuple[str, str]], path: str | None) -> None:
    reason = refusal(headers, own=OWN, return_path=path, received=0, now=0)
    assert reason is None or reason


# -- real bounces, reports and automatic answers

SOURCES = ("sisimai", "flufl-bounce", "mailman2-bounces", "perl-bounceparser")
# A person's mail, written in Outlook: upstream's own expectation is that no recipient failed.
BY_PERSONS = {"mailman2-bounces/bounces/groupwise_03.txt"}


def messages(source: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(source.rglob("*")):
        if path.is_file() and not any(part.startswith("_") for part in path.parts) and path.suffix != ".json":
            raw = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            if raw.startswith(b"From "):
                raw = raw.partition(b"\n")[2]
            yield path, raw.partition(b"\n\n")[0] + b"\n\n"


@pytest.mark.parametrize("source", SOURCES)
def test_no_bounce_report_or_automatic_answer_is_answered(source: str, corpora: Path) -> None:
    answered, count = [], 0
    for path, header in messages(corpora / source):
        found = header_fields(header)
        people = [
            person.addr for name, value in found if name.lower() == "to" for person in parse_addresses(value)
        ]
        authors = {
            person.addr
            for name, value in found
            if name.lower() == "from"
            for person in parse_addresses(value)
        }
        # Neither "it is not for us" nor "we wrote it" may be what saves us.
        own = set(people) - authors
        count += 1
        if refusal(found, own=own, received=0, now=0, check_recipient=False) is None:
            answered.append(path.relative_to(corpora).as_posix())
    assert count > 40
    assert set(answered) <= BY_PERSONS
