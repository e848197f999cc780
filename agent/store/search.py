"""Queries answered by the store: newest first, by id.

search_sql.py renders a query, search_plan.py decides how it is looked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.errors import CommandError
from agent.mail import query
from agent.store import schema
from agent.store.db import Transaction
from agent.store.search_plan import Plan
from agent.store.search_sql import Sql, render

ORDERS = {
    "date": "m.date, m.id",
    "received": "m.received, m.id",
    "size": "m.size, m.date, m.id",
    "subject": "base(c.subject), m.date, m.id",  # as IMAP sorts: `Re: hi` stands with `hi`
    "from": "(SELECT folded FROM party WHERE id = c.from_), m.date, m.id",
    "to": "(SELECT folded FROM party WHERE id = c.to_), m.date, m.id",
    "cc": "(SELECT folded FROM party WHERE id = c.cc), m.date, m.id",
}
_PAGE = 500  # as far down as a page is looked for by a walk from the newest on


def ids(
    db: Transaction, node: query.Node, order: str = "-date", limit: int = -1, offset: int = 0
) -> list[int]:
    """Return the ids a query means, in order; `-date` is newest first."""
    if order == "-date":
        plan = Plan.of(db, node)
        if 0 <= limit and offset + limit <= _PAGE and not plan.simple:
            return plan.newest(offset + limit)[offset:]
        if not plan.simple and (rare := plan.rare()):
            found = plan.looked_up(rare)
            return found[offset:] if limit < 0 else found[offset : offset + limit]
        return plan.page(limit, offset)
    sql, parameters = _select("m.id", db, node, order)
    rows = db.execute(f"{sql} LIMIT ? OFFSET ?", [*parameters, limit, offset])
    return [row[0] for row in rows]


def count(db: Transaction, node: query.Node) -> int:
    """Count the messages a query means."""
    return Plan.of(db, node).count()


@dataclass(frozen=True, slots=True)
class Known:
    """Of how many messages how much is here."""

    messages: int
    bodies: int  # whole
    indexed: int


def known(db: Transaction, node: query.Node) -> Known:
    """Count the messages a query means, and how many of them are here as a whole and indexed."""
    columns = f"count(*), coalesce(sum(c.state = {schema.WHOLE}), 0), coalesce(sum(c.indexed), 0)"
    sql, parameters = _select(columns, db, node, None)
    return Known(*db.execute(sql, parameters).fetchone())


_VALUES = {
    "account": "m.account",
    "folder": "m.folder",
    "from": "(SELECT text FROM party WHERE id = c.from_)",
    "to": "(SELECT text FROM party WHERE id = c.to_)",
    "list_id": "(SELECT text FROM party WHERE id = c.list_id)",
    "tag": "m.tags",
    "day": "m.date",
    "month": "m.date",
    "year": "m.date",
    "thread": "(SELECT thread FROM family WHERE id = c.family)",
}


def values(db: Transaction, chosen: Sequence[int], key: str) -> dict[int, Any]:
    """Return what messages have for a key of grouping, by id."""
    rows = db.execute(
        f"SELECT m.id, {_VALUES[key]} FROM json_each(?) j CROSS JOIN message m ON m.id = j.value"
        " CROSS JOIN content c ON c.id = m.content",
        (json.dumps(list(chosen)),),
    )
    return {row[0]: row[1] for row in rows}


def contains(db: Transaction, node: query.Node, message: int) -> bool:
    """Tell whether a query means a message."""
    return bool(ids(db, query.And((query.Ids((message,)), node)), limit=1))


def position(db: Transaction, node: query.Node, message: int) -> int | None:
    """Return how many messages stand before one in the order newest first; None when it is not there."""
    if not contains(db, node, message):
        return None
    plan = Plan.of(db, node)
    if not plan.simple and (rare := plan.rare()):
        return plan.looked_up(rare).index(message)
    sql, parameters = _select("count(*)", db, node, None)
    date = db.execute("SELECT date FROM message WHERE id = ?", (message,)).fetchone()[0]
    # Two counts take half the time of one that compares pairs.
    later = db.execute(f"{sql} AND m.date > ?", [*parameters, date]).fetchone()[0]
    same = db.execute(f"{sql} AND m.date = ? AND m.id > ?", [*parameters, date, message]).fetchone()[0]
    return int(later + same)


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
    families = "t." in columns
    sql = Sql(db)
    condition = render(node, sql)
    key = order.lstrip("-") if order else ""
    if order and key not in ORDERS:
        raise CommandError(f"cannot sort by {key!r}; known are {', '.join(ORDERS)}")
    wants_content = sql.content or families or "c." in columns + ORDERS.get(key, "")
    join = " JOIN content c ON c.id = m.content" if wants_content else ""
    join += " JOIN family t ON t.id = c.family" if families else ""
    text = f"SELECT {columns} FROM message m{join} WHERE m.folder IS NOT NULL AND ({condition})"
    if order:
        way = " DESC" if order.startswith("-") else ""
        text += " ORDER BY " + ", ".join(f"{term}{way}" for term in ORDERS[key].split(", "))
    return text, sql.parameters
