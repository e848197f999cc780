"""What answers a search, part by part, and what of it is not here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.mail import query
from agent.mail.query import Node
from agent.store import search

if TYPE_CHECKING:
    from agent.core.context import Context

_ENGINES: dict[type[Node], str] = {
    query.Words: "full-text index",
    query.Person: "index of people",
    query.ThreadOf: "index of threads",
    query.Ids: "chosen before",
}


def explain(context: Context, node: Node) -> str:
    """Return lines: the query, each part with what answers it, and what only servers could answer."""
    parts = node.items if isinstance(node, query.And) else (node,)
    lines = [f"answered here: {node}"]
    width = min(40, max(len(str(part)) for part in parts))
    lines += [f"  {part!s:{width}}  {', '.join(_engines(part))}" for part in parts]
    if not any(isinstance(part, query.Words | query.Has) for part in query.walk(node)):
        return "\n".join(lines)
    known = context.read(search.known, _scope(node))
    if known.bodies < known.messages:
        lines.append(
            f"  {known.messages - known.bodies:,} of {known.messages:,} messages have no body here:"
            " search_server() asks their servers"
        )
    if known.indexed < known.messages:
        lines.append(f"  {known.messages - known.indexed:,} are not in the full-text index yet")
    return "\n".join(lines)


def _engines(node: Node) -> list[str]:
    leaves = [part for part in query.walk(node) if not isinstance(part, query.And | query.Or | query.Not)]
    return list(dict.fromkeys(_ENGINES.get(type(leaf), "index of messages") for leaf in leaves))


def _scope(node: Node) -> Node:
    """Return where and when a search looks: its parts about words and the like left out."""
    parts = node.items if isinstance(node, query.And) else (node,)
    kinds = query.Folder | query.In | query.InAccount | query.Date
    return query.all_of(
        part
        for part in parts
        if isinstance(part, kinds) or (isinstance(part, query.Not) and isinstance(part.item, kinds))
    )
