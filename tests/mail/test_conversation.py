"""Conversations against RFC 5256, imaptest's scripts, notmuch's rules and a real Dovecot."""

from __future__ import annotations

import email.utils
import imaplib
import random
import re
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.mail.conversation import Entry, Node, base_subject, forest, partition, tree
from agent.mail.header import read_header
from tests.harness.corpora import CORPORA, why_missing
from tests.harness.dovecot import Dovecot

START = 1_500_000_000
needs_corpora = pytest.mark.skipif(why_missing() is not None, reason=str(why_missing()))


def entry(name: str, *references: str, date: int = 0, subject: str = "", answers: str = "") -> Entry:
    ids = tuple(f"{one}@x" for one in references)
    return Entry(f"{name}@x", ids, (f"{answers}@x",) if answers else (), START + date, subject)


def entry_of(raw: bytes) -> Entry:
    head = read_header(raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    date = head.date if head.date is not None else START
    return Entry(head.message_id, head.references, head.in_reply_to, date, head.subject)


def written(nodes: Sequence[Node]) -> str:
    """Return trees as an IMAP server writes them: `(1 2)(3(4)(5))`, counted from 1."""

    def inner(node: Node | None) -> str:
        words = []
        while node is not None:
            if node.entry is not None:
                words.append(str(node.entry + 1))
            only = len(node.children) == 1 and node.entry is not None
            if node.children and not only:
                words.append("".join(f"({inner(child)})" for child in node.children))
            node = node.children[0] if only else None
        return " ".join(words)

    return re.sub(r" ?([()]) ?", r"\1", "".join(f"({inner(node)})" for node in nodes))


def sets_of(groups: Sequence[int]) -> set[frozenset[int]]:
    found: dict[int, set[int]] = {}
    for number, group in enumerate(groups):
        found.setdefault(group, set()).add(number)
    return {frozenset(members) for members in found.values()}


def trees_in(text: str) -> list[str]:
    """Split what an IMAP server wrote into its trees."""
    found, depth = [""], 0
    for sign in text:
        found[-1] += sign
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            found.append("")
    return found[:-1]


def sets_in(text: str) -> set[frozenset[int]]:
    """Return the sets of numbers, from 0, of what an IMAP server wrote."""
    return {frozenset(int(number) - 1 for number in re.findall(r"\d+", one)) for one in trees_in(text)}


# -- subjects ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "base", "answers"),
    [
        ("", "", False),
        ("hello", "hello", False),
        ("Hello  \t World ", "hello world", False),
        ("Re: hello", "hello", True),
        ("RE: re: Fw: FWD: hello", "hello", True),
        ("Re[2]: hello", "hello", True),
        ("re [list] : hello", "hello", True),
        ("[list] hello", "hello", False),
        ("[a] [b] Re: [c] hello", "hello", True),
        ("[list]", "[list]", False),
        ("[a] [b]", "[b]", False),
        ("Re: [list]", "[list]", True),
        ("hello (fwd)", "hello", True),
        ("hello (FWD) (fwd) ", "hello", True),
        ("[Fwd: hello]", "hello", True),
        ("[Fwd: [Fwd: Re: hello (fwd)]]", "hello", True),
        ("Re:", "", True),
        ("(fwd)", "", True),
        ("reply: hello", "reply: hello", False),
        ("Regards", "regards", False),
        ("AW: hello", "aw: hello", False),
        ("[open hello", "[open hello", False),
        ("GRÜSSE", "grüsse", False),
    ],
)
def test_the_base_subject_is_what_replies_and_forwards_leave(subject: str, base: str, answers: bool) -> None:
    found, flag = base_subject(subject)
    assert (unicodedata.normalize("NFC", found), flag) == (base, answers)


@given(st.text("re:fwd[]( )Fw", max_size=60))
def test_a_base_subject_has_nothing_more_to_take_off(subject: str) -> None:
    base, _ = base_subject(subject)
    assert base_subject(base) == (base, False)
    assert base_subject(f"Re: {base}")[0] == base


@pytest.mark.parametrize("piece", ["[a]", "re:", "[fwd:", "(fwd) ", "[", "re[", " "])
def test_hostile_subjects_take_no_time(piece: str) -> None:
    start = time.perf_counter()
    base_subject(piece * 100_000)
    assert time.perf_counter() - start < 0.5


# -- trees -------------------------------------------------------------------------------------


def test_an_answer_stands_below_what_it_answers() -> None:
    rows = [entry("a"), entry("b", "a", date=1), entry("c", "a", "b", date=2), entry("d", "a", date=3)]
    assert written(forest(rows)) == "(1(2 3)(4))"


