"""Searching on the server for what is not here: bodies of messages that are only listed.

A search is a request like any other: a row, carried out by the owner of the wire on the
in:<account> thread. core/searcher.py says how.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from agent.core import job as jobs
from agent.core.job import Group, Job
from agent.errors import CommandError
from agent.mail import query, query_json
from agent.mail.query import Node
from agent.store import folders
from agent.store.folders import FolderRow

if TYPE_CHECKING:
    from agent.core.context import Context
    from agent.core.messages import Messages


class ServerSearch(Group):
    """A search on servers: one request an account. `messages` grows while answers come."""

    def __init__(self, context: Context, parts: Sequence[Job], result: Callable[[Node], Messages]) -> None:
        super().__init__(context, "searched on the server", parts)
        self._result = result

    def wait(self, timeout: float | None = None) -> ServerSearch:
        """Block until all servers have answered; raises CommandError when one failed, TimeoutError."""
        super().wait(timeout)
        return self

    @property
    def messages(self) -> Messages:
        """What the local index finds, and with it what servers have found so far."""
        return self._result(
            query.Ids(tuple(sorted({hit for args in self._answers() for hit in args["hits"]})))
        )

    @property
    def unread(self) -> int:
        """How many of the found were not read: the server says that they match, by its own measure."""
        return sum(args["unread"] for args in self._answers())

    @property
    def unlisted(self) -> int:
        """How many were found that are not listed here yet: a sync brings them."""
        return sum(args["unlisted"] for args in self._answers())

    def _answers(self) -> Iterator[dict[str, Any]]:
        for part in self._parts:
            row = part._row()
            args = json.loads(row["args"]) if row is not None else {}
            if "hits" in args:
                yield args


def ask(context: Context, node: Node, result: Callable[[Node], Messages]) -> ServerSearch:
    """Ask the servers of all accounts that a query may mean; raises CommandError when none can search."""
    parts = []
    for account in context.accounts.values():
        if account.config.imap is None:
            continue
        rows = context.read(folders.of_account, account.id)
        wanted = [row.id for row in rows if row.selectable and may_lie_in(node, row, account.name)]
        if wanted:
            label = f"searched on the server of {account.name}"
            asked = {"query": query_json.dump(node), "folders": wanted}
            parts.append(jobs.request(context, account.id, "search", label, **asked))
    if not parts:
        raise CommandError("no account that the search means keeps its mail on an IMAP server")
    return ServerSearch(context, parts, result)


def may_lie_in(node: Node, folder: FolderRow, account: str) -> bool:
    """Tell whether a query may mean messages of a folder, as far as it speaks of folders."""
    match node:
        case query.And(items):
            return all(may_lie_in(item, folder, account) for item in items)
        case query.Or(items):
            return any(may_lie_in(item, folder, account) for item in items)
        case query.Not(query.Folder() | query.In() | query.InAccount() as place):
            return not may_lie_in(place, folder, account)
        case query.Folder(number):
            return folder.id == number
        case query.In(name):
            return name.casefold() in (folder.name.casefold(), folder.role.casefold())
        case query.InAccount(name):
            return name.casefold() == account.casefold()
        case query.Not(query.All()):
            return False
        case _:
            return True
