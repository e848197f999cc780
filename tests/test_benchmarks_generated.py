"""The generated mailbox of the benchmarks: always the same, and like mail."""

from __future__ import annotations

import email
import sys

from scripts.benchmarks.generated import append, letters
from scripts.benchmarks.measure import Screen
from tests.harness.dovecot import Dovecot


def test_the_same_number_gives_the_same_letters_and_another_seed_others() -> None:
    assert list(letters(50)) == list(letters(50))
    assert list(letters(50)) != list(letters(50, seed=1))


def test_letters_are_dated_in_order_and_answer_what_came_before() -> None:
    found = list(letters(300))
    assert [each.date for each in found] == sorted({each.date for each in found})
    seen: set[str] = set()
    answers = 0
    for each in found:
        message = email.message_from_bytes(each.raw)
        if parent := message["In-Reply-To"]:
            answers += 1
            assert parent in seen
            assert message["References"].split()[-1] == parent
            assert message["Subject"].startswith("Re: ")
        seen.add(message["Message-ID"])
    assert len(seen) == 300
    assert 100 < answers < 250


def test_a_server_takes_them_with_flags_and_dates(dovecot: Dovecot, user: str) -> None:
    append(dovecot, user, 60)
    told = dovecot.doveadm("-f", "tab", "fetch", "-u", user, "uid flags", "mailbox", "INBOX", "all")
    rows = [line.split("\t") for line in told.splitlines()[1:]]
    assert len(rows) == 60
    assert sum("\\Seen" in flags for _, flags in rows) == 57


def test_the_answer_of_a_screen_to_a_key_is_timed() -> None:
    code = "import os, tty; tty.setraw(0); os.write(1, b'ready'); os.read(0, 1); os.write(1, b'yes'); os.read(0, 1)"
    with Screen([sys.executable, "-c", code]) as screen:
        screen.until("ready")
        screen.until_quiet(0.05)
        assert screen.answer_to(b"x") < 5
        assert screen.leave(b"q")
