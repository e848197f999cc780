"""A small store with mail of every kind in it, and ways to damage its file."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from agent.core import bodies
from agent.mail.header import read_header
from agent.store import changes, folders, job_rows, ledger, outbox, state
from agent.store.contents import Incoming
from agent.store.db import Store, Transaction
from agent.store.outbox import Sending
from tests.harness.agents import mail

NOW = 1_790_000_000.0
MESSAGES = 100  # in INBOX; the first half with bytes, the others listed


def raw_of(number: int | str) -> bytes:
    return mail(number, body=f"word{number} " * 50 + "\r\n", Subject=subject_of(number))


def subject_of(number: int | str) -> str:
    """Return a subject that no few changed bits turn into another one."""
    return f"number {number} {hashlib.sha256(str(number).encode()).hexdigest()[:16]}"


def incoming(number: int | str, uid: int | None, *, whole: bool = True) -> Incoming:
    raw = raw_of(number)
    item = bodies.of_bytes(raw, uid=uid, flags=0, tags="", received=int(NOW), size=len(raw))
    head = read_header(raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    return item if whole else Incoming(uid, 0, "", int(NOW), len(raw), head)


def _fill(tx: Transaction) -> None:
    account = folders.ensure_account(tx, "work")
    folders.list_folders(
        tx,
        account,
        [("INBOX", "/", "inbox", True), ("Drafts", "/", "drafts", True), ("Archive", "/", "archive", True)],
    )
    inbox, drafts, archive = (find(tx, account, name) for name in ("INBOX", "Drafts", "Archive"))
    for folder in (inbox, drafts, archive):
        folders.progress(
            tx, folder, uidvalidity=7, uidnext=1000, baseline=1, backfill=1, modseq=5, synced=NOW
        )
    for start in range(0, MESSAGES, 50):
        items = [incoming(n, n + 1, whole=n < MESSAGES // 2) for n in range(start, start + 50)]
        state.place(tx, account, inbox, items, NOW, events=n_is_news(start))
    job = job_rows.add_job(tx, "verb", "moved 1 message", NOW)
    changes.move(tx, job, [ids(tx)[subject_of(3)]], archive)
    job = job_rows.add_job(tx, "verb", "flagged 1 message", NOW)
    changes.change_flags(tx, job, [ids(tx)[subject_of(80)]], 2, 0)
    job = job_rows.add_job(tx, "verb", "saved a draft", NOW)
    changes.append(tx, job, account, drafts, incoming("draft", None))
    for number, what in enumerate(("queued", "data-sent", "sent")):
        mail_ = Sending(
            account, f"out{number}@example.org", "ann@example.org", ("bob@example.com",), what, raw_of(what)
        )
        item = outbox.add(tx, mail_, None, NOW)
        outbox.change(tx, item, state=what)
    for number in range(50):
        ledger.begin(tx, "bills", account, f"key{number}", NOW)
        ledger.end(tx, "bills", account, f"key{number}")
    ledger.answer(tx, account, "away", "bob@example.com", 1, NOW)


def n_is_news(start: int) -> bool:
    return start >= MESSAGES - 50


def find(tx: Transaction, account: int, name: str) -> int:
    row = folders.find(tx, account, name)
    assert row is not None
    return row.id


def ids(db: Transaction) -> dict[str, int]:
    """Return the shown messages: subject -> id."""
    sql = (
        "SELECT c.subject, m.id FROM message m JOIN content c ON c.id = m.content WHERE m.folder IS NOT NULL"
    )
    return {row[0]: row[1] for row in db.execute(sql)}


def filled(path: Path) -> dict[str, int]:
    """Make a store with mail in it, closed; return subject -> id."""
    store = Store(path)
    store.start()
    try:
        store.write(_fill).result()
        return store.look(ids)
    finally:
        store.stop()


def flip(path: Path, chance: random.Random, count: int) -> None:
    """Change some octets of a file."""
    data = bytearray(path.read_bytes())
    for _ in range(count):
        place = chance.randrange(len(data))
        data[place] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def smear(path: Path, chance: random.Random) -> None:
    """Overwrite a stretch of a file, as a bad sector does."""
    data = bytearray(path.read_bytes())
    place = chance.randrange(len(data))
    size = min(chance.choice([512, 4096, 20_000]), len(data) - place)
    data[place : place + size] = chance.randbytes(size)
    path.write_bytes(data)


def cut(path: Path, chance: random.Random) -> None:
    """Cut a file off."""
    data = path.read_bytes()
    path.write_bytes(data[: chance.randrange(len(data))])
