"""The sample mail is what it looks like: well-formed messages of many kinds, with fresh dates."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import parseaddr, parsedate_to_datetime

import pytest

from agent.demo.attachments import attachment
from agent.demo.samples import Sample, arrival, encode_field, load_samples

NOW = 1_790_000_000.0
SAMPLES = load_samples(NOW)


def parsed(sample: Sample) -> EmailMessage:
    message = email.message_from_bytes(sample.raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def by_id(message_id: str) -> EmailMessage:
    [found] = [m for m in map(parsed, SAMPLES) if m["Message-ID"] == f"<{message_id}>"]
    return found


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: str(parsed(sample)["Message-ID"]))
def test_a_sample_is_well_formed(sample: Sample) -> None:
    head, _, _ = sample.raw.partition(b"\r\n\r\n")
    assert head.isascii()
    assert b"Demo-" not in head
    assert b"{{" not in sample.raw
    assert b"\n" not in sample.raw.replace(b"\r\n", b"")
    assert max(map(len, sample.raw.split(b"\r\n"))) <= 998
    message = parsed(sample)
    for part in message.walk():
        assert not part.defects
        if not part.is_multipart() and part.get_content_type() != "message/delivery-status":
            part.get_content()
    assert parseaddr(message["From"])[1]
    assert message["Subject"]
    assert parsedate_to_datetime(message["Date"]).timestamp() == sample.received


def test_message_ids_differ_and_references_lead_to_messages() -> None:
    messages = [parsed(sample) for sample in SAMPLES]
    ids = [message["Message-ID"] for message in messages]
    assert len(set(ids)) == len(ids)
    assert len([m for m in messages if m["In-Reply-To"] in ids]) >= 10


def test_dates_are_in_the_past_and_the_newest_is_minutes_old() -> None:
    ages = [NOW - sample.received for sample in SAMPLES]
    assert min(ages) == pytest.approx(120, abs=1)
    assert sorted(ages, reverse=True) == ages
    assert arrival(NOW).received == pytest.approx(NOW, abs=1)


def test_the_samples_are_many_and_various() -> None:
    messages = [parsed(sample) for sample in SAMPLES]
    types = {part.get_content_type() for message in messages for part in message.walk()}
    assert types >= {
        "text/html",
        "text/calendar",
        "text/csv",
        "image/png",
        "application/pdf",
        "message/delivery-status",
        "multipart/alternative",
        "multipart/report",
    }
    charsets = {message.get_content_charset() for message in messages}
    assert charsets >= {"utf-8", "iso-8859-1", "koi8-r"}
    assert len(SAMPLES) >= 40
    assert {sample.account for sample in SAMPLES} == {"demo", "home"}
    assert any(message["Content-Type"].params.get("format") == "flowed" for message in messages)
    assert any(message["List-Id"] for message in messages)
    assert any(message["Auto-Submitted"] for message in messages)


def test_words_beyond_ascii_survive_the_header() -> None:
    assert by_id("tokyo.1@tanaka.example")["Subject"] == "来月の東京出張について 🗼"
    assert by_id("tickets.1@okafor.example")["From"] == "Zoë 🌻 Okafor <zoe@okafor.example>"
    assert by_id("exhibition.1@haddad.example")["Subject"] == "دعوة إلى معرض الخط العربي"


def test_a_long_field_is_folded_into_short_encoded_words() -> None:
    line = encode_field("Subject: " + "Донаудампфшифффарт " * 8 + "end")
    assert line.isascii()
    assert all(len(word) <= 75 for word in line.removeprefix("Subject: ").split())
    message = email.message_from_string(line.replace("\n", "\r\n"), policy=email.policy.default)
    assert message["Subject"] == ("Донаудампфшифффарт " * 8 + "end").strip()


def test_a_field_in_ascii_stays_as_it_is() -> None:
    assert encode_field('From: "A, B" <a@b.example>') == 'From: "A, B" <a@b.example>'


def test_attachments_are_what_their_names_say() -> None:
    files = {part.get_filename(): part for part in by_id("plans.7@studio-rossi.example").iter_attachments()}
    assert files["plan.pdf"].get_content().startswith(b"%PDF-1.4")
    assert files["plan.pdf"].get_content().endswith(b"%%EOF\n")
    assert "Ålund & Söner" in files["costs.csv"].get_content()
    assert files["Farbe der Tür blue.png"].get_content().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_cross_reference_of_the_pdf_points_at_its_objects() -> None:
    content = attachment("plan.pdf", datetime.fromtimestamp(NOW, UTC))
    start = int(content.rsplit(b"startxref\n", 1)[1].split(b"\n", 1)[0])
    table = content[start:].splitlines()
    assert table[0] == b"xref"
    for number, line in enumerate(table[3:8], 1):
        assert content[int(line[:10]) :].startswith(b"%d 0 obj" % number)


def test_the_invitation_is_for_a_day_to_come() -> None:
    [calendar] = [
        p for p in by_id("invite.1@lindqvist.example").walk() if p.get_content_type() == "text/calendar"
    ]
    start = calendar.get_content().split("DTSTART:")[1][:8]
    assert start == datetime.fromtimestamp(NOW + 3 * 86400, UTC).strftime("%Y%m%d")
