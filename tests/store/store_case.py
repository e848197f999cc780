"""A store with one account and its inbox, and messages to put in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.core.bodies import of_bytes
from agent.mail.header import read_header
from agent.store import changes, folders, job_rows, journal, state
from agent.store.contents import Incoming
from agent.store.db import Row, Store, Transaction


@dataclass
class Case:
    """A running store; ids of its account and folders."""

    store: Store
    account: int
    inbox: int
    archive: int

    def place(self, *items: Incoming, folder: int | None = None, events: bool = False) -> list[int]:
        """Put messages into a folder as sync does."""
        target = folder or self.inbox
        work = self.store.write(
            lambda tx: state.place(tx, self.account, target, items, 1000.0, events=events)
        )
        return work.result()


@contextmanager
def case(folder: Path) -> Iterator[Case]:
    """Run a fresh store in a folder."""
    store = Store(folder / "mail.db")
    store.start()
    try:
        account = store.write(lambda tx: folders.ensure_account(tx, "work")).result()
        inbox = store.write(lambda tx: folders.add(tx, account, "INBOX", "/", "inbox")).result()
        archive = store.write(lambda tx: folders.add(tx, account, "Archive", "/", "archive")).result()
        yield Case(store, account, inbox, archive)
    finally:
        store.stop()


def raw(number: int | str, text: str = "Hello.") -> bytes:
    """Return the bytes of a message."""
    return (
        f"From: Bob <bob@example.com>\r\nTo: Ann <ann@example.org>\r\nSubject: number {number}\r\n"
        f"Message-ID: <m{number}@example.com>\r\n\r\n{text}\r\n"
    ).encode()


def whole(uid: int | None, number: int | str, text: str = "Hello.") -> Incoming:
    """Return a message with its bytes."""
    data = raw(number, text)
    return of_bytes(data, uid=uid, flags=0, tags="", received=1_700_000_000, size=len(data))


def listed(uid: int, number: int | str, text: str = "Hello.") -> Incoming:
    """Return the same message as a listing has it."""
    data = raw(number, text)
    return Incoming(uid, 0, "", 1_700_000_000, len(data), read_header(data.partition(b"\r\n\r\n")[0]))


# -- verbs and the journal --------------------------------------------------------------------

NOW = 2000.0


def do(one: Case, verb: str, *args: object, **more: object) -> int:
    """Run one verb as its transaction; return the job."""

    def work(tx: Transaction) -> int:
        job = job_rows.add_job(tx, "verb", verb, NOW)
        getattr(changes, verb)(tx, job, *args, **more)
        job_rows.finish(tx, job, NOW)
        return job

    return one.store.write(work).result()


def kinds(one: Case) -> list[str]:
    """Return the kinds of the operations that can go to the wire."""
    return [op["kind"] for op in journal.runnable(one.store.reader, one.account)]


def take(one: Case) -> list[Row]:
    ops = journal.runnable(one.store.reader, one.account)
    left_out = one.store.write(lambda tx: journal.take(tx, [op["id"] for op in ops])).result()
    return [op for op in ops if op["id"] not in left_out]


def job_of(one: Case, job: int) -> tuple[str, str]:
    row = job_rows.get_job(one.store.reader, job)
    assert row is not None
    return row["state"], row["error"]


def shown(one: Case, message: int) -> tuple[int | None, int, str]:
    [row] = one.store.read("SELECT folder, flags, tags FROM message WHERE id = ?", (message,))
    return tuple(row)
