"""How a query is answered: what is walked newest first, and which part of it is looked up instead.

Most queries mean much or the newest: a walk over the newest messages soon has a page of hits. Where
it has not, the part that means the fewest messages is looked up in its index and the others are
asked about those few; where no part is rare, the walk goes on in growing steps. The full-text index
is read for the stretch of numbers in question only (numbers.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.mail import query
from agent.store.db import Transaction
from agent.store.search_sources import Source, rarest
from agent.store.search_sql import Sql, folders_named, in_text, merge_words, of_ids, render

Rare = tuple[query.Node | None, Source]

_STEPS = (1_000, 7_000, 40_000)  # messages of the walk; after them the rest at once
_FEW = 3_000  # hits of a part that is worth to be looked up first
_PROBED, _PROBED_COMMON = 20, 120  # messages the text index is asked about one by one: 0.1 ms each
_COMMON = 20_000  # hits of words; to read through so many takes longer than that
_BLOCKS = (0, 100, 500, 1 << 31)  # the index is read for so many of the newest first


@dataclass(frozen=True, slots=True)
class Plan:
    """A query taken apart: where and when, the words as one expression, and the rest."""

    db: Transaction
    folder: int | None
    since: int | None
    before: int | None
    text: str | None
    rest: tuple[query.Node, ...]

    @classmethod
    def of(cls, db: Transaction, node: query.Node) -> Plan:
        """Take a query apart."""
        folder: int | None = None
        since: int | None = None
        before: int | None = None
        items = []
        for item in node.items if isinstance(node, query.And) else (node,):
            named = [item.id] if isinstance(item, query.Folder) else None
            if isinstance(item, query.In):
                named = folders_named(db, item.folder)
            if named is not None and len(named) == 1 and folder is None:
                folder = named[0]
            elif isinstance(item, query.Date) and item.field == "date":
                since = max((each for each in (since, item.since) if each is not None), default=None)
                before = min((each for each in (before, item.before) if each is not None), default=None)
            elif not isinstance(item, query.All):
                items.append(item)
        text, rest = merge_words(items)
        return cls(db, folder, since, before, text, tuple(rest))

    @property
    def simple(self) -> bool:
        """Whether where and when say it all: an index holds the answer in order."""
        return self.text is None and not self.rest

    @property
    def _unread(self) -> bool:
        """Whether only what is unread is meant, and no words: an index has it by folder and date."""
        unread = query.Is("unread") in self.rest or query.Not(query.Is("read")) in self.rest
        return unread and not self._has_words

    @property
    def _has_words(self) -> bool:
        return self.text is not None or any(
            isinstance(node, query.Words) for item in self.rest for node in query.walk(item)
        )

    # -- the walk ----------------------------------------------------------------------------

    def newest(self, wanted: int) -> list[int]:
        """Return the newest messages, at most as many as wanted, newest first."""
        found: list[int] = []
        before = self.before
        for number, step in enumerate(_STEPS):
            since = self._step_back(before, step)
            found += self._walk(since, before, wanted - len(found))
            if len(found) >= wanted or since is None:
                return found
            before = since
            if number == 0 and not self.simple and (rare := self.rare()):
                return self.looked_up(rare, wanted)
        return found + self._walk(None, before, wanted - len(found))

    def page(self, limit: int, offset: int) -> list[int]:
        """Return some messages far down, by one walk; -1 is no limit."""
        return self._walk(None, self.before, limit, offset)

    def _step_back(self, before: int | None, step: int) -> int | None:
        """Return the date down to which a step of the walk goes, None when it is the last one."""
        scope, parameters = self._scope(self.since, before)
        sql = f"SELECT m.date FROM {scope} ORDER BY m.date DESC LIMIT 1 OFFSET ?"
        row = self.db.execute(sql, (*parameters, step)).fetchone()
        return None if row is None else int(row[0])

    def _walk(self, since: int | None, before: int | None, limit: int, offset: int = 0) -> list[int]:
        scope, parameters = self._scope(since if since is not None else self.since, before)
        sql = Sql(self.db, row_by_row=True)
        self._bound(sql, scope, parameters)
        condition = self._condition(sql)
        join = " CROSS JOIN content c ON c.id = m.content" if sql.content else ""
        where = scope.replace(" WHERE ", f"{join} WHERE ", 1)
        rows = self.db.execute(
            f"SELECT m.id FROM {where} AND {condition} ORDER BY m.date DESC, m.id DESC LIMIT ? OFFSET ?",
            (*parameters, *sql.parameters, limit, offset),
        )
        return [row[0] for row in rows]

    def _bound(self, sql: Sql, scope: str, parameters: Sequence[Any]) -> None:
        """Have the text index read only for the stretch of numbers that a scope with dates takes."""
        if self._has_words and " m.date " in scope:
            bounds = f"SELECT min(m.content), max(m.content) FROM {scope}"
            sql.contents = tuple(self.db.execute(bounds, parameters).fetchone())

    def _scope(self, since: int | None, before: int | None) -> tuple[str, list[Any]]:
        parameters: list[Any] = []
        if self.folder is None:
            sql = "message m INDEXED BY message_all WHERE m.folder IS NOT NULL"
        else:
            index, state = ("unread", " AND m.flags & 1 = 0") if self._unread else ("list", "")
            sql = f"message m INDEXED BY message_{index} WHERE m.folder IS NOT NULL{state} AND m.folder = ?"
            parameters.append(self.folder)
        if since is not None:
            sql += " AND m.date >= ?"
            parameters.append(since)
        if before is not None:
            sql += " AND m.date < ?"
            parameters.append(before)
        return sql, parameters

    def _condition(self, sql: Sql) -> str:
        parts = [f"({render(item, sql)})" for item in self.rest]
        if self.text:
            parts.append(in_text(self.text, sql))
        return " AND ".join(parts) or "1"

    # -- the look-up -------------------------------------------------------------------------

    def rare(self) -> Rare | None:
        """Return the part that means the fewest messages and its source, None when none means few."""
        return rarest(self.db, self.text, self.rest, _FEW)

    def looked_up(self, rare: Rare, wanted: int | None = None) -> list[int]:
        """Return the messages among those of a part, newest first; all when not told how many."""
        part, source = rare
        text = self.text if part is not None else None
        sql = Sql(self.db, row_by_row=True)
        where = self._among(part, source, sql)
        limit = wanted if wanted is not None and text is None else -1
        rows = self.db.execute(
            f"SELECT m.id, m.content FROM {where} ORDER BY m.date DESC, m.id DESC LIMIT ?",
            (*source.parameters, *sql.parameters, limit),
        ).fetchall()
        if text is None:
            return [row[0] for row in rows]
        return self._with_text(text, rows, wanted)

    def count(self) -> int:
        """Count the messages."""
        if not self.simple and (rare := self.rare()):
            return len(self.looked_up(rare))
        sql = Sql(self.db)
        scope, parameters = self._scope(self.since, self.before)
        self._bound(sql, scope, parameters)
        scope = scope if self.simple else scope.replace(" INDEXED BY message_all", "")
        condition = self._condition(sql)
        row = self.db.execute(
            f"SELECT count(*) FROM {scope} AND {condition}", (*parameters, *sql.parameters)
        ).fetchone()
        return int(row[0])

    def _among(self, part: query.Node | None, source: Source, sql: Sql) -> str:
        """Return FROM and WHERE for the messages of a source that meet all but the words."""
        wide = source.of == "content"
        key, index = ("m.content", "INDEXED BY message_content") if wide else ("m.id", "NOT INDEXED")
        rest = [item for item in self.rest if item is not part or not source.exact]
        parts = [f"({render(item, sql)})" for item in rest]
        if self.folder is not None:
            parts.append(sql.add("m.folder = ?", self.folder))
        if self.since is not None:
            parts.append(sql.add("m.date >= ?", self.since))
        if self.before is not None:
            parts.append(sql.add("m.date < ?", self.before))
        join = " CROSS JOIN content c ON c.id = m.content" if sql.content else ""
        condition = " AND ".join([f"{key} IN ({source.sql})", "m.folder IS NOT NULL", *parts])
        return f"message m {index}{join} WHERE {condition}"

    def _with_text(self, text: str, rows: Sequence[Any], wanted: int | None) -> list[int]:
        """Return those of (message, content), newest first, whose words match."""
        if "*" not in text and (len(rows) <= _PROBED or (len(rows) <= _PROBED_COMMON and self._common(text))):
            return self._probed(text, rows, wanted)
        found: list[int] = []
        for low, high in itertools.pairwise(_BLOCKS):
            found += self._scanned(text, rows[low:high] if wanted is not None else rows)
            if wanted is None or len(found) >= wanted:
                break
        return found[:wanted]

    def _common(self, text: str) -> bool:
        hits = "SELECT count(*) FROM (SELECT 1 FROM text WHERE text MATCH ? LIMIT ?)"
        return bool(self.db.execute(hits, (text, _COMMON)).fetchone()[0] >= _COMMON)

    def _probed(self, text: str, rows: Sequence[Any], wanted: int | None) -> list[int]:
        found: list[int] = []
        probe = "SELECT 1 FROM text WHERE text MATCH ? AND rowid = ?"
        for message, content in rows:
            if len(found) == wanted:
                break
            if self.db.execute(probe, (text, content)).fetchone():
                found.append(message)
        return found

    def _scanned(self, text: str, rows: Sequence[Any]) -> list[int]:
        contents = [row[1] for row in rows]
        if not contents:
            return []
        ask = Sql(self.db)
        wanted = of_ids(query.Ids(tuple(contents)), ask)
        hits = self.db.execute(
            f"SELECT rowid FROM text WHERE text MATCH ? AND rowid BETWEEN ? AND ? AND +rowid IN ({wanted})",
            (text, min(contents), max(contents), *ask.parameters),
        )
        known = {row[0] for row in hits}
        return [message for message, content in rows if content in known]
