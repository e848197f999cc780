"""One query tree, three renderings: SQL, the Python predicate and SEARCH on a server mean the same."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.bodies import of_bytes
from agent.core.matchable import Stored
from agent.mail import flags, query
from agent.mail.parse import parse
from agent.mail.query import Node
from agent.mail.query_match import matches
from agent.net.imap import ImapBackend
from agent.net.search import criteria
from agent.store import folders, messages, search, search_plan
from agent.store.db import Store
from agent.store.tags import join_tags
from tests.harness.dovecot import Dovecot
from tests.net.connections import connected

FOLDERS = (
    ("work", "INBOX", "inbox"),
    ("work", "Lists/py", ""),
    ("home", "inbox", "inbox"),
    ("home", "Bin", "trash"),
)
WORDS = (
    "lunch",
    "Café",
    "café",
    "Straße",
    "meeting",
    "meet",
    "me",
    "東京都",
    "京都",
    "東 京",
    "Привет",
    "a",
    "x-ray",
    "re",
    "été",
    "10",
)
PEOPLE = (
    "Bob <bob@example.org>",
    "Renée <renee@example.net>",
    "Иван <ivan@example.org>",
    "ann@example.com",
    "東京 <t@example.jp>",
)
FILES = ("lunch menu.pdf", "東京.png", "notes.txt")
TAGS = ("todo", "$Muted", "Later")
LISTS = ("", "", "py.lists.example.org", "dev.example.net")
FIRST_DAY = 1_700_000_000


@dataclass(frozen=True)
class Made:
    """One message as it lies in a folder."""

    folder: int  # in FOLDERS
    raw: bytes
    flags: int
    tags: frozenset[str]
    received: int


def _raw(
    number: int, sent: int | None, sender: str, to: Sequence[str], cc: Sequence[str], list_id: str,
    subject: str, body: str, files: Sequence[str],
) -> bytes:  # fmt: skip
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    if cc:
        mail["Cc"] = ", ".join(cc)
    mail["Subject"] = subject
    mail["Message-ID"] = f"<{number}@example.org>"
    if number % 3 == 2:
        mail["In-Reply-To"] = f"<{number - 1}@example.org>"
    if sent is not None:
        mail["Date"] = format_datetime(datetime.fromtimestamp(sent, UTC))
    if list_id:
        mail["List-Id"] = f"A list <{list_id}>"
    mail.set_content(body + "\n")
    for name in files:
        mail.add_attachment(b"content", maintype="application", subtype="octet-stream", filename=name)
    return mail.as_bytes()


def made(chance: random.Random, number: int) -> Made:
    """Return a message chosen by chance."""
    received = FIRST_DAY + chance.randrange(40) * 43_200 + chance.randrange(3)
    sent = chance.choice([None, received, received - 90_000, received + 200_000])
    to, cc = chance.sample(PEOPLE, k=chance.randrange(1, 3)), chance.sample(PEOPLE, k=chance.randrange(2))
    files = chance.sample(FILES, k=chance.choice([0, 0, 1, 2]))
    subject, body = (" ".join(chance.choices(WORDS, k=chance.randrange(most))) for most in (4, 6))
    raw = _raw(number, sent, chance.choice(PEOPLE), to, cc, chance.choice(LISTS), subject, body, files)
    tags = frozenset(tag for tag in TAGS if chance.random() < 0.2)
    bits = sum(1 << n for n in range(len(flags.FLAGS)) if chance.random() < 0.3)
    return Made(chance.randrange(len(FOLDERS)), raw, bits, tags, received)


PARTS = st.sampled_from(["bob", "example.org", "é", "Renée", "иван", "東", "<ann", "lists", "zzz", "n@e"])
TEXTS = st.lists(st.sampled_from((*WORDS, "zzz", "menu", "bob")), min_size=1, max_size=2).map(" ".join)
SECONDS = st.none() | st.builds(lambda n: FIRST_DAY + n * 21_600, st.integers(-8, 90))
SIZES = st.none() | st.integers(200, 900)
# What a server is asked for: everything else it cannot know, and is left to the predicate.
ASKED: st.SearchStrategy[Node] = st.one_of(
    st.builds(query.Words, st.sampled_from(query.WORD_FIELDS), TEXTS, st.sampled_from(query.WORD_KINDS)),
    st.builds(query.Person, st.sampled_from(query.PERSON_FIELDS), PARTS),
    st.builds(query.Is, st.sampled_from(query.IS_NAMES)),
    st.builds(query.Has, st.sampled_from(query.HAS_NAMES)),
    st.builds(query.Tag, st.sampled_from(["TODO", "later", "$muted", "lat"])),
    st.builds(query.Date, st.sampled_from(query.DATE_FIELDS), SECONDS, SECONDS),
    st.builds(query.Size, SIZES, SIZES),
)
PLACED: st.SearchStrategy[Node] = st.one_of(
    st.just(query.All()),
    st.builds(query.In, st.sampled_from(["INBOX", "inbox", "trash", "lists/PY", "none"])),
    st.builds(query.InAccount, st.sampled_from(["WORK", "home", "none"])),
    st.builds(query.Id, st.sampled_from(["1", "01", "3@example.org", "none"])),
    st.builds(query.ThreadOf, st.sampled_from(["2", "1@example.org", "5@example.org", "none"])),
    st.builds(query.Folder, st.integers(1, 4)),
    st.builds(query.Ids, st.lists(st.integers(1, 12), max_size=6).map(tuple)),
)


def _trees(leaves: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.recursive(
        leaves,
        lambda nodes: st.one_of(
            st.lists(nodes, min_size=1, max_size=4).map(query.all_of),
            st.lists(nodes, min_size=1, max_size=3).map(query.any_of),
            nodes.map(query.none_of),
        ),
        max_leaves=8,
    )


QUERIES = _trees(ASKED | PLACED)


class Mailbox:
    """A real store with some messages, each also as the predicate sees it."""

    def __init__(self, store: Store, mails: Sequence[Made]) -> None:
        self.store = store
        store.write(lambda tx: self._fill(tx, mails)).result()
        self.db: sqlite3.Connection = store.reader
        self.subjects = [
            self._stored(row[0]) for row in self.db.execute("SELECT id FROM message ORDER BY id")
        ]

    def _fill(self, tx: sqlite3.Connection, mails: Sequence[Made]) -> None:
        for account in dict.fromkeys(account for account, _, _ in FOLDERS):
            number = folders.ensure_account(tx, account)
            listed = [(name, "/", role, True) for of, name, role in FOLDERS if of == account]
            folders.list_folders(tx, number, listed)
        self.folders = [
            next(
                row for row in folders.of_account(tx, folders.ensure_account(tx, account)) if row.name == name
            )
            for account, name, _ in FOLDERS
        ]
        for number, mail in enumerate(mails):
            row = self.folders[mail.folder]
            item = of_bytes(
                mail.raw, uid=number + 1, flags=mail.flags, tags=join_tags(mail.tags),
                received=mail.received, size=len(mail.raw),
            )  # fmt: skip
            messages.insert(tx, row.account, row.id, [item])

    def _stored(self, number: int) -> Stored:
        row = messages.get(self.db, number)
        assert row is not None
        folder = next(folder for folder in self.folders if folder.id == row["folder"])
        account = next(name for name, known in folders.accounts(self.db).items() if known == folder.account)
        return Stored(self.db, row, parse(messages.raw(self.db, row["content"]) or b""), account, folder)

    def meant(self, node: Node) -> list[int]:
        """Return what the predicate says, newest first."""
        found = [subject for subject in self.subjects if matches(node, subject)]
        return [subject.row for subject in sorted(found, key=lambda each: (-each.date, -each.row))]


# Where the store turns from walking to looking up is a matter of speed: the answers are the same.
WAYS = {
    "as it is": {},
    "walks": {"_STEPS": (1, 2, 3), "_FEW": 0},
    "looks up and probes": {"_STEPS": (1,), "_PROBED": 1000},
    "looks up and reads": {"_STEPS": (1,), "_PROBED": 0, "_BLOCKS": (0, 1, 3, 1 << 31)},
}


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(0, 12),
    asked=st.lists(QUERIES, min_size=6, max_size=6),
)
def test_the_store_answers_as_the_predicate_does(way: str, seed: int, count: int, asked: list[Node]) -> None:
    with filled(_mails(seed, count)) as box, pytest.MonkeyPatch.context() as patch:
        for name, value in WAYS[way].items():
            patch.setattr(search_plan, name, value)
        for node in asked:
            meant = box.meant(node)
            assert search.ids(box.db, node) == meant
            assert search.ids(box.db, node, limit=3) == meant[:3]
            assert search.ids(box.db, node, limit=2, offset=2) == meant[2:4]
            assert search.ids(box.db, node, "date") == meant[::-1]
            assert search.count(box.db, node) == len(meant)
            for subject in box.subjects[:3]:
                place = meant.index(subject.row) if subject.row in meant else None
                assert search.position(box.db, node, subject.row) == place


def _mails(seed: int, count: int) -> list[Made]:
    return [made(random.Random(f"{seed} {number}"), number) for number in range(count)]


@contextmanager
def filled(mails: Sequence[Made]) -> Iterator[Mailbox]:
    """Open a store of its own with some messages in it."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder, "mail.db"))
        store.start()
        try:
            yield Mailbox(store, mails)
        finally:
            store.stop()


# -- the server ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Both:
    """The same messages in a store and on a server; the UIDs are the row ids."""

    box: Mailbox
    server: ImapBackend


@pytest.fixture(scope="module")
def both(dovecot: Dovecot) -> Iterator[Both]:
    mails = [replace(mail, folder=0) for mail in _mails(1, 40)]
    with filled(mails) as box, connected(dovecot, "threeways") as server:
        for mail in mails:
            server.append("INBOX", mail.raw, flags.to_wire(mail.flags, mail.tags), mail.received)
        server.select("INBOX")
        yield Both(box, server)


@settings(max_examples=150, deadline=None)
@given(node=QUERIES)
def test_what_a_server_finds_and_the_predicate_keeps_is_what_the_store_finds(both: Both, node: Node) -> None:
    found = set(both.server.search(criteria(node)))
    kept = {subject.row for subject in both.box.subjects if subject.row in found and matches(node, subject)}
    assert kept == set(search.ids(both.box.db, node))
