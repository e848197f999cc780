"""What an idle wire does: brings bodies here by the account's policy, then indexes what is only listed.

Runs on the in:<account> thread, one bounded piece at a time, newest mail first, so that whatever a
person asks for goes first. Each batch is committed by itself: a kill loses at most one.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.clock import Clock
from agent.core import bodies
from agent.core.account import Account
from agent.core.pace import Pace
from agent.core.parsing import Parser
from agent.core.progress import Progress
from agent.core.uidset import compress
from agent.errors import Refused
from agent.net.base import Backend, Fetched, ShortBody
from agent.store import contents, folders, schema
from agent.store.bulk import Bulk
from agent.store.db import Store

_log = logging.getLogger("agent.background")

_MESSAGES = 500
_ROWS, _ROWS_OCTETS = 100, 1 << 20  # one transaction
_MUCH = 4 << 20  # octets that are worth a process to parse them
_INDEXED = 250
_PIECEWISE = 2  # a message so many times larger than a FETCH should be comes in pieces


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A message whose body is to come here."""

    id: int
    folder: int
    uid: int
    size: int


@dataclass(slots=True)
class _Piecewise:
    """A message that takes the line for longer than a FETCH should, and what of it is here."""

    wanted: _Wanted
    raw: bytearray = field(default_factory=bytearray)