def test_in_reply_to_counts_only_without_references() -> None:
    rows = [entry("a"), entry("b", date=1), entry("c", "a", answers="b", date=2), entry("d", answers="b")]
    assert written(forest(rows)) == "(1 3)(2 4)"


def test_what_has_no_at_sign_is_no_id() -> None:
    yes = Entry("1@x", ("yes",), ("yes",), START, "one")
    assert written(forest([yes, yes._replace(message_id="2@x", subject="two")])) == "(1)(2)"
    assert len(set(partition([yes, yes._replace(message_id="2@x", subject="two")]))) == 2


def test_a_missing_message_holds_its_answers_together() -> None:
    assert written(forest([entry("b", "a"), entry("c", "a", date=1)])) == "((1)(2))"
    assert written(forest([entry("b", "a", date=1), entry("c", "z", "a", "b")])) == "(1 2)"


def test_trees_with_the_same_base_subject_are_one() -> None:
    rows = [
        entry("a", subject="hi"),
        entry("b", subject="Re: hi", date=1),
        entry("c", subject="[l] hi", date=2),
    ]
    assert written(forest(rows)) == "((1 2)(3))"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_loops_end(count: int) -> None:
    ring = [entry(str(n), str((n + 1) % count), date=n) for n in range(count)]
    assert sorted(node.entry for root in forest(ring) for node, _ in root.walk()) == [*range(count)]
    assert len(set(partition(ring))) == 1


IDS = st.integers(0, 6).map(lambda n: f"{n}@x")
ENTRIES = st.lists(
    st.builds(
        Entry,
        IDS | st.just(""),
        st.lists(IDS, max_size=3).map(tuple),
        st.lists(IDS, max_size=1).map(tuple),
        st.integers(START, START + 3),
        st.sampled_from(["", "a", "b", "Re: a", "Re: b", "c"]),
    ),
    max_size=8,
)


@given(ENTRIES)
def test_every_message_stands_in_one_tree_once(rows: list[Entry]) -> None:
    found = [node.entry for root in forest(rows) for node, _ in root.walk() if node.entry is not None]
    assert sorted(found) == [*range(len(rows))]
    if rows:
        whole = [node.entry for node, _ in tree(rows).walk() if node.entry is not None]
        assert sorted(whole) == [*range(len(rows))]


