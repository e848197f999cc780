"""Mailboxes on the Dovecot: filled as files, copied as files, and changed by another client."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.harness.dovecot import Dovecot

_BEGIN = 1_780_000_000  # INTERNALDATE of the first message


def message(number: int, body: str = "", subject: str = "") -> bytes:
    """Return a message that can be told from all others by Message-ID, subject and a word of its body."""
    minute, hour = number % 60, 8 + number // 60
    return (
        f"From: Bob <bob@example.com>\r\nTo: Ann <ann@example.org>\r\nSubject: {subject or f'number {number}'}\r\n"
        f"Message-ID: <m{number}@example.com>\r\nDate: Mon, 02 Nov 2026 {hour:02d}:{minute:02d}:00 +0000\r\n\r\n"
        f"{body or 'Hello.'} word{number}word\r\n"
    ).encode()


class Mailbox:
    """One user's mail on the server."""

    def __init__(self, dovecot: Dovecot, user: str) -> None:
        self._dovecot = dovecot
        self.user = user
        self.home = dovecot.dir / "home" / user

    def _maildir(self, folder: str) -> Path:
        root = self.home / "Maildir"
        return root if folder == "INBOX" else root / f".{folder.replace('/', '.')}"

    def put(
        self, numbers: Sequence[int], folder: str = "INBOX", *, flags: str = "", keywords: Sequence[str] = ()
    ) -> None:
        """Lay messages into a folder that no client has seen yet; flags in Maildir's letters."""
        place = self._maildir(folder)
        for name in ("cur", "new", "tmp"):
            (place / name).mkdir(parents=True, exist_ok=True)
        if folder != "INBOX":
            (place / "maildirfolder").touch()
        letters = flags
        if keywords:
            (place / "dovecot-keywords").write_text(
                "".join(f"{n} {word}\n" for n, word in enumerate(keywords))
            )
            letters += "".join(chr(ord("a") + n) for n in range(len(keywords)))
        for number in numbers:
            raw = message(number)
            file = (
                place / "cur" / f"{_BEGIN + number}.M{number}.host,S={len(raw)}:2,{''.join(sorted(letters))}"
            )
            file.write_bytes(raw)
            os.utime(file, (_BEGIN + number, _BEGIN + number))

    def seen(self) -> None:
        """Have the server give out UIDs."""
        self._dovecot.give(self.home)
        self._doveadm("fetch", "uid", "mailbox", "*", "all")

    def copy_to(self, other: Mailbox) -> None:
        """Give another user the same mail under the same UIDs."""
        shutil.copytree(self.home, other.home)
        self._dovecot.give(other.home)

    def remove(self) -> None:
        """Take the mail off the server."""
        shutil.rmtree(self.home, ignore_errors=True)

    # -- another client ----------------------------------------------------------------------

    def flag(self, sign: str, words: str, *numbers: int, folder: str = "INBOX") -> None:
        """Add (`add`) or remove (`remove`) flags and keywords."""
        for number in numbers:
            self._doveadm("flags", sign, words, *_named(folder, number))

    def expunge(self, *numbers: int, folder: str = "INBOX") -> None:
        """Remove messages for good."""
        for number in numbers:
            self._doveadm("expunge", *_named(folder, number))

    def move(self, target: str, *numbers: int, folder: str = "INBOX") -> None:
        """Move messages."""
        for number in numbers:
            self._doveadm("move", target, *_named(folder, number))

    def deliver(self, *numbers: int, folder: str = "INBOX") -> None:
        """Let new mail come."""
        for number in numbers:
            self._dovecot.save(self.user, message(number), folder)

    def create(self, *folders: str) -> None:
        """Create folders."""
        self._doveadm("mailbox", "create", *folders)

    def delete_folder(self, folder: str) -> None:
        """Delete a folder and what is in it."""
        self._doveadm("mailbox", "delete", folder)

    def renumber(self, folder: str = "INBOX") -> None:
        """Give the messages other UIDs, in another order, under a new UIDVALIDITY."""
        before = self._validity(folder)
        place = self._maildir(folder)
        for name in ("dovecot-uidlist", *(path.name for path in place.glob("dovecot.index*"))):
            (place / name).unlink(missing_ok=True)
        files = sorted((place / "cur").iterdir())
        for number, file in enumerate(reversed(files)):
            kept = file.stat()
            file = file.rename(file.with_name(f"{_BEGIN + number}.R{number}.{file.name.partition('.')[2]}"))
            os.utime(file, (kept.st_atime, kept.st_mtime))
        self._doveadm("fetch", "uid", "mailbox", folder, "all")
        if self._validity(folder) == before:
            self._doveadm("mailbox", "update", "--uid-validity", str(before + 77), folder)
        assert self._validity(folder) != before

    def _validity(self, folder: str) -> int:
        return int(self._doveadm("mailbox", "status", "uidvalidity", folder).rpartition("=")[2])

    def _doveadm(self, *words: str) -> str:
        command = 2 if words[0] in ("mailbox", "flags") else 1
        return self._dovecot.doveadm(*words[:command], "-u", self.user, *words[command:])


def _named(folder: str, number: int) -> tuple[str, ...]:
    return ("mailbox", folder, "header", "message-id", f"<m{number}@example.com>")