class Background:
    """The work that waits until nobody wants the wire."""

    def __init__(
        self, store: Store, clock: Clock, backend: Backend, account: Account, parser: Parser
    ) -> None:
        self._parser = parser
        self._store = store
        self._clock = clock
        self._backend = backend
        self._account = account
        self._pace = Pace()
        self._piecewise: _Piecewise | None = None
        self._before: tuple[int, int] | None = None  # (date, id): everything newer has been looked at
        self._bodies_done = account.config.offline.bodies_s <= 0
        self._index_done = False
        self._bulk = Bulk(store)
        self._total: int | None = None  # octets of bodies, then contents to be indexed
        self._done = 0

    def restart(self) -> None:
        """Look again from the newest message on: something has been listed."""
        self._before = None
        self._bodies_done = self._account.config.offline.bodies_s <= 0
        self._index_done = False
        self._total = None

    def step(self) -> bool:
        """Do one piece; return whether there was any."""
        if not self._bodies_done:
            if self._piecewise is not None:
                self._fetch_piece(self._piecewise)
                return True
            wanted = self._next_bodies()
            if wanted:
                self._report(
                    "bringing bodies", self._octets_wanted, "octets", sum(each.size for each in wanted)
                )
                self._fetch(wanted)
                return True
            self._bulk.drain()
            self._parser.rest()
            self._bodies_done, self._total = True, None
        if not self._index_done:
            work = self._store.write(lambda tx: contents.index_some(tx, _INDEXED), bulk=True)
            indexed = work.result()
            self._index_done = indexed == 0
            if indexed:
                self._report(
                    "indexing", lambda: contents.unindexed(self._store.reader) + indexed, "", indexed
                )
                return True
        self._account.progress = None
        return False

    def _report(self, what: str, count: Callable[[], int], unit: str, more: int) -> None:
        """Tell how far it is; what there is to do is counted once."""
        if self._total is None:
            self._total, self._done = count(), 0
        self._done += more
        self._account.progress = Progress(what, min(self._done, self._total), self._total, unit)

    def _octets_wanted(self) -> int:
        sql = (
            "SELECT coalesce(sum(m.size), 0) FROM message m JOIN content c ON c.id = m.content WHERE"
            " m.folder IS NOT NULL AND m.account = ? AND c.state = ? AND m.s_uid IS NOT NULL AND m.received >= ?"
        )
        return int(self._store.read(sql, (self._account.id, schema.LISTED, self._since()))[0][0])

    # -- bodies ------------------------------------------------------------------------------

    def _next_bodies(self) -> list[_Wanted]:
        """Return the newest messages of one folder that are wanted, bounded in octets."""
        date, number = self._before or (1 << 62, 1 << 62)
        rows = self._store.reader.execute(
            "SELECT m.id, m.s_folder, m.s_uid, m.size, m.date FROM message m INDEXED BY message_all"
            " JOIN content c ON c.id = m.content WHERE m.folder IS NOT NULL AND (m.date, m.id) < (?, ?)"
            " AND m.account = ? AND c.state = ? AND m.s_uid IS NOT NULL AND m.received >= ?"
            " ORDER BY m.date DESC, m.id DESC LIMIT ?",
            (date, number, self._account.id, schema.LISTED, self._since(), _MESSAGES),
        )
        found: list[_Wanted] = []
        octets = 0
        for row in rows:
            if found and (row["s_folder"] != found[0].folder or octets + row["size"] > self._pace.octets):
                break
            found.append(_Wanted(row["id"], row["s_folder"], row["s_uid"], row["size"]))
            octets += row["size"]
            self._before = (row["date"], row["id"])
        return found

    def _since(self) -> int:
        keep_s = self._account.config.offline.bodies_s
        return 0 if keep_s == float("inf") else int(self._clock.now() - keep_s)

    def _fetch(self, wanted: Sequence[_Wanted]) -> None:
        """Bring one batch here; what the server will not give is passed over until the next start."""
        if len(wanted) == 1 and wanted[0].size > _PIECEWISE * self._pace.octets:
            self._piecewise = _Piecewise(wanted[0])
            self._fetch_piece(self._piecewise)
            return
        by_uid = {each.uid: each for each in wanted}
        much = (self._total or 0) - self._done > _MUCH
        with contextlib.closing(self._parser.parsed(self._batches(by_uid), beside=much)) as parsed:
            for items in parsed:
                batch = [
                    (by_uid[item.uid].id, item.envelope, item.body)
                    for item in items
                    if item.uid is not None and item.body is not None
                ]
                self._bulk.put(lambda tx, batch=batch: contents.add_bodies(tx, batch))  # type: ignore[misc]

    def _open(self, folder: int) -> bool:
        """Have a folder selected; tell whether its UIDs mean what the store thinks they mean."""
        row = folders.get(self._store.reader, folder)
        if row is None:
            return False
        opened = self._backend.opened if self._backend.selected == row.name else None
        return (opened or self._backend.select(row.name)).uidvalidity == row.uidvalidity

    def _pass_over(self, why: object) -> None:
        _log.info("%s: some bodies were not to be had: %s", self._account.name, why)

    def _fetch_piece(self, piecewise: _Piecewise) -> None:
        """Bring the next piece of a large message here, or see that it is whole."""
        wanted, raw, asked = piecewise.wanted, piecewise.raw, self._pace.octets
        begun, piece = self._clock.monotonic(), None
        try:
            if self._open(wanted.folder):
                for piece in self._backend.heads(str(wanted.uid), asked, start=len(raw)):
                    raw += piece.raw or b""
        except Refused as error:
            self._pass_over(error)
            piece = None
        got = len(piece.raw or b"") if piece is not None else 0
        self._pace.learn(got, self._clock.monotonic() - begun)
        if piece is not None and got == asked:
            return  # there may be more, also where the server announced less
        self._piecewise = None
        if piece is None or len(raw) < piece.size:
            self._pass_over(f"UID {wanted.uid} came with {len(raw)} octets")
            return
        whole = replace(piece, raw=bytes(raw), size=max(piece.size, len(raw)))
        item = bodies.received(whole)
        if item.body is not None:
            batch = [(wanted.id, item.envelope, item.body)]
            self._bulk.put(lambda tx: contents.add_bodies(tx, batch))

    def _batches(self, wanted: dict[int, _Wanted]) -> Iterator[list[Fetched]]:
        """Bring messages of one folder here; what the server will not give waits for the next start."""
        batch: list[Fetched] = []
        octets = came = 0
        begun: float | None = None
        folder = next(iter(wanted.values())).folder
        try:
            for fetched in self._backend.messages(compress(wanted)) if self._open(folder) else ():
                if begun is None:
                    begun = self._clock.monotonic()
                else:
                    came += fetched.size
                if fetched.uid not in wanted or (not fetched.raw and wanted[fetched.uid].size):
                    continue  # with no octets Dovecot answers for what is gone and was not told to be
                batch.append(fetched)
                octets += fetched.size
                if len(batch) >= _ROWS or octets >= _ROWS_OCTETS:
                    yield batch
                    batch, octets = [], 0
        except (Refused, ShortBody) as error:
            self._pass_over(error)
        if batch:
            yield batch
        if begun is not None:
            self._pace.learn(came, self._clock.monotonic() - begun)
