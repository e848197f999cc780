"""A folder of any size out of nothing: short letters of varied people, in threads, 1-2 kB each.

The same number always gives the same bytes. They go to the server by APPEND, many in one command.
"""

from __future__ import annotations

import email.utils
import random
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from scripts.benchmarks.corpus import Progress
from tests.harness.dovecot import Dovecot

FIRST_DATE = 1_500_000_000
SPAN_S = 250_000_000
PEOPLE = 20_000
OPEN_THREADS = 3_000  # what is written to is one of so many: people answer what is new
SHARE_OF_ANSWERS = 0.6
AT_ONCE = 500  # messages in one APPEND

SYLLABLES = (
    "ba ber con da del dor en fa fil gar hol in ka len lo mar mi nor "
    "on pa pel ra ren sal sen ta ti ur va vo wen"
)


@dataclass(frozen=True, slots=True)
class Letter:
    """One message as it is appended."""

    raw: bytes
    date: int
    flags: bytes


def letters(count: int, seed: int = 0) -> Iterator[Letter]:
    """Yield the messages, oldest first."""
    chance = random.Random(seed)
    words = _words(chance)
    people = [_person(chance, words, number) for number in range(min(count, PEOPLE))]
    paragraphs = [_paragraph(chance, words) for _ in range(min(count, 4_000))]
    threads: list[tuple[str, bytes, bytes]] = []  # subject, last Message-ID, references
    step_s = max(1, SPAN_S // count)
    for number in range(count):
        date = FIRST_DATE + number * step_s
        own = b"<%x.%d@host%d.example.org>" % (date, number, number % 97)
        if threads and chance.random() < SHARE_OF_ANSWERS:
            place = chance.randrange(len(threads))
            subject, last, references = threads[place]
            head = b"In-Reply-To: %s\r\nReferences: %s\r\n" % (last, references)
            title, references = f"Re: {subject}", (references + b" " + own)[-700:]
            references = references[references.index(b"<") :]
        else:
            place = len(threads) if len(threads) < OPEN_THREADS else chance.randrange(OPEN_THREADS)
            subject = title = f"{' '.join(chance.choices(words, k=4))} {number}"
            head, references = b"", own
        threads[place : place + 1] = [(subject, own, references)]
        sender = people[int(len(people) * chance.random() ** 3)]
        fields = (
            f"From: {sender}\r\nTo: {people[chance.randrange(min(count, 50))]}\r\nSubject: {title}\r\n"
            f"Date: {email.utils.formatdate(date)}\r\n"
        )
        body = b"\r\n".join(chance.choices(paragraphs, k=chance.randint(2, 4)))
        raw = fields.encode() + b"Message-ID: " + own + b"\r\n" + head + _MIME + body
        yield Letter(raw, date, _flags(number))


def append(
    server: Dovecot, user: str, count: int, seed: int = 0, progress: Progress = lambda text: None
) -> None:
    """Fill the INBOX of a user."""
    with socket.create_connection(("127.0.0.1", server.ports["imap"])) as connection:
        replies = connection.makefile("rb")
        replies.readline()
        _command(connection, replies, b"LOGIN %s %s" % (user.encode(), server.password.encode()))
        source, done = letters(count, seed), 0
        while some := list(islice(source, AT_ONCE)):
            _command(connection, replies, b"APPEND INBOX" + b"".join(map(_literal, some)))
            done += len(some)
            if done % 100_000 == 0:
                progress(f"{done:,} of {count:,} messages appended")


_MIME = b'MIME-Version: 1.0\r\nContent-Type: text/plain; charset="utf-8"\r\n\r\n'


def _command(connection: socket.socket, replies: object, command: bytes) -> None:
    connection.sendall(b"a " + command + b"\r\n")
    while not (line := replies.readline()).startswith(b"a "):  # type: ignore[attr-defined]
        if not line:
            raise SystemExit("bench: the server hung up")
    if not line.startswith(b"a OK"):
        raise SystemExit(f"bench: {line.decode(errors='replace').strip()}")


def _literal(letter: Letter) -> bytes:
    when = time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(letter.date)).encode()
    return b' (%s) "%s" {%d+}\r\n%s' % (letter.flags, when, len(letter.raw), letter.raw)


def _words(chance: random.Random) -> list[str]:
    parts = SYLLABLES.split()
    return sorted({"".join(chance.choices(parts, k=chance.randint(1, 4))) for _ in range(12_000)})


def _person(chance: random.Random, words: list[str], number: int) -> str:
    first, last = (word.capitalize() for word in chance.choices(words, k=2))
    return f"{first} {last} <{first.lower()}.{last.lower()}{number}@{chance.choice(words)}.example>"


def _paragraph(chance: random.Random, words: list[str]) -> bytes:
    text = " ".join(words[int(len(words) * chance.random() ** 2)] for _ in range(55)).capitalize()
    return re.sub(r"(.{1,72}) ", r"\1\r\n", text + ". ").encode()


def _flags(number: int) -> bytes:
    """One message in twenty is unread; some of the others are flagged or answered."""
    if number % 20 == 0:
        return b""
    return (
        b"\\Seen"
        + (b" \\Flagged" if number % 199 == 0 else b"")
        + (b" \\Answered" if number % 11 == 0 else b"")
    )
