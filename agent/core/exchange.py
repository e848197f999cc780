"""Mail from files into a folder, and messages into files. Runs on the thread that asks: main.

Both can be cut off at any point and started again: what is there already is passed over. What is
imported is put into the store, and appended on the server by the journal like everything else.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent import threads
from agent.archive.found import Found, Label
from agent.archive.places import Writer
from agent.core import bodies
from agent.core import job as jobs
from agent.core.job import Job
from agent.core.message import Message
from agent.core.messages import Messages
from agent.core.progress import Progress
from agent.errors import CommandError
from agent.store import changes, job_rows, schema, state
from agent.store.contents import Incoming
from agent.store.messages import join_tags

if TYPE_CHECKING:
    from agent.core.context import Context
    from agent.core.folder import Folder
    from agent.store.db import Transaction

_ROWS, _ROWS_OCTETS = 50, 1 << 20  # one transaction
_AHEAD = 3  # transactions that are under way while the next is prepared
_FETCHED = 100  # messages that are exported, and fetched before, at a time
_NOT_IN_KEYS = re.compile(r"[^0-9a-z]")

Report = Callable[[Progress], None]


@dataclass(slots=True)
class Imported:
    """What came of an import: how many were added, how many were there, and what could not be taken."""

    job: Job
    added: int = 0
    there: int = 0
    problems: list[str] = field(default_factory=list)


def bring_in(folder: Folder, found: Iterable[Found], octets: int, report: Report) -> Imported:
    """Put the messages of files into a folder; return when all are in the store.

    A message whose bytes lie in the folder already is passed over. Raises CommandError.
    """
    threads.ensure_may_wait("an import")
    context, label = folder._context, f"imported into {folder}"
    if not folder.selectable:
        raise CommandError(f"{folder} holds no messages; name another folder")
    now = context.clock.now()
    number = context.commit(
        lambda tx: job_rows.add_job(tx, "verb", label, now, account=folder.account.id, bulk=True)
    )
    result = Imported(Job.of_row(context, number))
    under_way: deque[tuple[int, Future[int]]] = deque()

    def settle(left: int) -> None:
        while len(under_way) > left:
            count, future = under_way.popleft()
            added = future.result()
            result.added += added
            result.there += count - added

    for batch in _batches(found, result.problems):
        # Most of a second run is there: known by its hash it need not be parsed.
        hashes = [_hash(each.raw) for each in batch]
        known = context.read(_known, folder.id, hashes)
        items = [_incoming(each, now) for each, key in zip(batch, hashes, strict=True) if key not in known]
        work = context.submit(lambda tx, items=items: _add(tx, folder, number, items), bulk=True)  # type: ignore[misc]
        under_way.append((len(batch), work))
        settle(_AHEAD)
        report(Progress(f"reading into {folder}", batch[-1].read, octets, "octets"))
    settle(0)
    context.commit(lambda tx: _seal(tx, number, label, result, context.clock.now()), durable=True)
    return result


def _batches(found: Iterable[Found], problems: list[str]) -> Iterator[list[Found]]:
    batch: list[Found] = []
    octets = 0
    for each in found:
        if each.problem:
            problems.append(f"{each.place}: {each.problem}")
            continue
        batch.append(each)
        octets += len(each.raw)
        if len(batch) >= _ROWS or octets >= _ROWS_OCTETS:
            yield batch
            batch, octets = [], 0
    if batch:
        yield batch


def _hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _known(db: Transaction, folder: int, hashes: Sequence[str]) -> set[str]:
    """Return those of some hashes whose bytes lie in a folder."""
    marks = ",".join("?" * len(hashes))
    sql = f"SELECT c.hash FROM content c JOIN message m ON m.content = c.id WHERE c.hash IN ({marks}) AND m.folder = ?"
    return {row[0] for row in db.execute(sql, (*hashes, folder))}


def _incoming(found: Found, now: float) -> Incoming:
    item = bodies.of_bytes(
        found.raw, uid=None, flags=found.flags, tags=join_tags(found.tags), received=int(now), size=len(found.raw)
    )  # fmt: skip
    sent = item.envelope.date
    received = found.received if found.received is not None else sent if sent and 0 < sent < now else int(now)
    return Incoming(None, item.flags, item.tags, received, item.size, item.envelope, item.body)


def _add(tx: Transaction, folder: Folder, job: int, items: Sequence[Incoming]) -> int:
    """Append what the folder does not hold yet; return how many."""
    once = {item.body.hash if item.body else "": item for item in items}
    added = [item for item in once.values() if not _holds(tx, folder.id, item)]
    if added:
        changes.append_all(tx, job, folder.account.id, folder.id, added)
        # What was carried out of it meanwhile may have ended the job.
        job_rows.set_job(tx, job, state="queued", finished=None)
    return len(added)


def _holds(tx: Transaction, folder: int, item: Incoming) -> bool:
    """Tell whether a folder holds these bytes, or a listed message that is the same by Message-ID and size."""
    key = item.body.hash if item.body else None
    row = tx.execute(
        "SELECT 1 FROM content c JOIN message m ON m.content = c.id WHERE c.hash = ? AND m.folder = ?",
        (key, folder),
    ).fetchone()
    if row is None and item.envelope.message_id:
        row = tx.execute(
            "SELECT 1 FROM content c JOIN message m ON m.content = c.id"
            " WHERE c.message_id = ? AND c.state <> ? AND m.folder = ? AND m.size = ?",
            (item.envelope.message_id, schema.WHOLE, folder, item.size),
        ).fetchone()
    return row is not None


def _seal(tx: Transaction, job: int, label: str, result: Imported, now: float) -> None:
    count = "1 message" if result.added == 1 else f"{result.added} messages"
    job_rows.set_job(tx, job, label=label.replace("imported", f"imported {count}", 1))
    job_rows.finish(tx, job, now)


def refused(context: Context, job: Job) -> list[str]:
    """Return, message by message, what the server would not take of an import, and why."""
    if job.id is None:
        return []
    sql = (
        "SELECT c.subject, op.error FROM op JOIN message m ON m.id = op.message JOIN content c ON c.id = m.content"
        " WHERE op.job = ? AND op.state = 'failed' ORDER BY op.id"
    )
    return [f"{subject!r}: {error}" for subject, error in context.store.read(sql, (job.id,))]


def appended(context: Context, job: Job) -> Progress | None:
    """Return how far the wire is with what a job appends."""
    if job.id is None:
        return None
    sql = "SELECT count(*), sum(state IN ('pending', 'sent')) FROM op WHERE job = ?"
    total, left = context.store.read(sql, (job.id,))[0]
    return Progress("bringing it to the server", total - (left or 0), total) if total else None


# -- export ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Exported:
    """What came of an export: how many were written, how many were there, and what could not be had."""

    written: int = 0
    there: int = 0
    problems: list[str] = field(default_factory=list)


def take_out(messages: Messages, writer: Writer, report: Report) -> Exported:
    """Write messages, oldest first, fetching those that are not here; return when all are written.

    Raises CommandError when the place cannot be written; what is whole of it then stays.
    """
    threads.ensure_may_wait("an export")
    context, ids, result = messages._context, messages.ids()[::-1], Exported()
    try:
        for start in range(0, len(ids), _FETCHED):
            for message in _with_bytes(context, ids[start : start + _FETCHED], result.problems):
                new = writer.add(message.raw, _label(message))
                result.written += new
                result.there += not new
            report(Progress("exporting", min(start + _FETCHED, len(ids)), len(ids)))
        writer.close()
    except OSError as error:
        writer.discard()
        raise CommandError(f"cannot write {error.filename or 'the export'}: {error.strerror}") from error
    except BaseException:
        writer.discard()
        raise
    return result


def _with_bytes(context: Context, ids: Sequence[int], problems: list[str]) -> Iterator[Message]:
    """Yield messages with their bytes; what cannot be fetched is told."""
    absent: dict[int, list[int]] = {}
    known: dict[str, tuple[int, str]] = {}  # what is gone by and by is told by what it was
    for message in Message.of_ids(context, ids):
        if not message.fetched and message.account is not None:
            absent.setdefault(message.account.id, []).append(int(message.id))
            known[message.id] = (message.account.id, message.subject)
    why = {}
    for account, some in absent.items():
        job = jobs.request(context, account, "fetch", f"fetched {len(some)} messages", messages=some)
        try:
            job.wait()
        except CommandError:
            why[account] = job.error
    for message in Message.of_ids(context, ids):
        if message.fetched and message.raw:
            yield message
        else:
            account, subject = known.get(message.id, (0, message.subject))
            problems.append(f"{message.id} {subject!r}: {why.get(account, _absent(message))}")


def _absent(message: Message) -> str:
    return state.REMOVED if message.folder is None else "its bytes are not here"


def _label(message: Message) -> Label:
    digest = _hash(message.raw)[:12]
    return Label(
        key=f"{_NOT_IN_KEYS.sub('', message.id)}-{digest}", flags=message._bits, tags=tuple(message.tags),
        sender=message.from_.addr, subject=message.subject, received=int(message.received.timestamp()),
    )  # fmt: skip
