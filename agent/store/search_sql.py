"""Queries rendered to SQL: every node becomes one condition on `message m` (and `content c`).

A condition is rendered for one of two ways to answer. Row by row: messages are walked newest first,
each is looked at. As a set: what a part of the query means is looked up in an index of its own,
which pays where it means little. Words that stand side by side become one full-text expression.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from agent.errors import CommandError
from agent.mail import flags, query
from agent.mail.header import ATTACHMENT, AUTOMATIC, BOUNCE, BULK, CALENDAR, LIST, SIGNATURE
from agent.mail.words import tokens
from agent.store import threads
from agent.store.db import Transaction

FLAG = {
    "read": flags.SEEN,
    "flagged": flags.FLAGGED,
    "answered": flags.ANSWERED,
    "forwarded": flags.FORWARDED,
    "draft": flags.DRAFT,
    "deleted": flags.DELETED,
}
_TRAIT = {
    "automatic": AUTOMATIC,
    "list": LIST,
    "bounce": BOUNCE,
    "attachment": ATTACHMENT,
    "calendar": CALENDAR,
    "signature": SIGNATURE,
}
_TRAITS = AUTOMATIC | LIST | BULK | BOUNCE | ATTACHMENT | CALENDAR | SIGNATURE
_PERSON = {"from": "from_", "to": "to_", "cc": "cc", "bcc": "bcc", "list": "list_id"}
_COLUMN = {"any": "", "subject": "subject : ", "body": "body : ", "filename": "files : "}
_NEVER = "m.id < 0"  # a bare 0 leaves SQLite without a plan where an index is prescribed
# Another set of texts of tags begins behind each one that is known: a walk over distinct values.
_TAGGED = """
WITH RECURSIVE known(tags) AS (
  SELECT min(tags) FROM message WHERE folder IS NOT NULL AND tags <> ''
  UNION ALL
  SELECT (SELECT min(tags) FROM message WHERE folder IS NOT NULL AND tags <> '' AND tags > known.tags)
  FROM known WHERE known.tags IS NOT NULL
) SELECT tags FROM known WHERE tags IS NOT NULL
"""


@dataclass(slots=True)
class Sql:
    """A condition being built, and what it needs."""

    db: Transaction
    row_by_row: bool = False
    contents: tuple[int, int] | None = None  # no message that is asked about has another content
    parameters: list[Any] = field(default_factory=list)
    content: bool = False  # the row of `content c` is wanted

    def add(self, text: str, *parameters: Any) -> str:
        """Note parameters of a piece of SQL in the order in which they stand there."""
        self.parameters.extend(parameters)
        return text


def render(node: query.Node, sql: Sql) -> str:
    """Return the condition of a query; it is never NULL, so that NOT may stand before it."""
    known: Callable[[Any, Sql], str] | None = _RENDER.get(type(node))
    if known is None:
        raise CommandError(f"this query cannot be answered by the store: {node}")
    return known(node, sql)


def expression(node: query.Node) -> str | None:
    """Return the full-text expression of a query that is nothing but words, None for any other."""
    if isinstance(node, query.Words):
        words = " ".join(tokens(node.text))
        star = " *" if node.kind == "prefix" else ""
        return f'{_COLUMN[node.field]}"{words}"{star}' if words else None
    if isinstance(node, query.Or):
        found = [expression(item) for item in node.items]
        return " OR ".join(f"({each})" for each in found) if found and all(found) else None
    if isinstance(node, query.And):
        merged, rest = merge_words(node.items)
        return None if rest else merged
    return None


def merge_words(items: Iterable[query.Node]) -> tuple[str | None, list[query.Node]]:
    """Return one full-text expression for the words among what must all hold, and the rest."""
    wanted: list[str] = []
    unwanted: list[tuple[query.Node, str]] = []
    rest: list[query.Node] = []
    for item in items:
        if found := expression(item):
            wanted.append(found)
        elif isinstance(item, query.Not) and (found := expression(item.item)):
            unwanted.append((item, found))
        else:
            rest.append(item)
    if not wanted:
        return None, [*rest, *(item for item, _ in unwanted)]
    text = " AND ".join(f"({each})" for each in wanted)
    if unwanted:
        text = f"({text}) NOT ({' OR '.join(f'({each})' for _, each in unwanted)})"
    return text, rest


def in_text(text: str, sql: Sql) -> str:
    """Return the condition that a full-text expression holds."""
    if sql.contents is None:
        return sql.add("m.content IN (SELECT rowid FROM text WHERE text MATCH ?)", text)
    return sql.add(
        "m.content IN (SELECT rowid FROM text WHERE text MATCH ? AND rowid BETWEEN ? AND ?)",
        text,
        *sql.contents,
    )


def folders_named(db: Transaction, name: str) -> list[int]:
    """Return the folders with a name or role, in any case."""
    wanted = name.casefold()
    rows = db.execute("SELECT id, name, role FROM folder")
    return [row["id"] for row in rows if wanted in (row["name"].casefold(), row["role"].casefold())]


def tag_sets(db: Transaction, name: str) -> list[str]:
    """Return the stored texts of tags, of shown messages, in which a tag stands in any case."""
    wanted = name.casefold()
    return [row[0] for row in db.execute(_TAGGED) if wanted in row[0].casefold().split(" ")]


def people(node: query.Person, sql: Sql) -> str:
    """Return the SELECT of the contents in which a person stands."""
    return sql.add(
        f"SELECT id FROM content WHERE {_PERSON[node.field]} IN (SELECT id FROM party WHERE instr(folded, ?) > 0)",
        node.text.casefold(),
    )


def traits(name: str) -> str:
    """Return the SELECT of the contents with a trait."""
    bit = _TRAIT[name]
    values = ",".join(str(value) for value in range(_TRAITS + 1) if value & bit)
    return f"SELECT id FROM content INDEXED BY content_traits WHERE traits <> 0 AND traits IN ({values})"


def _words(node: query.Words, sql: Sql) -> str:
    text = expression(node)
    return in_text(text, sql) if text else _NEVER  # a text without a letter or digit is nowhere


def _and(node: query.And, sql: Sql) -> str:
    text, rest = merge_words(node.items)
    parts = [f"({render(item, sql)})" for item in rest]
    if text:
        parts.append(in_text(text, sql))
    return " AND ".join(parts) or "1"


def _or(node: query.Or, sql: Sql) -> str:
    texts = [text for item in node.items if (text := expression(item))]
    parts = [f"({render(item, sql)})" for item in node.items if not expression(item)]
    if texts:
        parts.append(in_text(" OR ".join(f"({text})" for text in texts), sql))
    return " OR ".join(parts) or _NEVER


def _not(node: query.Not, sql: Sql) -> str:
    return f"NOT ({render(node.item, sql)})"


def _person(node: query.Person, sql: Sql) -> str:
    if not node.text:
        return "1"  # nothing is a part of everything
    if not sql.row_by_row:
        return f"m.content IN ({people(node, sql)})"
    sql.content = True
    found = f"SELECT instr(folded, ?) FROM party WHERE id = c.{_PERSON[node.field]}"
    return sql.add(f"ifnull(({found}), 0) > 0", node.text.casefold())


def _state(node: query.Is | query.Has, sql: Sql) -> str:
    if node.name == "muted":
        return _tag(query.Tag("$Muted"), sql)
    if node.name == "unread":
        return f"m.flags & {flags.SEEN} = 0"
    if node.name in FLAG:
        return f"m.flags & {FLAG[node.name]} <> 0"
    if not sql.row_by_row:
        return f"m.content IN ({traits(node.name)})"
    sql.content = True
    return f"c.traits & {_TRAIT[node.name]} <> 0"


def _tag(node: query.Tag, sql: Sql) -> str:
    return sql.add("m.tags IN (SELECT value FROM json_each(?))", json.dumps(tag_sets(sql.db, node.name)))


def _in(node: query.In, sql: Sql) -> str:
    return _among("m.folder", folders_named(sql.db, node.folder))


def _in_account(node: query.InAccount, sql: Sql) -> str:
    wanted = node.name.casefold()
    rows = sql.db.execute("SELECT id, name FROM account")
    found = [row["id"] for row in rows if row["name"].casefold() == wanted]
    return _among("m.account", found)


def _among(column: str, numbers: Iterable[int]) -> str:
    listed = ",".join(map(str, numbers))
    return f"{column} IN ({listed})" if listed else _NEVER


def _date(node: query.Date, sql: Sql) -> str:
    column = "m.received" if node.field == "received" else "m.date"
    parts = []
    if node.since is not None:
        parts.append(sql.add(f"{column} >= ?", node.since))
    if node.before is not None:
        parts.append(sql.add(f"{column} < ?", node.before))
    return " AND ".join(parts) or "1"


def _size(node: query.Size, sql: Sql) -> str:
    parts = []
    if node.larger is not None:
        parts.append(sql.add("m.size > ?", node.larger))
    if node.smaller is not None:
        parts.append(sql.add("m.size < ?", node.smaller))
    return " AND ".join(parts) or "1"


def of_id(node: query.Id, sql: Sql) -> str:
    """Return the SELECT of the messages with an id or a Message-ID."""
    value = node.value.strip("<>")
    number = int(value) if value.isascii() and value.isdigit() and len(value) < 19 else -1
    if str(number) != value:
        number = -1
    found = "SELECT id FROM message WHERE content IN (SELECT id FROM content WHERE message_id = ?)"
    return sql.add(f"SELECT ? UNION {found}", number, value)


def of_thread(node: query.ThreadOf, sql: Sql) -> str:
    """Return the SELECT of the contents in a thread."""
    found, parameter = threads.named(node.value)
    return sql.add(
        f"SELECT id FROM content WHERE family IN (SELECT id FROM family WHERE thread IN ({found}))", parameter
    )


def of_ids(node: query.Ids, sql: Sql) -> str:
    """Return the SELECT of chosen messages; as one parameter, for there may be many."""
    return sql.add("SELECT value FROM json_each(?)", json.dumps(node.ids))


_RENDER: dict[type, Callable[[Any, Sql], str]] = {
    query.All: lambda node, sql: "1",
    query.And: _and,
    query.Or: _or,
    query.Not: _not,
    query.Words: _words,
    query.Person: _person,
    query.Is: _state,
    query.Has: _state,
    query.Tag: _tag,
    query.In: _in,
    query.InAccount: _in_account,
    query.Folder: lambda node, sql: sql.add("m.folder = ?", node.id),
    query.Date: _date,
    query.Size: _size,
    query.Id: lambda node, sql: f"m.id IN ({of_id(node, sql)})",
    query.ThreadOf: lambda node, sql: f"m.content IN ({of_thread(node, sql)})",
    query.Ids: lambda node, sql: f"m.id IN ({of_ids(node, sql)})",
}
