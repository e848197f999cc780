"""Queries rendered to SQL, and answered: newest first, by id.

Every node becomes one condition on `message m` (and `content c` where it needs it). People are
found through the short table of distinct texts, words through the full-text index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agent.errors import CommandError
from agent.mail import flags, query
from agent.mail.header import ATTACHMENT, AUTOMATIC, BOUNCE, CALENDAR, LIST, SIGNATURE
from agent.mail.words import tokens
from agent.store import threads as conversations
from agent.store.db import Transaction

ORDERS = {
    "date": "m.date, m.id",
    "received": "m.received, m.id",
    "size": "m.size, m.date, m.id",
    "subject": "c.subject COLLATE NOCASE, m.date, m.id",
    "from": "(SELECT folded FROM party WHERE id = c.from_), m.date, m.id",
}
_FLAG = {
    "unread": (flags.SEEN, False),
    "read": (flags.SEEN, True),
    "flagged": (flags.FLAGGED, True),
    "answered": (flags.ANSWERED, True),
    "forwarded": (flags.FORWARDED, True),
    "draft": (flags.DRAFT, True),
    "deleted": (flags.DELETED, True),
}
_TRAIT = {
    "automatic": AUTOMATIC,
    "list": LIST,
    "bounce": BOUNCE,
    "attachment": ATTACHMENT,
    "calendar": CALENDAR,
    "signature": SIGNATURE,
}
_PERSON = {"from": "from_", "to": "to_", "cc": "cc", "bcc": "bcc", "list": "list_id"}
_COLUMN = {"any": "", "subject": "subject : ", "body": "body : ", "filename": "files : "}


@dataclass(slots=True)
class _Sql:
    """A condition being built: its parameters, and whether it needs the content row."""

    db: Transaction
    parameters: list[Any] = field(default_factory=list)
    content: bool = False

    def add(self, text: str, *parameters: Any) -> str:
        self.parameters.extend(parameters)
        return text


def ids(
    db: Transaction, node: query.Node, order: str = "-date", limit: int = -1, offset: int = 0
) -> list[int]:
    """Return the ids a query means, in order; `-date` is newest first."""
    sql, parameters = _select("m.id", db, node, order)
    rows = db.execute(f"{sql} LIMIT ? OFFSET ?", [*parameters, limit, offset])
    return [row[0] for row in rows]


def count(db: Transaction, node: query.Node) -> int:
    """Count the messages a query means."""
    sql, parameters = _select("count(*)", db, node, None)
    return int(db.execute(sql, parameters).fetchone()[0])


def contains(db: Transaction, node: query.Node, message: int) -> bool:
    """Tell whether a query means a message."""
    return count(db, query.And((query.Ids((message,)), node))) > 0


def position(db: Transaction, node: query.Node, message: int) -> int | None:
    """Return how many messages stand before one in the order newest first; None when it is not there."""
    if not contains(db, node, message):
        return None
    sql, parameters = _select("count(*)", db, node, None)
    ahead = " AND (m.date, m.id) > (SELECT date, id FROM message WHERE id = ?)"
    return int(db.execute(sql + ahead, [*parameters, message]).fetchone()[0])


def threads(db: Transaction, node: query.Node, limit: int = -1, offset: int = 0) -> list[int]:
    """Return the threads of the messages a query means, the one with the newest of them first."""
    sql, parameters = _select("t.thread", db, node, "-date")
    wanted = None if limit < 0 else offset + limit
    found: dict[int, None] = {}
    for row in db.execute(sql, parameters):  # read as far as is needed: the first page is at hand at once
        found[row[0]] = None
        if wanted is not None and len(found) >= wanted:
            break
    return list(found)[offset:]


def count_threads(db: Transaction, node: query.Node) -> int:
    """Count the threads of the messages a query means."""
    sql, parameters = _select("count(DISTINCT t.thread)", db, node, None)
    return int(db.execute(sql, parameters).fetchone()[0])


def _select(columns: str, db: Transaction, node: query.Node, order: str | None) -> tuple[str, list[Any]]:
    sql = _Sql(db)
    families = "t." in columns
    condition = _render(node, sql)
    key = order.lstrip("-") if order else ""
    if order and key not in ORDERS:
        raise CommandError(f"cannot sort by {key!r}; known are {', '.join(ORDERS)}")
    wants_content = sql.content or families or "c." in ORDERS.get(key, "")
    join = " JOIN content c ON c.id = m.content" if wants_content else ""
    join += " JOIN family t ON t.id = c.family" if families else ""
    text = f"SELECT {columns} FROM message m{join} WHERE m.folder IS NOT NULL AND ({condition})"
    if order:
        way = " DESC" if order.startswith("-") else ""
        text += " ORDER BY " + ", ".join(f"{term}{way}" for term in ORDERS[key].split(", "))
    return text, sql.parameters


def _render(node: query.Node, sql: _Sql) -> str:
    render: Callable[[Any, _Sql], str] | None = _RENDER.get(type(node))
    if render is None:
        raise CommandError(f"this query cannot be answered by the store: {node}")
    return render(node, sql)


def _many(word: str, empty: str) -> Callable[[Any, _Sql], str]:
    def render(node: query.And | query.Or, sql: _Sql) -> str:
        return f" {word} ".join(f"({_render(item, sql)})" for item in node.items) or empty

    return render


def _not(node: query.Not, sql: _Sql) -> str:
    return f"NOT ({_render(node.item, sql)})"


def _words(node: query.Words, sql: _Sql) -> str:
    words = tokens(node.text)
    if not words:
        return "0"  # a text without a letter or digit is nowhere
    phrase = f'"{" ".join(words)}"'
    star = " *" if node.kind == "prefix" else ""
    expression = f"{_COLUMN[node.field]}{phrase}{star}"
    return sql.add("m.content IN (SELECT rowid FROM text WHERE text MATCH ?)", expression)


def _person(node: query.Person, sql: _Sql) -> str:
    sql.content = True
    found = "(SELECT id FROM party WHERE instr(folded, ?) > 0)"
    return sql.add(
        f"c.{_PERSON[node.field]} IS NOT NULL AND c.{_PERSON[node.field]} IN {found}", node.text.casefold()
    )


def _is(node: query.Is, sql: _Sql) -> str:
    if node.name == "muted":
        return _tag(query.Tag("$Muted"), sql)
    if node.name in _FLAG:
        bit, wanted = _FLAG[node.name]
        return f"m.flags & {bit} {'<>' if wanted else '='} 0"
    return _trait(node.name, sql)


def _has(node: query.Has, sql: _Sql) -> str:
    return _trait(node.name, sql)


def _trait(name: str, sql: _Sql) -> str:
    sql.content = True
    return f"c.traits & {_TRAIT[name]} <> 0"


def _tag(node: query.Tag, sql: _Sql) -> str:
    name = node.name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return sql.add("m.tags <> '' AND m.tags LIKE ? ESCAPE '\\'", f"% {name} %")


def _in(node: query.In, sql: _Sql) -> str:
    wanted = node.folder.casefold()
    rows = sql.db.execute("SELECT id, name, role FROM folder")
    found = [row["id"] for row in rows if wanted in (row["name"].casefold(), row["role"])]
    return f"m.folder IN ({','.join(map(str, found))})"


def _in_account(node: query.InAccount, sql: _Sql) -> str:
    wanted = node.name.casefold()
    found = [
        row["id"]
        for row in sql.db.execute("SELECT id, name FROM account")
        if row["name"].casefold() == wanted
    ]
    return f"m.account IN ({','.join(map(str, found))})"


def _date(node: query.Date, sql: _Sql) -> str:
    column = "m.received" if node.field == "received" else "m.date"
    parts = []
    if node.since is not None:
        parts.append(sql.add(f"{column} >= ?", node.since))
    if node.before is not None:
        parts.append(sql.add(f"{column} < ?", node.before))
    return " AND ".join(parts) or "1"


def _size(node: query.Size, sql: _Sql) -> str:
    parts = []
    if node.larger is not None:
        parts.append(sql.add("m.size > ?", node.larger))
    if node.smaller is not None:
        parts.append(sql.add("m.size < ?", node.smaller))
    return " AND ".join(parts) or "1"


def _id(node: query.Id, sql: _Sql) -> str:
    sql.content = True
    value = node.value.strip("<>")
    number = int(value) if value.isascii() and value.isdigit() and len(value) < 19 else -1
    return sql.add("m.id = ? OR c.message_id = ?", number, value)


def _thread_of(node: query.ThreadOf, sql: _Sql) -> str:
    sql.content = True
    threads, parameter = conversations.named(node.value)
    return sql.add(f"c.family IN (SELECT id FROM family WHERE thread IN ({threads}))", parameter)


def _ids(node: query.Ids, sql: _Sql) -> str:
    # Numbers of our own, so they may stand in the text: there can be more than parameters allow.
    return f"m.id IN ({','.join(map(str, node.ids))})"


_RENDER: dict[type, Callable[[Any, _Sql], str]] = {
    query.All: lambda node, sql: "1",
    query.And: _many("AND", "1"),
    query.Or: _many("OR", "0"),
    query.Not: _not,
    query.Words: _words,
    query.Person: _person,
    query.Is: _is,
    query.Has: _has,
    query.Tag: _tag,
    query.In: _in,
    query.InAccount: _in_account,
    query.Folder: lambda node, sql: sql.add("m.folder = ?", node.id),
    query.Date: _date,
    query.Size: _size,
    query.Id: _id,
    query.ThreadOf: _thread_of,
    query.Ids: _ids,
}
