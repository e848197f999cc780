"""A folder of a million messages: listing that survives a kill, resync, first screen, keys, search, flags.

`python -m scripts.benchmarks.million ARGS` is `agent ARGS` on a server that tells no mod-sequences.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from agent.net import imap
from agent.net.base import FolderState, Server
from agent.net.imap import ImapBackend
from agent.net.wire import Client
from scripts.benchmarks import generated, ours
from scripts.benchmarks.corpus import Progress
from scripts.benchmarks.measure import Failed, Measured, Screen, command, until_screen_shows
from scripts.benchmarks.rows import Bench, Row
from scripts.benchmarks.server import USER, own_folder
from tests.harness.dovecot import Dovecot, Options

COUNT = 1_000_000
ROOT = Path(__file__).parents[2]
# The index and the cache of such a mailbox are larger than Dovecot lets a process map by default.
MORE = "default_vsz_limit = 0\nmdbox_rotate_size = 64M\n"
SYNC = "import time; t = time.perf_counter(); bench.sync().wait(); print(time.perf_counter() - t)"
SEARCHES = ("from:ba", "dor*", "subject:ensalra", "ensalra is:unread", "has:attachment", "before:2018-01-01")
FLAG = """\
import time
some = bench.inbox.search("before:2018-05-01")
t = time.perf_counter()
some.flag().wait()
print(time.perf_counter() - t)
some.unflag().wait()
print(len(some))
"""
KEYS = (("j", b"j", 60), ("C-d", b"\x04", 60), ("G", b"G", 5), ("C-u", b"\x15", 60), ("gg", b"gg", 5))


@contextlib.contextmanager
def serving(count: int, progress: Progress) -> Iterator[Dovecot]:
    """Serve a generated mailbox; the first time it is made, which takes some minutes."""
    folder = own_folder(f"agent-bench-{os.getuid()}-generated-{count}")
    done = folder / "appended"
    if not done.exists():
        shutil.rmtree(folder)
        folder = own_folder(folder.name)
    server = Dovecot(Options(mail_location="mdbox:~/mdbox", quota="0", folder=folder, more=MORE))
    server.start()
    try:
        if not done.exists():
            generated.append(server, USER, count, progress=progress)
            done.touch()
        yield server
    finally:
        server.stop()


def listed_in_two_runs(bench: Bench) -> Measured:
    """List an empty store, killed at half of it and taken up again."""
    began = time.perf_counter()
    kept = _killed_halfway(bench)
    found = _run(bench, "bench.sync().wait(); print(len(bench.inbox))")
    seconds = time.perf_counter() - began
    if int(found.detail.split()[-1]) != bench.count:
        raise Failed(f"{found.detail} messages in place of {bench.count}")
    return Measured(seconds, found.memory_mb, f"killed when {kept:,} were listed")


def _killed_halfway(bench: Bench) -> int:
    arguments = [str(ours.AGENT), "run", "-c", "bench.sync().wait()"]
    environment = ours.environment(bench, "headers")
    process = subprocess.Popen(arguments, env=os.environ | environment, stdin=subprocess.DEVNULL)
    store = Path(environment["AGENT_DATA"]) / "mail.db"
    try:
        while _listed(store) < bench.count // 2:
            if process.poll() is not None:
                raise Failed("the sync ended before half of it was done")
            time.sleep(0.2)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return _listed(store)


def _listed(store: Path) -> int:
    with contextlib.suppress(sqlite3.Error):
        db = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
        with contextlib.closing(db):
            return int(db.execute("SELECT max(id) FROM message").fetchone()[0] or 0)
    return 0


def synced_again(bench: Bench) -> Measured:
    """Sync again, the server tells that nothing has changed (QRESYNC)."""
    return _timed(_run(bench, SYNC))


def compared(bench: Bench) -> Measured:
    """Sync again, all flags compared: a server without mod-sequences."""
    arguments = [sys.executable, "-m", "scripts.benchmarks.million", "run", "-c", SYNC]
    return _timed(command(arguments, ours.environment(bench, "headers") | {"PYTHONPATH": str(ROOT)}))


def flagged(bench: Bench) -> Measured:
    """Flag a tenth of the folder as one job, to the end on the wire."""
    found = _run(bench, FLAG)
    seconds, count = found.detail.split()
    return Measured(float(seconds), found.memory_mb, f"{int(count):,} messages")


def searched_on_the_server(bench: Bench) -> Measured:
    """Read the answer of a server without ESEARCH: all UIDs in one line."""
    server = Server("127.0.0.1", bench.server.ports["imap"], "none", USER)
    backend = ImapBackend(server, lambda: bench.server.password)
    backend.connect()
    try:
        backend.select("INBOX")
        backend.capabilities -= {"ESEARCH"}
        began = time.perf_counter()
        found = backend.uids()
        return Measured(
            time.perf_counter() - began, None, f"{sum(len(str(uid)) + 1 for uid in found):,} octets"
        )
    finally:
        backend.close()


def first_screen(bench: Bench) -> Measured:
    """Start the console on the listed folder, until the list and its size show."""
    environment = ours.environment(bench, "headers")
    return until_screen_shows([ours.AGENT], f"/{bench.count}", environment, quit_keys=b"ZZ", timeout_s=60)


def keys(bench: Bench) -> Measured:
    """Press keys in the console and wait for the first octet of the answer: the slowest p95."""
    worst, told = 0.0, []
    with Screen([ours.AGENT], ours.environment(bench, "headers")) as screen:
        screen.until(f"/{bench.count}")
        screen.until_quiet(3)
        for name, key, times in KEYS:
            took = []
            for _ in range(times):
                took.append(screen.answer_to(key))
                screen.until_quiet(0.05)
            p95 = statistics.quantiles(took, n=20, method="inclusive")[-1]
            worst = max(worst, p95)
            told.append(f"{name} {p95 * 1000:.0f}")
        memory = screen.leave(b"ZZ")
    return Measured(worst, memory, f"p95 in ms: {', '.join(told)}")


def searches(bench: Bench) -> Measured:
    """Search the newest 50 of several queries: the slowest of them."""
    code = (
        "import time\nfor q in " + repr(SEARCHES) + ":\n"
        "    t = time.perf_counter(); mail.search(q)[:50]; print(time.perf_counter() - t)"
    )
    found = _run(bench, code)
    return Measured(max(map(float, found.detail.split())), found.memory_mb, f"{len(SEARCHES)} queries")


def _run(bench: Bench, code: str) -> Measured:
    return command([ours.AGENT, "run", "-c", code], ours.environment(bench, "headers"))


def _timed(found: Measured) -> Measured:
    last = re.findall(r"^[\d.e-]+$", found.detail, re.MULTILINE)
    return Measured(float(last[-1]), found.memory_mb)


ROWS = (
    Row("million", "ours", "headers listed, one kill", listed_in_two_runs),
    Row("million", "ours", "again, QRESYNC", synced_again),
    Row("million", "ours", "again, no mod-sequences", compared),
    Row("million", "ours", "first screen", first_screen),
    Row("million", "ours", "keys", keys),
    Row("million", "ours", "search()[:50]", searches),
    Row("million", "ours", "flags of a tenth", flagged),
    Row("million", "ours", "UID SEARCH, no ESEARCH", searched_on_the_server),
)


class _PlainBackend(ImapBackend):
    """A backend that does not see what a server without mod-sequences has not."""

    def _discover(self, client: Client) -> None:
        super()._discover(client)
        self._enabled = frozenset()

    def select(self, folder: str, *, since: tuple[int, int] | None = None) -> FolderState:
        return replace(super().select(folder, since=since), modseq=None)


def _main() -> int:
    from agent import cli

    setattr(imap, "ImapBackend", _PlainBackend)  # noqa: B010  # it is made by name
    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(_main())
