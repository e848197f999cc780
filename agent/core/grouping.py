"""Messages sorted into groups by what they have in common; each group in the order of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from agent.errors import CommandError, did_you_mean
from agent.mail.address import parse_addresses
from agent.store import folders, search, threads
from agent.store.tags import split_tags

if TYPE_CHECKING:
    from agent.core.context import Context

KEYS = ("account", "folder", "from", "domain", "to", "list_id", "tag", "day", "month", "year", "thread")


def group(context: Context, ids: Sequence[int], key: str) -> dict[str, tuple[int, ...]]:
    """Return the ids by their value, groups in the order in which they begin; raises CommandError.

    A message with several tags or recipients is in several groups, one with none in the group ''.
    """
    if key not in KEYS:
        raise CommandError(f"cannot group by {key!r}{did_you_mean(key, KEYS)}; known are {', '.join(KEYS)}")
    named = cache(_names(context, key))
    found: dict[str, list[int]] = {}
    values = context.read(search.values, ids, "from" if key == "domain" else key)
    for message in ids:
        for name in named(values.get(message)):
            found.setdefault(name, []).append(message)
    return {name: tuple(members) for name, members in found.items()}


def _names(context: Context, key: str) -> Callable[[Any], tuple[str, ...]]:
    """Return what makes the names of groups out of a stored value."""
    if key == "account":
        names = {number: name for name, number in context.read(folders.accounts).items()}
        return lambda value: (names[value],)
    if key == "folder":
        return lambda value: (_folder(context, value),)
    if key in ("from", "to"):
        return lambda value: _some(
            address.addr.lower() or address.name for address in parse_addresses(value or "")
        )
    if key == "domain":
        return lambda value: _some(address.domain.lower() for address in parse_addresses(value or ""))
    if key == "tag":
        return lambda value: _some(sorted(split_tags(value)))
    if key == "thread":
        return lambda value: (threads.name_of(value),) if value else ("",)
    form = {"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}.get(key)
    if form is not None:
        return lambda value: (datetime.fromtimestamp(value).strftime(form),)
    return lambda value: (value or "",)


def _folder(context: Context, number: int) -> str:
    row = context.read(folders.get, number)
    account = next(
        (name for name, known in context.read(folders.accounts).items() if row and known == row.account), ""
    )
    return f"{account}/{row.name}" if row else ""


def _some(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name)) or ("",)
