"""A query as JSON, with the nodes that have no place in the query language too. Pure.

>>> load(["Not", ["Is", "unread"]])
Not(item=Is(name='unread'))
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from agent.errors import CommandError
from agent.mail.query import Node

_NODES: dict[str, type[Node]] = {kind.__name__: kind for kind in Node.__subclasses__()}


def dump(node: Node) -> list[Any]:
    """Return a query as lists, texts and numbers."""
    values = [getattr(node, each.name) for each in fields(node)]  # type: ignore[arg-type]
    return [type(node).__name__, *map(_dumped, values)]


def load(data: list[Any]) -> Node:
    """Return the query of such a list; raises CommandError for one that is none."""
    name, *values = data
    if name not in _NODES:
        raise CommandError(f"cannot read the query {data!r}: it has no part {name!r}")
    return _NODES[name](*map(_loaded, values))


def _dumped(value: Any) -> Any:
    if isinstance(value, Node):
        return dump(value)
    return [_dumped(item) for item in value] if isinstance(value, tuple) else value


def _loaded(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    if value and isinstance(value[0], str) and value[0] in _NODES:
        return load(value)
    return tuple(_loaded(item) for item in value)
