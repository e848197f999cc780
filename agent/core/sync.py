"""Bring a folder up to date: removals and flags, then arrivals, then the listing of what lay there before.

Runs on the in:<account> thread. The server's state is all it writes. Our own UIDNEXT advances only
with the commit that holds the messages below it; the base line is committed before the first FETCH.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple, TypeVar

from agent.clock import Clock
from agent.core import bodies, compare
from agent.core.account import Account
from agent.core.pace import Pace
from agent.core.progress import Progress
from agent.core.uidset import chunks, compress
from agent.errors import Refused, StoreError
from agent.net.base import Backend, Fetched, FlagState, FolderState, ShortBody
from agent.store import folders, state, threads
from agent.store.bulk import Bulk
from agent.store.contents import Incoming
from agent.store.db import Store, Transaction
from agent.store.folders import FolderRow
from agent.store.messages import join_tags

T = TypeVar("T")
_log = logging.getLogger("agent.sync")

_LISTING = (120, 4000)  # messages a FETCH lists: a screen first, then as many as come in _FETCH_S
_FETCH_S = 0.5
_ROWS = 1000  # listed messages in one transaction: some 16 ms
_COMPARED = 10_000  # messages whose flags are compared at a time
_ARRIVALS = 50  # new messages brought here before our UIDNEXT advances
_NO_EVENTS = ("sent", "drafts")


class Synced(NamedTuple):
    """What a sync brought: new messages, and old ones that were listed for the first time."""

    arrived: int = 0
    listed: int = 0


class FolderSync:
    """One folder's way to equality with the server."""

    def __init__(
        self, store: Store, clock: Clock, backend: Backend, account: Account, between: Callable[[], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._backend = backend
        self._account = account
        self._role = account.role_of
        self._bulk = Bulk(store)
        self._pace = Pace()
        self._between = between  # called between commands: lets interactive work go first

    def run(self, folder: int) -> Synced:
        """Sync one folder."""
        row = folders.get(self._store.reader, folder)
        if row is None or not row.selectable:
            return Synced()
        begun = self._clock.now()
        awaited = state.unbound(self._store.reader, row.id)
        server = self._select(row)
        row = self._settle_validity(row, server)
        if row.uidvalidity is not None and server.changes is None:
            self._compare(row, server)
        elif server.changes is not None:
            self._take(row.id, server.changes.flags, server.changes.vanished)
        arrived = self._arrivals(row, server)
        listed = self._backfill(row.id)
        self._thread_up()

        def work(tx: Transaction) -> None:
            state.lose_missing(tx, row.id, awaited, begun)
            folders.progress(tx, row.id, synced=begun, modseq=server.modseq)

        self._write(work)
        return Synced(arrived, listed)

    def settle(self, folder: int) -> None:
        """Learn where a folder stands before something of ours goes there, so that it is told from the rest."""
        row = folders.get(self._store.reader, folder)
        if row is not None and row.uidvalidity is None:
            self._settle_validity(row, self._select(row))

    def _select(self, row: FolderRow) -> FolderState:
        since = None
        if row.uidvalidity is not None and row.modseq is not None and row.backfill == 1:
            since = (row.uidvalidity, row.modseq)
        server = self._backend.select(row.name, since=since)
        if server.uidnext is None:
            # Servers that do not tell (RFC 9051 says they must): one past the highest there is.
            highest = max(self._backend.uids(), default=0)
            server = replace(server, uidnext=highest + 1)
        return server

    # -- UIDVALIDITY -------------------------------------------------------------------------

    def _settle_validity(self, row: FolderRow, server: FolderState) -> FolderRow:
        uidnext = server.uidnext or 1
        if row.uidvalidity is None:
            self._write(
                lambda tx: folders.progress(
                    tx, row.id, uidvalidity=server.uidvalidity, uidnext=uidnext, baseline=uidnext,
                    backfill=uidnext, keywords=int(server.keywords),
                )
            )  # fmt: skip
        elif row.uidvalidity != server.uidvalidity:
            _log.info("%s: UIDVALIDITY changed; the messages are found again by what they are", row.name)
            self._write(lambda tx: self._rebind(tx, row, server))
        elif server.keywords != row.keywords:
            self._write(lambda tx: folders.progress(tx, row.id, keywords=int(server.keywords)))
        else:
            return row
        return folders.get(self._store.reader, row.id) or row

    def _rebind(self, tx: Transaction, row: FolderRow, server: FolderState) -> None:
        """List the folder anew; `place` gives the messages their new UIDs, the others are gone after it."""
        state.unbind(tx, row.id)
        uidnext = server.uidnext or 1
        folders.progress(
            tx, row.id, uidvalidity=server.uidvalidity, uidnext=uidnext, backfill=uidnext, modseq=None
        )

    # -- flags and removals ------------------------------------------------------------------

    def _compare(self, row: FolderRow, server: FolderState) -> None:
        """Find out what changed of what we know when the server does not tell by itself."""
        low, ours = row.backfill or 1, row.uidnext or 1
        # What we moved or copied there lies above our UIDNEXT.
        high = max((ours - 1, *state.uids(self._store.reader, row.id, low=ours)))
        if high < low:
            return
        if server.modseq is not None and row.modseq is not None and row.backfill == 1:
            if server.modseq == row.modseq and state.count(self._store.reader, row.id) == server.exists:
                return
            self._take(row.id, self._backend.flags(f"1:{high}", changed_since=row.modseq), ())
            if (
                state.count(self._store.reader, row.id) + max(0, (server.uidnext or 1) - high - 1)
                == server.exists
            ):
                return
            present = sorted(self._backend.uids(f"UID 1:{high}"))
            for first, last in self._pieces(row, low, high):
                known = [uid for uid, _, _ in state.seen(self._store.reader, row.id, first, last)]
                self._take(row.id, (), compare.missing(present, known))
        else:
            for first, last in self._pieces(row, low, high):
                flags = list(self._backend.flags(f"{first}:{last}"))
                seen = state.seen(self._store.reader, row.id, first, last)
                self._take(row.id, *compare.differing(flags, seen))
                self._between_commands(row)

    def _pieces(self, row: FolderRow, low: int, high: int) -> list[tuple[int, int]]:
        return list(state.pieces(self._store.reader, row.id, low, high, _COMPARED))

    def _take(self, folder: int, flags: Iterable[FlagState], vanished: Sequence[int]) -> None:
        for some in _batches(flags, 500):
            states = [(flag.uid, flag.bits, join_tags(flag.tags)) for flag in some]
            self._write(lambda tx, states=states: state.set_flags(tx, folder, states))  # type: ignore[misc]
        now = self._clock.now()
        for gone in _batches(vanished, 500):
            self._write(lambda tx, gone=gone: state.vanish(tx, folder, gone, now))  # type: ignore[misc]

    # -- arrivals ----------------------------------------------------------------------------

    def _arrivals(self, row: FolderRow, server: FolderState) -> int:
        """Bring what is new here, whole, before anybody is told."""
        uidnext, ours = server.uidnext or 1, row.uidnext or 1
        if uidnext < ours:
            # A server restored from a backup: what we know above is gone, what comes now is new.
            _log.warning(
                "%s: UIDNEXT went back from %d to %d; listing the folder again", row.name, ours, uidnext
            )
            self._write(lambda tx: self._rebind(tx, row, server))
            return 0
        if uidnext == ours:
            return 0
        known = state.uids(self._store.reader, row.id, low=ours)
        few = uidnext - ours <= _ARRIVALS  # what is not there does not come: no need to ask before
        there = range(ours, uidnext) if few else self._backend.uids(f"UID {ours}:*")
        uids = [uid for uid in there if uid >= ours and uid not in known]
        arrived = 0
        for _, some in chunks(uids, _ARRIVALS):
            arrived += self._bring(row, some)
            self._account.progress = Progress(f"fetching into {row.name}", arrived, len(uids))
            self._between_commands(row)
        self._account.progress = None
        self._write(lambda tx: folders.progress(tx, row.id, uidnext=max(uidnext, max(uids, default=0) + 1)))
        return arrived

    def _bring(self, row: FolderRow, uids: list[int], *, advance: bool = True) -> int:
        """Fetch some new messages and commit them, with our UIDNEXT."""
        listing = {fetched.uid: fetched for fetched in self._backend.headers(compress(uids))}
        sizes = {uid: fetched.size for uid, fetched in listing.items()}
        items: list[Incoming] = []
        for some in self._shares(sizes):
            if items:
                self._between_commands(row)
            items += self._received(some, sizes)
        self._look_after_twins(row, items)
        there = {item.uid for item in items}
        refused = [bodies.listed(fetched) for uid, fetched in listing.items() if uid not in there]
        now, events = self._clock.now(), self._role(row) not in _NO_EVENTS
        items.sort(key=lambda item: item.uid or 0)

        def work(tx: Transaction) -> None:
            state.place(tx, row.account, row.id, items, now, events=events)
            state.place(tx, row.account, row.id, refused, now, events=False)
            if advance:
                folders.progress(tx, row.id, uidnext=max(uids) + 1)

        self._write(work)
        return len(items)

    def _shares(self, sizes: Mapping[int, int]) -> Iterator[list[int]]:
        """Split messages into what one FETCH may ask for."""
        share: list[int] = []
        octets = 0
        for uid, size in sorted(sizes.items()):
            size = min(size, bodies.LARGE)
            if share and octets + size > self._pace.octets:
                yield share
                share, octets = [], 0
            share.append(uid)
            octets += size
        if share:
            yield share

    def _received(self, uids: Sequence[int], sizes: Mapping[int, int]) -> list[Incoming]:
        """Fetch messages, of large ones the beginning."""
        begun = self._clock.monotonic()
        found = list(self._whole([uid for uid in uids if sizes[uid] <= bodies.LARGE]))
        for uid in uids:
            if sizes[uid] > bodies.LARGE:
                found += self._head(uid)
        self._pace.learn(sum(len(each.raw or b"") for each in found), self._clock.monotonic() - begun)
        # Dovecot answers with no octets for what is gone and was not told to be.
        return [bodies.received(each) for each in found if each.raw or not sizes[each.uid]]

    def _whole(self, uids: Sequence[int]) -> Iterator[Fetched]:
        """Fetch whole messages; one the server will not hand out does not stop the others."""
        left = list(uids)
        try:
            if left:
                for fetched in self._backend.messages(compress(uids)):
                    left.remove(fetched.uid)
                    yield fetched
        except ShortBody as error:
            # Some servers announce wrong sizes for ever: what there is has to do, and counts as a part.
            _log.info("fewer octets than announced: %s", error)
            for uid in error.uids:
                yield from self._head(uid)
        except Refused as error:
            if not error.permanent:
                raise  # it is news all the same: fetched again with the next sync
            if len(uids) == 1:
                _log.info("the server does not hand out UID %d: %s", uids[0], error)
                return
            for uid in left:
                yield from self._whole([uid])

    def _head(self, uid: int) -> Iterator[Fetched]:
        """Fetch the beginning of a message; one the server will not hand out stops nothing."""
        try:
            yield from self._backend.heads(str(uid), bodies.LARGE)
        except Refused as error:
            if not error.permanent:
                raise
            _log.info("the server does not hand out UID %d: %s", uid, error)

    def _look_after_twins(self, row: FolderRow, items: Sequence[Incoming]) -> None:
        """Where a new message is known from another folder, see whether it was moved or copied here."""
        for folder, uids in state.twins(self._store.reader, row.account, row.id, items).items():
            other = folders.get(self._store.reader, folder)
            if other is None or not other.present:
                continue
            try:
                if self._backend.select(other.name).uidvalidity != other.uidvalidity:
                    continue
                there = set(self._backend.uids(f"UID {compress(uids)}"))
            except Refused:
                continue
            self._take(folder, (), [uid for uid in uids if uid not in there])
        self._return_to(row)

    # -- listing what lay there --------------------------------------------------------------

    def _backfill(self, folder: int) -> int:
        """List what lay in the folder before the base line, newest first; goes on where it was left."""
        row = folders.get(self._store.reader, folder)
        if row is None or row.backfill is None or row.backfill <= 1:
            return 0
        uids = self._unlisted(row, row.backfill)
        high, size, listed = row.backfill, _LISTING[0], len(uids)
        try:
            while uids:
                some = uids[-size:]
                del uids[-size:]
                begun = self._clock.monotonic()
                high = self._list(row, some, high)
                size = self._size_of_next(len(some), self._clock.monotonic() - begun)
                if len(some) + len(uids) == listed:  # the first screen
                    self._write(lambda tx: threads.join_some(tx, _LISTING[0]))
                self._account.progress = Progress(f"listing {row.name}", listed - len(uids), listed)
                self._between_commands(row)
            self._bulk.drain()  # whoever comes next starts from what is committed
        except BaseException:
            self._bulk.settle()
            raise
        finally:
            self._account.progress = None
        now = self._clock.now()
        self._write(lambda tx: state.lose_unbound(tx, folder, now))
        self._write(lambda tx: folders.progress(tx, folder, backfill=1))
        return listed

    def _unlisted(self, row: FolderRow, below: int) -> list[int]:
        """Return the UIDs of the folder below one that are not known yet, in order."""
        if below <= 1:
            return []
        known = state.uids(self._store.reader, row.id, below=below)
        uids = self._backend.uids(f"UID 1:{below - 1}")
        return sorted(uid for uid in uids if uid < below and uid not in known)

    def _size_of_next(self, size: int, seconds: float) -> int:
        """Return how many to list with the next FETCH, which should not keep the wire for long."""
        least, most = _LISTING
        return int(min(most, max(least, size * _FETCH_S / seconds))) if seconds > 0 else most

    def _thread_up(self) -> None:
        """Put what was listed into threads, which would have held up the listing."""
        while self._write(lambda tx: threads.join_some(tx, _ROWS)):
            self._between()

    def _list(self, row: FolderRow, uids: Sequence[int], high: int) -> int:
        """List some messages below `high`, down to where the listing has come; return the new low."""
        items: list[Incoming] = []
        for uid_set, _ in chunks(uids):
            items += [bodies.listed(fetched) for fetched in self._backend.headers(uid_set)]
        if row.synced is not None:
            # A new UIDVALIDITY: what came after the last sync and is not found again is news.
            since = int(row.synced)  # INTERNALDATE knows seconds only
            news = [item.uid or 0 for item in items if item.received >= since]
            for _, some in chunks(news, _ARRIVALS):
                self._bring(row, some, advance=False)
            items = [item for item in items if item.received < since]
        items.sort(key=lambda item: -(item.uid or 0))
        now = self._clock.now()
        for part in _batches(items, _ROWS):
            low = min(item.uid or 1 for item in part)

            def work(
                tx: Transaction, part: Sequence[Incoming] = part, low: int = low, high: int = high
            ) -> None:
                # One that was lost must not be stepped over by those that were queued behind it.
                if not folders.step_down(tx, row.id, high, low):
                    raise StoreError(f"{row.name}: what was listed above UID {high} could not be kept")
                # Oldest first within a transaction: ids decide the order within a second.
                state.place(tx, row.account, row.id, part[::-1], now, events=False)

            self._bulk.put(work)
            high = low
        return high

    # -- common ------------------------------------------------------------------------------

    def _between_commands(self, row: FolderRow) -> None:
        """Let interactive work use the wire, then go on in this folder."""
        self._between()
        self._return_to(row)

    def _return_to(self, row: FolderRow) -> None:
        if self._backend.selected != row.name:
            server = self._backend.select(row.name)
            if server.uidvalidity != row.uidvalidity:
                raise Refused(f"{row.name} was replaced while it was listed", permanent=False)

    def _write(self, work: Callable[[Transaction], T]) -> T:
        return self._store.write(work, bulk=True).result()


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    source = iter(items)
    while some := list(islice(source, size)):
        yield some
