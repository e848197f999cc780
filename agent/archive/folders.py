"""Folders of files with one message each: Maildir, and plain folders of .eml files.

A message is written under a name made of what it is, so that an export that was cut off goes on
where it stopped; nothing that lies there is ever overwritten, no link is followed.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.archive.found import LARGEST, Found, Label, with_crlf, with_lf
from agent.errors import CommandError
from agent.mail import flags as words
from agent.mail.safe import safe_filename

_LETTERS = {"S": words.SEEN, "R": words.ANSWERED, "F": words.FLAGGED, "D": words.DRAFT, "T": words.DELETED,
            "P": words.FORWARDED}  # fmt: skip
_SUFFIXES = (".eml", ".mime", ".msg822")


def is_maildir(path: Path) -> bool:
    """Tell whether a folder is a Maildir."""
    return (path / "cur").is_dir() and (path / "new").is_dir()


def files_of(path: Path) -> list[Path]:
    """Return the files of a Maildir or of a folder of .eml files that hold a message each, by name."""
    if is_maildir(path):
        return [each for part in ("cur", "new") for each in _regular(path / part)]
    return [each for each in _regular(path) if each.suffix.lower() in _SUFFIXES]


def _regular(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.is_file(follow_symlinks=False) and not entry.name.startswith(".")
        ]
    return [folder / name for name in sorted(names)]


def read(files: list[Path], *, maildir: bool, done: int = 0) -> Iterator[Found]:
    """Yield the message of each file; one that cannot be read is told and does not stop the others."""
    for path in files:
        try:
            size = path.stat().st_size
            done += size
            if size > LARGEST:
                yield Found(str(path), b"", read=done, problem=f"larger than {LARGEST >> 20} MiB")
                continue
            yield read_one(path, maildir=maildir, done=done)
        except OSError as error:
            yield Found(str(path), b"", read=done, problem=error.strerror or str(error))


def read_one(path: Path, *, maildir: bool, done: int) -> Found:
    """Return the message of one file; a Maildir's name tells flags, its time the arrival. Raises OSError."""
    raw = path.read_bytes()
    if not raw.strip():
        return Found(str(path), b"", read=done, problem="there is nothing in it")
    if not maildir:
        return Found(str(path), with_crlf(raw), read=done)
    letters = path.name.rpartition(":2,")[2] if ":2," in path.name else ""
    bits = 0
    for letter in letters:
        bits |= _LETTERS.get(letter, 0)
    return Found(str(path), with_crlf(raw), bits, received=max(0, int(path.stat().st_mtime)), read=done)


class MaildirWriter:
    """Writes into a Maildir, making it when it is not there."""

    def __init__(self, path: Path) -> None:
        _make_folder(path, lambda: is_maildir(path), "a Maildir")
        for part in ("tmp", "new", "cur"):
            (path / part).mkdir(mode=0o700, exist_ok=True)
        self._path = path
        self._there = {each.name.partition(":")[0] for each in files_of(path)}

    def add(self, raw: bytes, label: Label) -> bool:
        """Write one message; return False when it lies there already. Tags have no place in a Maildir."""
        base = f"{label.received}.{label.key}.agent"
        if base in self._there:
            return False
        letters = "".join(sorted(letter for letter, bit in _LETTERS.items() if label.flags & bit))
        temporary = self._path / "tmp" / f"{base}.{os.getpid()}"
        temporary.unlink(missing_ok=True)  # of a run that was cut off
        _write_new(temporary, with_lf(raw), label.received)
        try:
            os.link(temporary, self._path / "cur" / f"{base}:2,{letters}", follow_symlinks=False)
        finally:
            temporary.unlink()
        self._there.add(base)
        return True

    def close(self) -> None:
        """Make the names last."""
        _sync_folder(self._path / "cur")

    def discard(self) -> None:
        """Keep what is there: each file is whole."""


class EmlWriter:
    """Writes .eml files into a folder, with names a person can read."""

    def __init__(self, path: Path) -> None:
        _make_folder(path, lambda: not is_maildir(path), "a folder of .eml files")
        self._path = path

    def add(self, raw: bytes, label: Label) -> bool:
        """Write one message as `DATE SUBJECT KEY.eml`; return False when the same lies there already."""
        day = time.strftime("%Y-%m-%d", time.gmtime(label.received))
        name = safe_filename(f"{day} {label.subject[:80].replace('/', '_')} {label.key}.eml")
        temporary = self._path / f".{label.key}.{os.getpid()}.part"
        _write_new(temporary, raw, label.received)
        try:
            return self._place(temporary, name, raw)
        finally:
            temporary.unlink()

    def _place(self, temporary: Path, name: str, raw: bytes) -> bool:
        for number in range(1, 1000):
            path = self._path / (name if number == 1 else f"{name.removesuffix('.eml')} ({number}).eml")
            try:
                os.link(temporary, path, follow_symlinks=False)
            except FileExistsError:
                if _holds(path, raw):
                    return False
            else:
                return True
        raise CommandError(f"{self._path}: a thousand files are named {name!r}; export to another folder")

    def close(self) -> None:
        """Make the names last."""
        _sync_folder(self._path)

    def discard(self) -> None:
        """Keep what is there: each file is whole."""


def _make_folder(path: Path, fits: Callable[[], bool], what: str) -> None:
    if not os.path.lexists(path):
        path.mkdir(mode=0o700, parents=False)
        return
    if not path.is_dir():
        raise CommandError(f"{path} is there already and is no folder; name another place")
    if any(path.iterdir()) and not fits():
        raise CommandError(f"{path} is there already and is not {what}; name another place")


def _write_new(path: Path, data: bytes, moment: int) -> None:
    """Write a file that is not there yet; what could not be written whole is removed again."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(path, flags, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.utime(path, (moment, moment))
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def _holds(path: Path, data: bytes) -> bool:
    state = path.lstat()
    return stat.S_ISREG(state.st_mode) and state.st_size == len(data) and path.read_bytes() == data


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
