"""What leaves the agent: messages into files, into programs, and on to other people.

Nothing a sender wrote becomes a path, an argument or part of a command: names are made safe, files
are new ones, programs get the bytes on standard input. All of it may have to bring messages here
first, so it runs where waiting is allowed.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

from agent import threads
from agent.archive import places
from agent.core import exchange, gate, sending
from agent.core import job as jobs
from agent.core.job import Group, Job
from agent.core.message import Message
from agent.core.messages import Messages
from agent.errors import CommandError
from agent.mail import query
from agent.mail.address import Address, parse_addresses
from agent.mail.composition import new_message_id
from agent.mail.safe import safe_filename
from agent.mail.wire_header import address_field, id_field
from agent.store.outbox import Sending

if TYPE_CHECKING:
    from agent.core.context import Context

# Never sent on: whom the first sender hid, and what the last server wrote for this mailbox only.
_DROPPED = re.compile(rb"(?im)^(?:bcc|resent-bcc|return-path):[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n")
_MOST_NAMESAKES = 10_000
_AT_A_TIME = 100


def save(context: Context, ids: Sequence[int], folder: str | Path) -> Job:
    """Write each message into a folder as a file of its own; see Verbs.save."""
    folder = Path(folder).expanduser()
    written = 0
    for message in _here(context, ids):
        name = f"{message.date:%Y-%m-%d %H%M} {message.subject}".strip()
        write_new(folder, f"{safe_filename(name)}.eml", message.raw)
        written += 1
    return jobs.nothing(context, f"saved {_count(written)} in {folder}")


def write_new(folder: Path, name: str, data: bytes) -> Path:
    """Write a new file, private to its owner, and return its path; raises CommandError.

    A file of that name stays as it is: the new one gets a number. Links are not followed.
    """
    name = safe_filename(name)
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, _MOST_NAMESAKES):
            path = folder / (name if number == 1 else f"{stem} ({number}){dot}{suffix}")
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                file = os.open(path, flags, 0o600)
            except FileExistsError:
                continue
            with os.fdopen(file, "wb") as out:
                out.write(data)
            return path
    except OSError as error:
        raise CommandError(f"cannot write {error.filename or folder}: {error.strerror}") from None
    raise CommandError(f"{folder} has too many files called {name}")


def pipe(context: Context, ids: Sequence[int], command: str | Sequence[str]) -> Job:
    """Run a program for each message; see Verbs.pipe."""
    words = shlex.split(command) if isinstance(command, str) else list(command)
    if not words:
        raise CommandError("pipe: name a command")
    piped = 0
    for message in _here(context, ids):
        try:
            done = subprocess.run(words, input=message.raw, check=False)
        except OSError as error:
            raise CommandError(f"cannot run {words[0]}: {error.strerror}") from None
        if done.returncode != 0:
            raise CommandError(f"{words[0]} ended with status {done.returncode} for message {message.id}")
        piped += 1
    return jobs.nothing(context, f"piped {_count(piped)} to {words[0]}")


def resend(context: Context, ids: Sequence[int], to: str) -> Job:
    """Send messages on as they are; see Verbs.resend."""
    people = [person for person in parse_addresses(to) if person.domain]
    if not people:
        raise CommandError(f"resend: {to!r} is no address")
    parts = [_resend(context, message, people) for message in _here(context, ids)]
    return parts[0] if len(parts) == 1 else Group(context, f"resent {_count(len(parts))}", parts)


def _resend(context: Context, message: Message, people: Sequence[Address]) -> Job:
    account = message.account
    if account is None:
        raise CommandError(f"message {message.id} is gone")
    sending.ensure_can_send(account)
    sender, now = account.address, context.clock.now()
    number = new_message_id(sender.domain, os.urandom(16))
    fields = (
        address_field("Resent-From", [sender]),
        address_field("Resent-To", list(people)),
        f"Resent-Date: {formatdate(now, localtime=True)}\r\n",
        id_field("Resent-Message-ID", [number]),
    )
    raw = re.sub(rb"\r?\n", b"\r\n", message.raw)
    head, blank, body = raw.partition(b"\r\n\r\n")
    kept = _DROPPED.sub(b"", head + b"\r\n").removesuffix(b"\r\n")
    data = "".join(fields).encode() + kept + blank + body
    return gate.send_on(
        context, message,
        Sending(
            account=account.id, message_id=number, sender=sender.addr, subject=message.subject,
            recipients=tuple(person.addr for person in people), data=data,
        ),
    )  # fmt: skip


def export(context: Context, ids: Sequence[int], path: str | Path, form: str) -> Job:
    """Write messages into one mbox, a Maildir or a folder of files; see Verbs.export."""
    threads.ensure_may_wait("messages that may have to be fetched")
    messages = Messages(context, query.Ids(tuple(ids)))
    out = exchange.take_out(messages, places.writer(Path(path).expanduser(), form), lambda progress: None)
    if out.problems:
        raise CommandError(f"{len(out.problems)} messages could not be exported: {out.problems[0]}")
    there = f", {out.there} were there already" if out.there else ""
    return jobs.nothing(context, f"exported {_count(out.written)} to {path}{there}")


def _here(context: Context, ids: Sequence[int]) -> Iterator[Message]:
    """Yield the messages with their bytes, fetching those that are not here."""
    threads.ensure_may_wait("messages that may have to be fetched")
    for start in range(0, len(ids), _AT_A_TIME):
        for message in Message.of_ids(context, ids[start : start + _AT_A_TIME]):
            if not message.fetched:
                message.fetch().wait()
            yield message


def _count(number: int) -> str:
    return "1 message" if number == 1 else f"{number} messages"
