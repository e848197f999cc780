"""The verbs of Message, Messages and Folder: what is shown changes at once, the wire follows.

Each verb fixes the ids once, changes the store and writes the journal in one transaction, and
returns a Job. On a thread that may wait, the change is visible when the verb returns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.core import job as jobs
from agent.core.acting import actor
from agent.core.job import Job
from agent.errors import CommandError
from agent.mail import flags as words
from agent.store import changes, folders, job_rows, messages

if TYPE_CHECKING:
    from agent.core.account import Account
    from agent.core.context import Context
    from agent.core.folder import Folder
    from agent.store.db import Transaction

# Removing more than this for good wants a second word.
_MANY, _MUCH = 50, 0.2
_BULK = 500  # a verb on more messages lets others go first on the wire


class Verbs(ABC):
    """What can be done to one message or to many."""

    _context: Context

    @abstractmethod
    def _chosen(self) -> list[int]:
        """Fix the ids the verb acts on."""

    # -- flags and tags ----------------------------------------------------------------------

    def mark_read(self) -> Job:
        """Mark as read."""
        return self._flags("marked", "read", add=words.SEEN)

    def mark_unread(self) -> Job:
        """Mark as not read."""
        return self._flags("marked", "unread", remove=words.SEEN)

    def flag(self) -> Job:
        """Flag (a star in most clients)."""
        return self._flags("flagged", add=words.FLAGGED)

    def unflag(self) -> Job:
        """Take the flag off."""
        return self._flags("unflagged", remove=words.FLAGGED)

    def tag(self, *names: str) -> Job:
        """Add tags; IMAP keywords where the server stores them, else local."""
        return self._flags("tagged", " ".join(names), add_tags=_tags(names))

    def untag(self, *names: str) -> Job:
        """Take tags off."""
        return self._flags("untagged", " ".join(names), remove_tags=_tags(names))

    def mute(self) -> Job:
        """Mute: the tag `$Muted`."""
        return self._flags("muted", add_tags=_tags(["$Muted"]))

    def _flags(
        self,
        verb: str,
        what: str = "",
        add: int = 0,
        remove: int = 0,
        add_tags: str = "",
        remove_tags: str = "",
    ) -> Job:
        return self._act(
            verb,
            what,
            lambda tx, job, ids: changes.change_flags(tx, job, ids, add, remove, add_tags, remove_tags),
        )

    # -- places ------------------------------------------------------------------------------

    def move(self, folder: Folder | str) -> Job:
        """Move to a folder: a Folder, or the name of one in the message's own account.

        Into another account the message is appended there, and removed here when it has arrived.
        """
        return self._place("moved", f"to {folder}", lambda account: account.folder(folder))

    def copy(self, folder: Folder | str) -> Job:
        """Copy to a folder, of another account too."""
        ids = self._chosen()
        places = self._places(ids, lambda account: account.folder(folder))

        def work(tx: Transaction, job: int, ids: Sequence[int]) -> int:
            for target, some in places.items():
                changes.copy(tx, job, some, target.id, target.account.id)
            return len(ids)

        return self._act("copied", f"to {folder}", work, ids)

    def archive(self) -> Job:
        """Move to the archive folder of the account."""
        return self._place("archived", "", lambda account: account.role("archive"))

    def trash(self) -> Job:
        """Move to the trash folder of the account."""
        return self._place("trashed", "", lambda account: account.role("trash"))

    def junk(self) -> Job:
        """Move to the junk folder of the account."""
        return self._place("moved", "to junk", lambda account: account.role("junk"))

    def not_junk(self) -> Job:
        """Move back to the inbox."""
        return self._place("moved", "to the inbox", lambda account: account.role("inbox"))

    def delete(self, confirm: bool = False) -> Job:
        """Remove for good, on the server too: this cannot be undone.

        Raises CommandError for more than 50 messages or 20 % of a folder unless `confirm` is set.
        """
        ids = self._chosen()
        if not confirm:
            self._refuse_mass_deletion(ids)
        return self._act("deleted", "for good", changes.delete, ids)

    def _refuse_mass_deletion(self, ids: Sequence[int]) -> None:
        held: Counter[int] = Counter()
        for some, marks in _pieces(ids):
            sql = f"SELECT folder, count(*) FROM message WHERE folder IS NOT NULL AND id IN ({marks}) GROUP BY folder"
            held.update(dict(map(tuple, self._context.store.read(sql, some))))
        for folder, count in held.items():
            total = self._context.store.read("SELECT count(*) FROM message WHERE folder = ?", (folder,))[0][0]
            if count > _MANY or (count > 1 and count > _MUCH * total):
                raise CommandError(
                    f"this removes {count} of {total} messages of a folder for good; say delete(confirm=True)"
                )

    def _place(self, verb: str, where: str, target: Callable[[Account], Folder]) -> Job:
        ids = self._chosen()
        places = self._places(ids, target)

        def work(tx: Transaction, job: int, ids: Sequence[int]) -> int:
            count = 0
            for folder, some in places.items():
                count += _move(tx, job, some, folder)
            return count

        return self._act(verb, where, work, ids)

    def _places(self, ids: Sequence[int], target: Callable[[Account], Folder]) -> dict[Folder, list[int]]:
        places: dict[Folder, list[int]] = {}
        for account, some in self._by_account(ids).items():
            places.setdefault(target(account), []).extend(some)
        return places

    def _by_account(self, ids: Sequence[int]) -> dict[Account, list[int]]:
        found: dict[Account, list[int]] = {}
        for some, marks in _pieces(ids):
            sql = f"SELECT id, account FROM message WHERE id IN ({marks})"
            for message, account in self._context.store.read(sql, some):
                found.setdefault(self._context.accounts.by_id(account), []).append(message)
        return found

    # -- out of the agent --------------------------------------------------------------------

    def save(self, folder: str | Path) -> Job:
        """Write each message into a folder as a new file, named by its date and subject."""
        from agent.core import outside  # it imports Message, which is made of these verbs

        return outside.save(self._context, self._chosen(), folder)

    def export(self, path: str | Path, format: str = "mbox") -> Job:
        """Write the messages into a new mbox file, or add them to a `maildir` or a folder of `eml` files."""
        from agent.core import outside

        return outside.export(self._context, self._chosen(), path, format)

    def pipe(self, command: str | Sequence[str]) -> Job:
        """Run a program once for each message, its bytes on standard input; no shell reads the words.

        Raises CommandError when it cannot be run or ends with a status that is not 0.
        """
        from agent.core import outside

        return outside.pipe(self._context, self._chosen(), command)

    def resend(self, to: str) -> Job:
        """Send the messages on as they are (RFC 5322 section 3.6.6): the answer goes to who wrote them."""
        from agent.core import outside

        return outside.resend(self._context, self._chosen(), to)

    # -- common ------------------------------------------------------------------------------

    def _act(
        self,
        verb: str,
        what: str,
        work: Callable[[Transaction, int, Sequence[int]], int],
        ids: Sequence[int] | None = None,
    ) -> Job:
        context, who = self._context, actor()
        chosen = self._chosen() if ids is None else ids
        label = f"{verb} {_count(len(chosen))}{' ' + what if what else ''}"

        def transaction(tx: Transaction) -> int:
            now = context.clock.now()
            job = job_rows.add_job(
                tx, "verb", label, now, bulk=len(chosen) > _BULK, origin=who.origin, cause=who.cause
            )
            count = work(tx, job, chosen)
            if len(chosen) > _BULK:
                job_rows.set_job(tx, job, total=count)
            job_rows.finish(tx, job, now)
            return job

        return jobs.submit(context, label, transaction)


def _pieces(ids: Sequence[int]) -> Iterator[tuple[Sequence[int], str]]:
    """Split ids into what one statement takes as parameters, with the marks for them."""
    for start in range(0, len(ids), 10_000):
        some = ids[start : start + 10_000]
        yield some, ",".join("?" * len(some))


def _move(tx: Transaction, job: int, ids: Sequence[int], folder: Folder) -> int:
    foreign = changes.foreign(tx, ids, folder.account.id)
    elsewhere = set(foreign)
    count = changes.move(tx, job, [message for message in ids if message not in elsewhere], folder.id)
    if foreign:
        appended = changes.copy(tx, job, foreign, folder.id, folder.account.id)
        count += changes.delete(tx, job, foreign, after=appended)
    return count


def _tags(names: Sequence[str]) -> str:
    for name in names:
        if not name or not name.isprintable() or any(c in ' (){%*"\\]' for c in name) or not name.isascii():
            raise CommandError(
                f'{name!r} cannot be a tag: letters, digits and signs but ( ) {{ % * " \\ ] only'
            )
    return messages.join_tags(names)


def _count(number: int) -> str:
    return "1 message" if number == 1 else f"{number} messages"


def folder_of(context: Context, folder: int) -> Folder | None:
    """Return the live folder with a row id."""
    row = context.read(folders.get, folder)
    return context.accounts.by_id(row.account).of_row(row) if row else None
