from __future__ import annotations

import time
from datetime import UTC

import pytest

from agent.mail.header import Envelope
from agent.mail.quote import (
    attribution,
    quote,
    signature_of,
    snippet_of,
    strip_quotes,
    strip_signature,
    unflow,
)
from tests.harness import corpora


def test_a_quotation_has_its_attribution_and_no_signature() -> None:
    text = "Hi,\n\n> older\nbye\n-- \nBob\nCEO\n"
    assert quote(text, "Bob wrote:") == "Bob wrote:\n> Hi,\n>\n>> older\n> bye\n"


def test_the_attribution_names_the_author_and_the_time() -> None:
    envelope = Envelope(from_='"Ann, E." <ann@example.org>', date=1795424400)
    assert attribution(envelope, UTC) == "On 2026-11-23 09:00, Ann, E. wrote:"
    assert attribution(Envelope(from_="ann@example.org"), UTC) == "ann@example.org wrote:"
    assert attribution(Envelope(date=10**18), UTC) == "somebody wrote:"


def test_flowed_paragraphs_become_lines() -> None:
    text = "one \ntwo \nthree\n\n> quoted \n> more\n from\n-- \nsig \nnature"
    assert unflow(text) == "one two three\n\n> quoted more\nfrom\n-- \nsig nature"


def test_delsp_joins_without_the_blank() -> None:
    assert unflow("日本 \n語", delsp=True) == "日本語"


def test_a_signature_is_what_stands_behind_the_last_separator() -> None:
    text = "a\n-- \nb\n-- \nAnn\nphone"
    assert strip_signature(text) == "a\n-- \nb\n"
    assert signature_of(text) == "Ann\nphone"
    assert signature_of("no\n--\n" + "long\n" * 40) == ""


@pytest.mark.parametrize(
    "announcement",
    [
        "On Mon, Nov 23, 2026 at 10:00 AM, Bob <b@x.org> wrote:",
        "Am 23.11.2026 um 10:00 schrieb Bob:",
        "Le 23/11/2026 à 10:00, Bob a écrit :",
        "El lun, 23 nov 2026 a las 10:00, Bob escribió:",
        "On Mon, Nov 23, 2026 at 10:00 AM,\nBob <b@x.org> wrote:",
        "2026年11月23日(月) 10:00 Bob <b@x.org>写道：",
    ],
)
def test_what_somebody_wrote_is_without_quotes_and_their_announcement(announcement: str) -> None:
    assert strip_quotes(f"Yes.\n\n{announcement}\n\n> Shall we?\n> B\n").strip() == "Yes."


def test_an_original_message_below_a_rule_is_a_quote() -> None:
    assert strip_quotes("Yes.\n\n-----Original Message-----\nFrom: Bob\n").strip() == "Yes."


def test_a_snippet_begins_with_what_the_sender_wrote() -> None:
    assert snippet_of("On Mon, 23 Nov 2026 Bob wrote:\n> quoted\n\nYes,  do\nit.\n-- \nAnn") == "Yes, do it."
    assert snippet_of("> only\n> quoted") == "> only > quoted"
    assert len(snippet_of("word " * 500)) <= 200
    assert snippet_of("") == ""


@pytest.mark.parametrize(
    "piece",
    [
        ">",
        "> \n",
        "-- \n",
        "wrote: 1 ",
        "On 1 wrote:\n",
        "---\n",
        "\n",
        "-----BEGIN PGP SIGNED MESSAGE-----\n",
        " \n> ",
    ],
)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    start = time.process_time()
    strip_quotes(text)
    snippet_of(text)
    unflow(text)
    quote(text)
    assert time.process_time() - start < 5


@pytest.mark.skipif(corpora.why_missing("email_reply_trimmer") is not None, reason="no corpora beside")
def test_most_replies_of_the_corpora_are_told_from_their_quotes() -> None:
    folder = next((corpora.CORPORA / "email_reply_trimmer").rglob("trimmed"))
    good, total = 0.0, 0
    for trimmed in sorted(folder.glob("*.txt")):
        wanted = set(trimmed.read_text().split())
        found = set(strip_quotes((folder.parent / "emails" / trimmed.name).read_text()).split())
        total += 1
        good += 2 * len(wanted & found) / max(1, len(wanted) + len(found))
    assert total >= 25
    assert good / total >= 0.75, f"F1 {good / total:.2f}"
