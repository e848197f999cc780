"""Which folders of an account have changed, and bringing those up to date.

Runs on the in:<account> thread. A folder that the server's STATUS, or what it tells unasked, shows to
stand as it did is not selected. Without mod-sequences (CONDSTORE) flags cannot be seen that way: such
folders are looked into each time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from agent.clock import Clock
from agent.core import filing
from agent.core.account import Account
from agent.core.sync import FolderSync
from agent.errors import CommandError, NetworkError, Refused
from agent.net.base import Backend, FolderState, Pushed, Told
from agent.store import folders, job_rows, state
from agent.store.db import Store
from agent.store.folders import FolderRow

_log = logging.getLogger("agent.sweep")
_GONE = 500  # messages of a vanished folder taken out in one transaction

States = Mapping[str, FolderState]
_NOTHING: States = {}


class Sweep:
    """The folders of one account on one connection; calls back when syncs brought something."""

    def __init__(
        self, store: Store, clock: Clock, backend: Backend, account: Account, sync: FolderSync,
        arrived: Callable[[], None], listed: Callable[[], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._backend = backend
        self._account = account
        self._sync = sync
        self._arrived = arrived  # after a commit that may hold arrivals
        self._listed = listed  # old messages are here for the first time

    # -- the list ----------------------------------------------------------------------------

    def survey(self, wanted: Callable[[str], bool] | None = None) -> States:
        """Take over the server's list of folders; return the states of the wanted ones, by default those fetched."""
        found = self._backend.survey(wanted or self.wants)
        role = self._account.role_of  # config.yaml's word before the server's, in searches too
        listed = [(info.name, info.delimiter, role(info), info.selectable) for info in found]
        if not any(name.upper() == "INBOX" for name, *_ in listed):
            # Every account has one (RFC 9051 section 5.1): a list without it proves nothing.
            raise NetworkError(f"{self._account.name}: the server's list of folders lacks INBOX")
        known = folders.of_account(self._store.reader, self._account.id)
        if set(listed) != {(row.name, row.delimiter, row.role, row.selectable) for row in known}:
            self._store.write(lambda tx: folders.list_folders(tx, self._account.id, listed)).result()
        for row in folders.vanished(self._store.reader, self._account.id):
            self._forget(row)
        filing.file_waiting(self._store, self._account, self._clock.now())
        return {info.name: info.state for info in found if info.state is not None}

    def _forget(self, row: FolderRow) -> None:
        """Take out the messages of a folder that the server has no more."""
        now, more = self._clock.now(), True
        while more:
            more = self._store.write(
                lambda tx: state.vanish_folder(tx, row.id, now, _GONE), bulk=True
            ).result()
        self._store.write(lambda tx: folders.forget(tx, row.id)).result()
        self._settle_jobs()

    def wants(self, name: str) -> bool:
        """Tell whether the account's configuration fetches a folder."""
        return any(fnmatchcase(name, pattern) for pattern in self._account.config.fetch.folders)

    def wanted(self) -> Sequence[FolderRow]:
        """Return the folders the account's configuration fetches."""
        return [
            row for row in folders.of_account(self._store.reader, self._account.id) if self.wants(row.name)
        ]

    # -- what has changed --------------------------------------------------------------------

    def differs(self, row: FolderRow, server: FolderState) -> bool:
        """Tell whether a folder, as SELECT shows it, has changed since its last sync."""
        if (server.uidvalidity, server.uidnext) != (row.uidvalidity, row.uidnext):
            return True
        if server.modseq is not None:
            return server.modseq != row.modseq
        return server.exists != state.count(self._store.reader, row.id)

    def _stands(self, row: FolderRow, server: FolderState | None) -> bool:
        """Tell whether a folder certainly is as its last sync left it, flags included."""
        if server is None or row.synced is None or row.backfill != 1:
            return False
        if (server.uidvalidity, server.uidnext) != (row.uidvalidity, row.uidnext):
            return False
        if server.exists and (server.modseq is None or server.modseq != row.modseq):
            return False
        reader = self._store.reader
        return server.exists == state.count(reader, row.id) and not state.unbound(reader, row.id)

    def opened(self) -> FolderRow | None:
        """Return the selected folder, if it is one that is fetched and has been."""
        name = self._backend.selected
        row = self._find(name) if name is not None and self.wants(name) else None
        return row if row is not None and row.synced is not None else None

    def touched(self, pushed: Pushed) -> Sequence[FolderRow]:
        """Return the folders in which something happened by what the server told unasked."""
        here = self._backend.selected
        names = [here] if pushed.here and here is not None else []
        told = [each for each in pushed.elsewhere if self.wants(each.name)]
        if any(self._find(each.name) is None for each in told):
            self.survey()  # somebody made a folder
        rows = [self._find(name) for name in names if self.wants(name)]
        rows += [row for each in told if (row := self._find(each.name)) and self._has_news(row, each)]
        return list({row.id: row for row in rows if row is not None}.values())

    def _find(self, name: str) -> FolderRow | None:
        row = folders.find(self._store.reader, self._account.id, name)
        return row if row is not None and row.present else None

    def _has_news(self, row: FolderRow, told: Told) -> bool:
        if row.uidvalidity is None:
            return False  # never fetched: the first time is the timer's or a person's
        if told.uidvalidity not in (None, row.uidvalidity) or told.uidnext not in (None, row.uidnext):
            return True
        if told.modseq is None or told.modseq != row.modseq:
            return True
        return told.exists is not None and told.exists != state.count(self._store.reader, row.id)

    # -- syncing -----------------------------------------------------------------------------

    def sync(self, rows: Sequence[FolderRow], states: States = _NOTHING) -> Sequence[str]:
        """Sync folders one after the other, but those whose state says no; return what went wrong."""
        errors: list[str] = []
        begun, same = self._clock.now(), []
        for row in rows:
            if not row.selectable:
                continue
            if self._stands(row, states.get(row.name)):
                same.append(row.id)
                continue
            try:
                arrived, listed = self._sync.run(row.id)
                if arrived:
                    self._arrived()
                if listed:
                    self._listed()
            except (Refused, CommandError) as error:
                # One folder that cannot be opened does not stop the others.
                _log.info("%s/%s: %s", self._account.name, row.name, error)
                errors.append(str(error))
            except NetworkError:
                self._arrived()  # what came before the line broke is not to wait for the next mail
                raise
        if same:
            self._store.write(lambda tx: folders.stand(tx, same, begun)).result()
        self._settle_jobs()
        return errors

    def _settle_jobs(self) -> None:
        """End jobs whose operations the server's own changes have settled."""
        now = self._clock.now()
        self._store.write(lambda tx: job_rows.finish_all(tx, now)).result()
