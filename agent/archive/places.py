"""Files and folders a person names: what kind of mail they hold, and how to write more of that kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from agent.archive import folders, mbox
from agent.archive.found import Found, Label
from agent.errors import CommandError, did_you_mean


class Writer(Protocol):
    """Where exported messages go."""

    def add(self, raw: bytes, label: Label) -> bool:
        """Write one message; return False when it is there already."""

    def close(self) -> None:
        """Finish what was written."""

    def discard(self) -> None:
        """Give up: remove what is not whole."""


_WRITERS: dict[str, Callable[[Path], Writer]] = {
    "mbox": mbox.MboxWriter,
    "maildir": folders.MaildirWriter,
    "eml": folders.EmlWriter,
}
FORMATS = tuple(_WRITERS)


def writer(path: Path, kind: str) -> Writer:
    """Return a writer of a format at a place; raises CommandError when something else is there."""
    if kind not in _WRITERS:
        known = ", ".join(FORMATS)
        raise CommandError(f"there is no format {kind!r}; known are {known}{did_you_mean(kind, FORMATS)}")
    if not path.parent.is_dir():
        raise CommandError(f"{path.parent} is not there; make it first")
    try:
        return _WRITERS[kind](path)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


class Sources:
    """What is to be read: mbox files, .eml files, Maildirs, folders of .eml files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Look at each place; raises CommandError for one that holds no mail or cannot be read."""
        self._places = [(path, *_look(path)) for path in paths]
        self.octets = sum(octets for _, _, octets, _ in self._places)

    def __iter__(self) -> Iterator[Found]:
        """Yield every message; `read` counts over all places."""
        before = 0
        for path, kind, octets, files in self._places:
            if kind == "mbox":
                yield from (_moved(found, before) for found in mbox.read(path))
            else:
                yield from folders.read(files, maildir=kind == "maildir", done=before)
            before += octets


def _moved(found: Found, before: int) -> Found:
    if not before:
        return found
    return Found(
        found.place, found.raw, found.flags, found.tags, found.received, found.read + before, found.problem
    )


def _look(path: Path) -> tuple[str, int, list[Path]]:
    """Return kind, octets and files of a place."""
    try:
        if path.is_dir():
            files = folders.files_of(path)
            kind = "maildir" if folders.is_maildir(path) else "eml"
            if not files and kind == "eml":
                raise CommandError(
                    f"{path} holds no .eml files and is no Maildir; name the folder or file with the mail"
                )
            return kind, sum(each.lstat().st_size for each in files), files
        if not path.is_file():
            problem = "is not there" if not path.exists() else "is neither a file nor a folder"
            raise CommandError(f"{path} {problem}")
        with path.open("rb") as file:
            start = file.read(5)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    size = path.stat().st_size
    return ("mbox", size, []) if mbox.is_mbox(start) or not start else ("eml", size, [path])
