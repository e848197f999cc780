"""The owner's side of a search on the server; on the in:<account> thread.

The server's answer is wider than the query; what it finds is read, up to a limit, and kept only if
the query holds for it. Nothing that is read for that is stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from agent.core import bodies
from agent.core.matchable import Stored
from agent.core.uidset import chunks
from agent.errors import Refused
from agent.mail import query, query_json
from agent.mail.parse import Parsed, parse
from agent.mail.query import Node
from agent.mail.query_match import matches
from agent.net.base import Backend, ShortBody
from agent.net.search import criteria
from agent.store import folders, job_rows, messages, schema
from agent.store.db import Row, Store
from agent.store.folders import FolderRow

_READ = 200  # messages of a folder that are read to see whether they are meant
_AT_ONCE = 20

_ABSENT = """
SELECT m.id, m.s_uid, m.size FROM json_each(?) j JOIN message m ON m.s_folder = ? AND m.s_uid = j.value
  JOIN content c ON c.id = m.content WHERE m.folder IS NOT NULL AND c.state <> ? ORDER BY m.date DESC
"""


class Searcher:
    """Carries out searches on one account's connection."""

    def __init__(
        self, store: Store, backend: Backend, account: str, sync_later: Callable[[int], None]
    ) -> None:
        self._store = store
        self._backend = backend
        self._account = account
        self._sync_later = sync_later

    def run(self, job: int, args: dict[str, Any]) -> None:
        """Search the folders of a request; each one's hits are in the job's row when it is done."""
        node = query_json.load(args["query"])
        found: dict[str, Any] = {"hits": [], "unread": 0, "unlisted": 0}
        stale: list[str] = []
        for done, number in enumerate(args["folders"], 1):
            row = folders.get(self._store.reader, number)
            if row is not None and row.present and not self._search(row, node, found):
                stale.append(row.name)
            columns = {"args": json.dumps(args | found), "progress": done, "total": len(args["folders"])}
            self._store.write(lambda tx, columns=columns: job_rows.set_job(tx, job, **columns)).result()  # type: ignore[misc]
        if stale:
            raise Refused(
                f"{', '.join(stale)} was replaced on the server; it is synced, try again", permanent=False
            )

    def _search(self, row: FolderRow, node: Node, found: dict[str, Any]) -> bool:
        """Search one folder; return whether it is the folder we know."""
        if self._backend.select(row.name).uidvalidity != row.uidvalidity:
            self._sync_later(row.id)
            return False
        uids = self._backend.search(criteria(node))
        listed = "SELECT count(*) FROM json_each(?) j JOIN message m ON m.s_folder = ? AND m.s_uid = j.value"
        found["unlisted"] += len(uids) - int(self._store.read(listed, (json.dumps(uids), row.id))[0][0])
        absent = self._store.read(_ABSENT, (json.dumps(uids), row.id, schema.WHOLE))
        small = [each for each in absent if each["size"] <= bodies.LARGE][:_READ]
        read = self._read(small)
        headers = of_header(node)
        for each in absent:
            parsed = read.get(each["s_uid"])
            if self._holds(node if parsed is not None else headers, each, parsed, row):
                found["hits"].append(each["id"])
                found["unread"] += parsed is None
        return True

    def _read(self, rows: Sequence[Row]) -> dict[int, Parsed]:
        """Read messages without keeping them; those that are not to be had are left out."""
        read: dict[int, Parsed] = {}
        for uid_set, _ in chunks(sorted(row["s_uid"] for row in rows), _AT_ONCE):
            try:
                read.update(
                    (each.uid, parse(each.raw)) for each in self._backend.messages(uid_set) if each.raw
                )
            except (Refused, ShortBody):
                continue
        return read

    def _holds(self, node: Node, each: Row, parsed: Parsed | None, folder: FolderRow) -> bool:
        row = messages.get(self._store.reader, each["id"])
        if row is None or row["folder"] is None:
            return False
        shown = folder if row["folder"] == folder.id else folders.get(self._store.reader, row["folder"])
        subject = Stored(self._store.reader, row, parsed, self._account, shown or folder)
        return matches(node, subject)


def of_header(node: Node) -> Node:
    """Return what is left of a query when nothing is known but headers: it means at least as much."""
    match node:
        case query.And(items):
            return query.all_of(of_header(item) for item in items)
        case query.Or(items):
            return query.any_of(of_header(item) for item in items)
        case query.Words("subject"):
            return node
        case query.Words() | query.Has():
            return query.All()
        case query.Not(item) if any(isinstance(part, query.Words | query.Has) for part in query.walk(item)):
            return query.All()
        case _:
            return node
