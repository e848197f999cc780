"""Which contents are one conversation, kept at insert, across folders and accounts.

The rules are those of mail.conversation.partition. A family is what mentions of Message-IDs join;
it is never split. When families join, the rows of contents stay as they are: the family they name
gets another root. A thread is the families whose beginnings have the same base subject; its number
is that of the subject, or that of the family where there is none.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from agent.mail.conversation import NO_SUBJECT, Entry, Lead, number_of, numbers_of, subject_numbers
from agent.store import rows

_CHUNK = 20_000
_NAME = re.compile(r"t[0-9a-f]{1,16}")

TABLES = """
CREATE TABLE mention (                   -- Message-IDs by number, also of messages never seen
  key INTEGER PRIMARY KEY,
  family INTEGER NOT NULL
);
CREATE TABLE family (
  id INTEGER PRIMARY KEY,
  root INTEGER NOT NULL,                 -- itself, or the family it has become a part of
  thread INTEGER NOT NULL,
  late INTEGER NOT NULL,                 -- of a root: its beginning has references
  date INTEGER NOT NULL                  -- of a root: the date of its beginning
);
CREATE INDEX family_root ON family (root) WHERE root <> id;
CREATE INDEX family_thread ON family (thread);
ALTER TABLE content ADD COLUMN family INTEGER;
CREATE INDEX content_family ON content (family);
"""

_MENTIONED = "SELECT m.key, m.family FROM json_each(?) j JOIN mention m ON m.key = j.value"
_ROOTS = """
SELECT f.id, r.id, r.thread, r.late, r.date FROM json_each(?) j JOIN family f ON f.id = j.value
  JOIN family r ON r.id = f.root
"""
_CONTENTS = """
SELECT c.id, c.message_id, c.refs, c.in_reply_to, c.subject,
  (SELECT min(date) FROM message m WHERE m.content = c.id) AS date FROM content c