@given(ENTRIES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_change_conversations(rows: list[Entry], rng: random.Random) -> None:
    order = [*range(len(rows))]
    rng.shuffle(order)
    groups = partition([rows[n] for n in order])
    back = dict(zip(order, groups, strict=True))
    assert sets_of([back[n] for n in range(len(rows))]) == sets_of(partition(rows))


def chain(count: int) -> list[Entry]:
    return [entry(str(n), *([str(n - 1)] if n else []), date=n) for n in range(count)]


def combed(count: int) -> list[Entry]:
    """Long chains that are joined in their middle."""
    rows = chain(count)
    return rows[1::2] + rows[::2]


@pytest.mark.parametrize("make", [chain, lambda n: chain(n)[::-1], combed])
def test_a_chain_of_a_hundred_thousand_takes_a_second_or_so(make: object) -> None:
    rows = make(100_000)  # type: ignore[operator]
    start = time.perf_counter()
    assert len(forest(rows)) == 1
    assert len(set(partition(rows))) == 1
    assert time.perf_counter() - start < 5


# -- imaptest ----------------------------------------------------------------------------------


def mailbox(path: Path) -> list[bytes]:
    """Return the messages of an mbox file as they go over the wire."""
    parts = re.split(rb"(?m)^From .*\n", path.read_bytes())[1:]
    return [re.sub(rb"\r?\n", b"\r\n", part) for part in parts]


@needs_corpora
@pytest.mark.parametrize("script", ["thread", "thread2", "thread6", "thread7"])
def test_trees_are_those_of_the_scripts_of_imaptest(script: str) -> None:
    path = next(CORPORA.joinpath("dovecot-imaptest").rglob(script))
    expected = re.search(r"(?i)\* thread (.*)", path.read_text())
    assert expected
    box = path.with_suffix(".mbox")
    # They have no Date; the line before each tells when it came.
    marks = re.findall(r"(?m)^From \S+ +(.*)$", box.read_text())
    dates = [int(time.mktime(time.strptime(mark, "%a %b %d %H:%M:%S %Y"))) for mark in marks]
    rows = [entry_of(raw)._replace(date=date) for raw, date in zip(mailbox(box), dates, strict=True)]
    assert written(forest(rows)) == expected[1].replace(" (", "(")


@needs_corpora
def test_what_is_left_after_an_expunge_is_threaded_as_imaptest_says() -> None:
    folder = next(CORPORA.joinpath("dovecot-imaptest").rglob("thread7")).parent
    rows = [entry_of(raw) for raw in mailbox(folder / "thread7.mbox")]
    del rows[1]
    assert written(forest(rows)) == "(1 3 2)"


# -- notmuch -----------------------------------------------------------------------------------


def notmuch(folder: str) -> dict[str, Entry]:
    paths = [path for path in CORPORA.joinpath("notmuch/corpora", folder).rglob("*") if path.is_file()]
    found = [entry_of(re.sub(rb"\r?\n", b"\r\n", path.read_bytes())) for path in paths]
    return {row.message_id: row for row in found}


@needs_corpora
def test_a_ghost_root_joins_its_children() -> None:
    rows = [row for name, row in notmuch("threading/ghost-root").items() if name.startswith("00")]
    assert len(rows) == 5
    assert len(set(partition(rows))) == 1
    tickets = [row for name, row in notmuch("threading/ghost-root").items() if name.startswith(("rt", "87"))]
    assert len(tickets) == 3
    assert len(set(partition(tickets))) == 1


@needs_corpora
def test_references_beat_a_dodgy_in_reply_to() -> None:
    found = notmuch("threading/parent-priority")
    rows = [found["B01-child@example.org"], found["B01-grand-child@example.org"]]
    assert written(forest(rows)) == "(1 2)"


@needs_corpora
def test_the_loop_of_notmuch_ends() -> None:
    rows = [*notmuch("broken/loop").values()]
    assert len(rows) > 1
    assert len(forest(rows)) == len(set(partition(rows))) == 1


# -- Dovecot -----------------------------------------------------------------------------------


@contextmanager
def logged_in(dovecot: Dovecot, user: str) -> Iterator[imaplib.IMAP4]:
    with imaplib.IMAP4("127.0.0.1", dovecot.ports["imap"]) as connection:
        connection.login(user, dovecot.password)
        yield connection


def threaded(connection: imaplib.IMAP4, folder: str, messages: Sequence[bytes]) -> str:
    """Put messages into a new folder and return how the server threads them."""
    connection.create(folder)
    for raw in messages:
        assert connection.append(folder, "", imaplib.Time2Internaldate(START), raw)[0] == "OK"
    connection.select(folder)
    # imaplib has no name for it: THREAD with UIDs, which are the numbers here.
    _, data = connection.uid("THREAD", "REFERENCES", "UTF-8", "ALL")
    return re.sub(r" ?([()]) ?", r"\1", data[0].decode())


def message_of(row: Entry) -> bytes:
    lines = [f"Date: {email.utils.formatdate(row.date)}", f"Message-ID: <{row.message_id}>"]
    if row.references:
        lines.append("References: " + " ".join(f"<{name}>" for name in row.references))
    if row.in_reply_to:
        lines.append("In-Reply-To: " + " ".join(f"<{name}>" for name in row.in_reply_to))
    return "\r\n".join([*lines, f"Subject: {row.subject}", "", "text", ""]).encode()


def talk(rng: random.Random, count: int) -> list[Entry]:
    """Return messages of people with clients that shorten, drop or spoil References; some are missing."""
    rows: list[Entry] = []
    parents: list[int | None] = []
    for number in range(count + 2):
        parent = None if number == 0 or rng.random() < 0.25 else rng.randrange(number)
        parents.append(parent)
        line: list[int] = []
        while parent is not None:
            line.insert(0, parent)
            parent = parents[parent]
        if len(line) > 2 and rng.random() < 0.4:
            line = line[-2:] if rng.random() < 0.5 else [line[0], line[-1]]
        subject = f"Re: {rows[line[-1]].subject.removeprefix('Re: ')}" if line else rng.choice("abc")
        way = rng.random()
        names = [f"{one}" for one in line]
        answers = names[-1] if names and way < 0.5 else "junk" if way < 0.7 else ""
        row = entry(str(number), *([] if way < 0.2 else names), subject=subject, answers=answers)
        rows.append(row._replace(date=START + 60 * number))
    rng.shuffle(rows)
    return rows[:count]


def test_talk_is_threaded_as_dovecot_does(dovecot: Dovecot, user: str) -> None:
    rng = random.Random(20260)
    with logged_in(dovecot, user) as connection:
        for number in range(40):
            rows = talk(rng, rng.randrange(2, 10))
            theirs = threaded(connection, f"talk{number}", [message_of(row) for row in rows])
            assert written(forest(rows)) == theirs, rows
            assert sets_of(partition(rows)) == sets_in(theirs), rows


SAMPLED = "aerc mu notmuch sup discourse freescout redmine rt otobo enmime zammad spamassassin-t".split()
FIELD = re.compile(rb"(?im)^(?:from|subject|message-id|date):")
RAW_SUBJECT = re.compile(rb"(?im)^subject:.*[\x80-\xff]")


def sampled() -> list[bytes]:
    """Return real messages, each Message-ID once, without raw 8-bit subjects."""
    found: dict[str, bytes] = {}
    for path in sorted(path for name in SAMPLED for path in CORPORA.joinpath(name).rglob("*")):
        if not path.is_file() or path.suffix in (".json", ".yml", ".txt", ".mbox", ".ics"):
            continue
        raw = re.sub(rb"\AFrom .*\n", b"", path.read_bytes().lstrip(b"\r\n"))
        raw = re.sub(rb"\r*\n", b"\r\n", raw).replace(b"\0", b"")
        head = raw.partition(b"\r\n\r\n")[0]
        if len(FIELD.findall(head)) > 2 and len(raw) < 300_000 and not RAW_SUBJECT.search(head):
            found.setdefault(entry_of(raw).message_id or str(path), raw)
    return [*found.values()]


@needs_corpora
def test_real_messages_are_threaded_as_dovecot_does(dovecot: Dovecot, user: str) -> None:
    messages = sampled()
    assert len(messages) > 300
    rows = [entry_of(raw) for raw in messages]
    with logged_in(dovecot, user) as connection:
        theirs = threaded(connection, "sampled", messages)
    assert sets_in(written(forest(rows))) == sets_in(theirs)
    assert sets_of(partition(rows)) == sets_in(theirs)
    # One of 227 trees: its References name the same messages in contradictory orders (difference 2).
    ours, other = set(trees_in(written(forest(rows)))), set(trees_in(theirs))
    assert len(ours - other) == len(other - ours) <= 1


# -- the differences from Dovecot, and why -----------------------------------------------------


def test_difference_1_messages_with_one_id_are_one_conversation() -> None:
    """As in notmuch: they are one message with several files. Dovecot parts all but the first."""
    rows = [entry("a", subject="one"), entry("a", subject="two")]
    assert written(forest(rows)) == "(1)(2)"
    assert len(set(partition(rows))) == 1


def test_difference_2_contradictory_references_join() -> None:
    """Which links hold depends on the order of arrival in Dovecot; here a mention is enough."""
    rows = [entry("a", date=2), entry("b", "a", "c"), entry("c", "b", date=1)]
    assert written(forest(rows)) == "(3 2)(1)"
    assert len(set(partition(rows))) == 1


def test_difference_3_a_family_begins_with_its_earliest_message() -> None:
    """Only seen where an answer with another subject has an earlier date than what it answers."""
    rows = [
        entry("b", "ghost", date=9, subject="one"),
        entry("c", "ghost", "b", date=5, subject="two"),
        entry("d", date=7, subject="two"),
    ]
    assert written(forest(rows)) == "(3)(1 2)"
    assert len(set(partition(rows))) == 1


def test_difference_4_an_address_in_in_reply_to_is_no_id_where_an_id_follows() -> None:
    """MH puts the author before the id. Dovecot takes the first of them, and joins all answers to Bob."""
    rows = [entry("a1"), entry("b1", date=1), entry("c", date=2), entry("d", date=3)]
    for number, name in ((2, "a1@x"), (3, "b1@x")):
        rows[number] = rows[number]._replace(in_reply_to=("bob@x", name))
    assert written(forest(rows)) == "(1 3)(2 4)"
    assert sets_of(partition(rows)) == {frozenset({0, 2}), frozenset({1, 3})}
    assert rows[2]._replace(in_reply_to=("a1@x", "b1@x")).ancestors == ["a1@x"]
    assert rows[2]._replace(in_reply_to=("bob@x",)).ancestors == ["bob@x"]


@settings(max_examples=50)
@given(ENTRIES)
def test_conversations_are_never_finer_than_references_make_them(rows: list[Entry]) -> None:
    groups = partition(rows)
    for root in forest(rows, [""] * len(rows)):
        assert len({groups[node.entry] for node, _ in root.walk() if node.entry is not None}) == 1
