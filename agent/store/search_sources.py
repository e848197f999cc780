"""What a part of a query means, looked up in an index: worth it where that is little.

A source selects at least what its part means; `exact` tells that it selects nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.mail import query
from agent.store.db import Transaction
from agent.store.search_sql import (
    FLAG,
    Sql,
    expression,
    folders_named,
    merge_words,
    of_id,
    of_ids,
    of_thread,
    people,
    render,
    tag_sets,
    traits,
)

_MARKED = "INDEXED BY message_marked WHERE folder IS NOT NULL AND flags & 62 <> 0"
_UNREAD = "INDEXED BY message_unread WHERE folder IS NOT NULL AND flags & 1 = 0"
_TAGGED = "INDEXED BY message_tagged WHERE folder IS NOT NULL AND tags <> ''"
_LISTED = "INDEXED BY message_list WHERE folder IS NOT NULL"
_SIZED = "INDEXED BY message_size WHERE folder IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Source:
    """A SELECT of the contents or messages that a part of a query means."""

    of: str  # content or id: what it selects
    sql: str
    parameters: tuple[Any, ...] = ()
    exact: bool = True
    count: int = 0

    def messages(self) -> Source:
        """Return the same as a SELECT of messages."""
        if self.of == "id":
            return self
        return replace(self, of="id", sql=f"SELECT id FROM message WHERE content IN ({self.sql})")

    def counted(self, db: Transaction, limit: int) -> Source | None:
        """Return it with the number of what it selects, None when that is not below the limit."""
        text = f"SELECT count(*) FROM (SELECT 1 FROM ({self.sql}) LIMIT ?)"
        count = int(db.execute(text, (*self.parameters, limit)).fetchone()[0])
        return replace(self, count=count) if count < limit else None


_NOTHING = Source("id", "SELECT 0 WHERE 0")


def few(db: Transaction, node: query.Node, limit: int) -> Source | None:
    """Return a source for a part of a query if it selects less than the limit and an index knows it."""
    if isinstance(node, query.Or):
        return _union(db, node.items, limit)
    if isinstance(node, query.And):
        found = rarest(db, *merge_words(node.items), limit)
        return replace(found[1], exact=False) if found is not None else None
    source = _of_text(text) if (text := expression(node)) else _of_node(db, node)
    return source.counted(db, limit) if source is not None else None


def rarest(
    db: Transaction, text: str | None, rest: Sequence[query.Node], limit: int
) -> tuple[query.Node | None, Source] | None:
    """Return which of several parts selects the fewest, and its source; no part stands for the text."""
    best: tuple[query.Node | None, Source] | None = None
    if text is not None and (source := _of_text(text).counted(db, limit)):
        best, limit = (None, source), source.count
    for item in rest:
        if limit and (source := few(db, item, limit)):
            best, limit = (item, source), source.count
    return best


def _union(db: Transaction, items: Sequence[query.Node], limit: int) -> Source | None:
    found: list[Source] = []
    for item in items:
        source = few(db, item, limit)
        if source is None:
            return None
        limit -= source.count
        found.append(source.messages())
    sql = " UNION ".join(source.sql for source in found)
    parameters = tuple(each for source in found for each in source.parameters)
    return Source(
        "id", sql, parameters, all(source.exact for source in found), sum(source.count for source in found)
    )


def _of_text(text: str) -> Source:
    return Source("content", "SELECT rowid FROM text WHERE text MATCH ?", (text,))


def _of_node(db: Transaction, node: query.Node) -> Source | None:
    sql = Sql(db)
    match node:
        case query.Person(_, text) if text:
            return Source("content", people(node, sql), tuple(sql.parameters))
        case query.Is(name) | query.Has(name):
            return _of_state(db, name)
        case query.Not(query.Is("read")):
            return _of_state(db, "unread")
        case query.Tag(name):
            return _of_tag(db, name)
        case query.In(name):
            return _of_folders(folders_named(db, name))
        case query.Folder(number):
            return _of_folders([number])
        case query.Size():
            condition = render(node, sql).replace("m.", "")
            return Source("id", f"SELECT id FROM message {_SIZED} AND {condition}", tuple(sql.parameters))
        case _:
            return _of_name(node, sql)


def _of_name(node: query.Node, sql: Sql) -> Source | None:
    """Return the source of what names messages, None for what has to be looked for row by row."""
    match node:
        case query.ThreadOf():
            return Source("content", of_thread(node, sql), tuple(sql.parameters))
        case query.Id():
            return Source("id", of_id(node, sql), tuple(sql.parameters))
        case query.Ids():
            return Source("id", of_ids(node, sql), tuple(sql.parameters))
        case _:
            return None


def _of_state(db: Transaction, name: str) -> Source | None:
    if name == "muted":
        return _of_tag(db, "$Muted")
    if name == "unread":
        return Source("id", f"SELECT id FROM message {_UNREAD}")
    if name == "read":
        return None
    if name in FLAG:
        return Source("id", f"SELECT id FROM message {_MARKED} AND flags & {FLAG[name]} <> 0")
    return Source("content", traits(name))


def _of_tag(db: Transaction, name: str) -> Source:
    sets = tag_sets(db, name)
    if not sets:
        return _NOTHING
    marks = ",".join("?" * len(sets))
    return Source("id", f"SELECT id FROM message {_TAGGED} AND tags IN ({marks})", tuple(sets))


def _of_folders(found: Sequence[int]) -> Source:
    if not found:
        return _NOTHING
    return Source("id", f"SELECT id FROM message {_LISTED} AND folder IN ({','.join(map(str, found))})")