"""
_ALL = f"{_CONTENTS} WHERE c.id > ? ORDER BY c.id LIMIT ?"
_ALONE = f"{_CONTENTS} WHERE c.family IS NULL ORDER BY c.id DESC LIMIT ?"
_SET = "UPDATE content SET family = value ->> 1 FROM json_each(?) WHERE content.id = value ->> 0"
_OF_MESSAGE = (
    "SELECT f.thread FROM message m JOIN content c ON c.id = m.content JOIN family f ON f.id = c.family"
)
_OF_ID = "SELECT f.thread FROM mention n JOIN family f ON f.id = n.family WHERE n.key = ?"


def join(tx: sqlite3.Connection, entries: Sequence[Entry]) -> list[int]:
    """Note what messages mention; return the family of each. Costs a few statements for all together."""
    if not entries:
        return []
    ancestors = [entry.ancestors for entry in entries]
    names = {entry.own for entry in entries}.union(*ancestors)
    names.discard("")
    keys = dict(zip(names, numbers_of(names), strict=True))
    subjects = subject_numbers(entry.subject for entry in entries)
    growth = _Growth(tx, keys.values())
    found = []
    for entry, above in zip(entries, ancestors, strict=True):
        mentioned = [entry.own, *above] if entry.own else above
        lead = (len(above) > 0, entry.date, subjects[entry.subject])
        found.append(growth.add([keys[name] for name in mentioned], lead))
    growth.write(tx)
    return [growth.find(family) for family in found]


class _Growth:
    """The families that a batch of messages touches, in memory until `write`."""

    def __init__(self, tx: sqlite3.Connection, keys: Iterable[int]) -> None:
        self._up: dict[int, int] = {}
        self._leads: dict[int, Lead] = {}
        self._stored: dict[int, Lead] = {}
        self._fresh: list[int] = []
        mentioned = tx.execute(_MENTIONED, (rows.listed(sorted(keys)),)).fetchall()
        self._families: dict[int, int] = {key: family for key, family in mentioned}
        touched = rows.listed(set(self._families.values()))
        for family, root, thread, late, date in tx.execute(_ROOTS, (touched,)).fetchall():
            self._up[family] = self._up[root] = root
            self._leads[root] = self._stored[root] = (bool(late), date, _subject(thread))
        self._next = (tx.execute("SELECT max(id) FROM family").fetchone()[0] or 0) + 1

    def find(self, family: int) -> int:
        """Return the root of a family."""
        up = self._up
        while up[family] != family:
            up[family] = family = up[up[family]]
        return family

    def add(self, keys: Sequence[int], lead: Lead) -> int:
        """Join the families of what a message mentions; return the one they are now."""
        families, fresh, root = self._families, [], 0
        for key in keys:
            family = families.get(key)
            if family is None:
                fresh.append(key)
            else:
                other = self.find(family)
                root = self._merge(root, other) if root and root != other else other
        if not root:
            root = self._next
            self._next += 1
            self._up[root], self._leads[root] = root, lead
        elif lead < self._leads[root]:
            self._leads[root] = lead
        for key in fresh:
            if key not in families:
                families[key] = root
                self._fresh.append(key)
        return root

    def _merge(self, one: int, other: int) -> int:
        """Put two families together; the older stays, so that names last."""
        root, gone = (one, other) if one < other else (other, one)
        self._up[gone] = root
        self._leads[root] = min(self._leads[root], self._leads[gone])
        return root

    def write(self, tx: sqlite3.Connection) -> None:
        """Store what has changed."""
        roots = [family for family, up in self._up.items() if family == up]
        rows.insert(
            tx,
            "family",
            ("id", "root", "thread", "late", "date"),
            [(root, root, _thread(root, self._leads[root]), *self._leads[root][:2]) for root in roots
             if root not in self._stored],
        )  # fmt: skip
        found = [(key, self.find(self._families[key])) for key in sorted(self._fresh)]
        rows.insert(tx, "mention", ("key", "family"), found)
        self._write_changed(tx, [root for root in roots if root in self._stored])

    def _write_changed(self, tx: sqlite3.Connection, roots: Sequence[int]) -> None:
        changed = [root for root in roots if self._leads[root] != self._stored[root]]
        tx.executemany(
            "UPDATE family SET late = ?, date = ? WHERE id = ?",
            [(*self._leads[root][:2], root) for root in changed],
        )
        moved = [root for root in changed if self._leads[root][2] != self._stored[root][2]]
        moves = [(root, _thread(root, self._leads[root]), root) for root in moved]
        for family in self._stored:
            if (root := self.find(family)) != family:
                moves.append((root, _thread(root, self._leads[root]), family))
        tx.executemany("UPDATE family SET root = ?1, thread = ?2 WHERE id = ?3", moves)
        tx.executemany("UPDATE family SET root = ?1, thread = ?2 WHERE root = ?3 AND root <> id", moves)


def _thread(root: int, lead: Lead) -> int:
    return root if lead[2] == NO_SUBJECT else lead[2]


def _subject(thread: int) -> int:
    """Return the number of the subject of a thread: rows are counted from 1, subjects from 2**62."""
    return thread if thread >> 62 else NO_SUBJECT


def rebuild(tx: sqlite3.Connection) -> None:
    """Find all families anew; also fills the tables when they are made."""
    tx.execute("DELETE FROM mention")
    tx.execute("DELETE FROM family")
    last = -(1 << 63)
    while some := tx.execute(_ALL, (last, _CHUNK)).fetchall():
        last = some[-1][0]
        _join_stored(tx, some)


def join_some(tx: sqlite3.Connection, limit: int) -> int:
    """Join some contents that were only listed so far, the newest first; return how many."""
    found = tx.execute(_ALONE, (limit,)).fetchall()
    _join_stored(tx, found)
    return len(found)


def _join_stored(tx: sqlite3.Connection, contents: Sequence[Sequence[Any]]) -> None:
    families = join(tx, [entry_of(*row[1:]) for row in contents])
    pairs = [(row[0], family) for family, row in zip(families, contents, strict=True)]
    tx.execute(_SET, (rows.listed(pairs),))


def entry_of(message_id: str, refs: str, in_reply_to: str, subject: str, date: int | None) -> Entry:
    """Return what threading looks at from how the store keeps it."""
    return Entry(message_id, tuple(refs.split()), tuple(in_reply_to.split()), date or 0, subject)


# -- looking -----------------------------------------------------------------------------------


def name_of(thread: int) -> str:
    """Return the name of a thread for people and programs."""
    return f"t{thread:x}"


def named(value: str) -> tuple[str, int]:
    """Return SQL for the threads that m.id, a Message-ID or the name of a thread means, and its parameter."""
    if value.isascii() and value.isdigit() and len(value) < 19:
        return f"{_OF_MESSAGE} WHERE m.id = ?", int(value)
    if _NAME.fullmatch(value) and (number := int(value[1:], 16)) < 1 << 63:
        return "SELECT ?", number
    return _OF_ID, number_of(value.strip("<>"))
