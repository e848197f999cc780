"""The Dovecot that all are measured against: one sdbox mailbox, kept between runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmarks import corpus
from tests.harness.dovecot import Dovecot, Options

USER = "bench"


@contextlib.contextmanager
def serving(count: int, data: Path, progress: corpus.Progress) -> Iterator[Dovecot]:
    """Serve a mailbox of `count` messages; the first time it is made, which takes a while."""
    folder = own_folder(f"agent-bench-{os.getuid()}-{count}")
    server = Dovecot(Options(mail_location="sdbox:~/dbox", quota="0", folder=folder))
    done = folder / "imported"
    _refuse_if_served(folder)
    if not done.exists():
        shutil.rmtree(folder)
        folder = own_folder(folder.name)
    for cached in (folder / "home").rglob("dovecot.index.thread"):
        cached.unlink()  # of an earlier run: the first THREAD shall be the first
    server.start()
    try:
        if not done.exists():
            maildir = folder / "maildir"
            messages = corpus.originals(data, progress)
            progress(f"growing {count:,} messages out of {len(messages):,}")
            corpus.grow(messages, count, maildir)
            server.give(maildir)
            progress("importing them into Dovecot")
            server.doveadm("import", "-u", USER, f"maildir:{maildir}", "", "all")
            shutil.rmtree(maildir)
            done.touch()
        yield server
    finally:
        server.stop()


def _refuse_if_served(folder: Path) -> None:
    """Two runs on one mailbox would measure each other."""
    with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
        pid = int((folder / "run" / "master.pid").read_text())
        os.kill(pid, 0)
        raise SystemExit(
            f"bench: {folder} is being served by process {pid}; end it, or set TMPDIR to another place"
        )


def own_folder(name: str) -> Path:
    """Return a folder of ours in the system's temporary one, made when it is not there."""
    # In the system's temporary folder: its path is short, and a root's server may read it.
    folder = Path(tempfile.gettempdir()) / name
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if folder.is_symlink() or not folder.is_dir():
        raise SystemExit(f"bench: {folder} is in the way; remove it")
    return folder
