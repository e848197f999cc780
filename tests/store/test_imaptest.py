"""The search and sort scripts of Dovecot's imaptest, asked of our store in the words of our query language.

What we answer otherwise stands in DIFFERENT, each with its reason. HEADER, NEW, OLD and RECENT have no
words in our language: SEARCH knows them, a reader does not ask for them. We sort by one key; what is
equal in it stands oldest first, and newest first when the order is turned round.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.core.bodies import of_bytes
from agent.mail import flags, query
from agent.mail.header import read_header
from agent.mail.query import Node
from agent.mail.query_parse import parse
from agent.mail.sent import parse_date
from agent.store import folders, messages, search
from agent.store.db import Store
from agent.store.tags import join_tags, split_tags

SCRIPTS = {"search-body": 12, "search-date": 28, "search-flags": 32, "search-header": 6, "search-size": 6}
WHOLE_WORDS = "we find whole words and their beginnings, no other parts of words"
INDEXED = "TEXT looks at all of the header; we at subject, people, body and names of attachments"
DIFFERENT: dict[tuple[str, str], tuple[set[int], str]] = {
    ("search-body", "text qwertyuiop"): ({2, 4}, INDEXED),
    ("search-body", "text sdfghjk"): (set(), WHOLE_WORDS),
    ("search-body", "text xcvbn"): (set(), WHOLE_WORDS),
    ("search-body", "text wertyuio"): (set(), WHOLE_WORDS),
    ("search-body", "body sdfghjk"): (set(), WHOLE_WORDS),
    ("search-body", "body xcvbn"): (set(), WHOLE_WORDS),
    ("search-body", "body wertyuio"): (set(), WHOLE_WORDS),
    ("search-header", 'subject "eautiful worl"'): (set(), WHOLE_WORDS),
}
NAMES = "sorted as it is shown: by the name, else by the address; SORT takes the part before the @"
SORT_SCRIPTS = {"sort-addresses": 3, "sort-date": 1, "sort-size": 1, "sort-subject": 1}
SORTED_OTHERWISE: dict[tuple[str, str], tuple[list[int], str]] = {
    ("sort-addresses", "from"): ([3, 2, 1], NAMES),
    ("sort-addresses", "to"): ([1, 3, 2], NAMES),
    ("sort-addresses", "cc"): ([2, 1, 3], NAMES),
}
NO_WORDS_FOR = ("header", "new", "old", "recent", 'subject ""')
DATES = {"sentbefore": "before", "senton": "on", "sentsince": "since"}
FLAGS = ("answered", "deleted", "draft", "flagged", "seen")
PLAIN = b"From user@domain  Fri Feb 22 00:06:23 2008\nSubject: one\n\nbody\n\n"
HOME = ZoneInfo("Europe/Helsinki")  # where the messages of search-date were written


class Box:
    """The messages of a script; their row ids are their numbers there."""

    def __init__(self, store: Store, raws: list[bytes], received: list[int]) -> None:
        self.store = store
        self.sizes = dict(enumerate(map(len, raws), 1))
        store.write(lambda tx: self._fill(tx, raws, received)).result()

    def _fill(self, tx: object, raws: list[bytes], received: list[int]) -> None:
        folders.list_folders(tx, folders.ensure_account(tx, "a"), [("INBOX", "/", "inbox", True)])  # type: ignore[arg-type]
        for uid, (raw, date) in enumerate(zip(raws, received, strict=True), 1):
            date = read_header(raw).date or date  # a Date far from the arrival would be doubted
            item = of_bytes(raw, uid=uid, flags=0, tags="", received=date, size=len(raw))
            messages.insert(tx, 1, 1, [item])  # type: ignore[arg-type]

    def store_flags(self, numbers: set[int], words: str, *, add: bool) -> None:
        """Carry out a STORE."""
        bits, tags = flags.from_wire(words.split())
        for number in numbers:
            row = self.store.read("SELECT flags, tags FROM message WHERE id = ?", (number,))[0]
            had = (row["flags"], split_tags(row["tags"])) if add else (0, frozenset())
            values = (had[0] | bits, join_tags(had[1] | tags), number)
            self.store.write(
                lambda tx, values=values: tx.execute(
                    "UPDATE message SET flags = ?, tags = ? WHERE id = ?", values
                )  # type: ignore[misc]
            ).result()

    def numbers(self, text: str) -> set[int]:
        """Return the messages of a sequence set."""
        first, _, last = text.partition(":")
        return {n for n in self.sizes if int(first) <= n <= (n if last == "*" else int(last or first))}


@contextmanager
def boxed(script: Path, folder: Path) -> Iterator[Box]:
    """Open a store with the messages that belong to a script."""
    mbox = script.with_name(script.name + ".mbox")
    text = mbox.read_bytes() if mbox.exists() else PLAIN * 5
    _, *pieces = re.split(rb"(?m)^From \S+ +(.*)\n", text)
    received, parts = [parse_date(line.decode()) or 0 for line in pieces[::2]], pieces[1::2]
    store = Store(folder / "mail.db")
    store.start()
    try:
        raws = [part.removesuffix(b"\n").replace(b"\n", b"\r\n") for part in parts]
        yield Box(store, raws, received)
    finally:
        store.stop()


def translated(words: list[str], box: Box) -> Node:
    """Return the query for the keys of a SEARCH."""
    items = []
    while words:
        items.append(_key(words, box))
    return query.all_of(items)


def _key(words: list[str], box: Box) -> Node:
    word = words.pop(0).lower()
    if word == "not":
        return ~_key(words, box)
    if word == "or":
        return _key(words, box) | _key(words, box)
    if re.fullmatch(r"[\d:*]+", word):
        return query.Ids(tuple(box.numbers(word)))
    if word in FLAGS or word.removeprefix("un") in FLAGS:
        return _flag(word)
    value = words.pop(0)
    if word in ("text", "body", "subject"):
        return query.Words("any" if word == "text" else word, value)
    if word in DATES:
        day, month, year = value.split("-")
        number = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"].index(
            month
        ) + 1
        return parse(f"{DATES[word]}:{year}-{number:02}-{int(day):02}", 0, HOME)
    if word in ("larger", "smaller"):
        return query.Size(**{word: int(value)})
    return query.Tag(value) if word == "keyword" else ~query.Tag(value)


def _flag(word: str) -> Node:
    known = {"seen": query.Is("read"), "unseen": query.Is("unread")}
    return known.get(word) or (query.Is(word) if word in FLAGS else ~query.Is(word.removeprefix("un")))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_search_script_gets_the_answers_it_expects(name: str, corpora: Path, tmp_path: Path) -> None:
    script = corpora / "dovecot-imaptest" / name
    lines = [line for line in script.read_text().splitlines() if line and not line.startswith("#")]
    asked = 0
    with boxed(script, tmp_path) as box:
        for line, answer in zip(lines, [*lines[1:], ""], strict=True):
            if match := re.fullmatch(r"ok store (\S+) (\+?)flags \((.*)\)", line):
                box.store_flags(box.numbers(match[1]), match[3], add=bool(match[2]))
            keys = line.removeprefix("ok search ")
            if keys == line or keys.removeprefix("not ").startswith(NO_WORDS_FOR):
                continue
            words = (
                keys.split() if "$$" in keys else shlex.split(keys.replace("$size", str(box.sizes.get(3))))
            )
            expected = {int(number) for number in re.findall(r"\d+", answer)}
            expected, _ = DIFFERENT.get((name, keys), (expected, ""))
            assert set(search.ids(box.store.reader, translated(words, box))) == expected, line
            asked += 1
    assert asked == SCRIPTS[name]


@pytest.mark.parametrize("name", SORT_SCRIPTS)
def test_a_sort_script_gets_the_order_it_expects(name: str, corpora: Path, tmp_path: Path) -> None:
    script = corpora / "dovecot-imaptest" / name
    asked = 0
    with boxed(script, tmp_path) as box:
        for key, answer in re.findall(
            r"ok sort \((\w+)\) us-ascii all\n\* sort ([\d ]+)", script.read_text()
        ):
            expected = [int(number) for number in answer.split()]
            expected, _ = SORTED_OTHERWISE.get((name, key), (expected, ""))
            assert search.ids(box.store.reader, query.All(), key) == expected, key
            assert search.ids(box.store.reader, query.All(), f"-{key}") == expected[::-1], key
            asked += 1
    assert asked == SORT_SCRIPTS[name]
