"""The agent itself, by its own commands: a generated configuration, a data folder of its own."""

from __future__ import annotations

import compileall
import contextlib
import importlib.util
import json
import shutil
import sqlite3
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from scripts.benchmarks.measure import Failed, Measured, Screen, best_of, command, until_screen_shows
from scripts.benchmarks.rows import SEARCHES, Bench, Row
from scripts.benchmarks.server import USER

STARTS = 5
KEYS = 200
SETTLED_S = 4.0  # after the start, so that only the keys are measured
ROOT = Path(__file__).parents[2]
AGENT = Path(sys.executable).with_name("agent")
CONFIG = """\
accounts:
  bench:
    address: {user}@example.org
    user: {user}
    imap: {{host: 127.0.0.1, port: {port}, security: none}}
    smtp: {{host: 127.0.0.1, port: 9, security: none, auth: none}}
    password_command: echo {password}
    fetch: {{folders: [INBOX]}}
    offline: {{bodies: {bodies}}}
"""
# Run inside `agent run -c`: the last line they print is JSON.
TIMED = """\
import json, time
began = time.perf_counter()
{code}
print(json.dumps({{"seconds": time.perf_counter() - began, "detail": str(detail)}}))
"""
# The fields of a row are read too, as a list shows them; of each query the median of five counts.
SEARCH = """\
times = {{}}
for query in {queries!r}:
    took = []
    for again in range(5):
        start = time.perf_counter()
        [(m.subject, m.date, m.from_, m.flags) for m in mail.search(query)[:50]]
        took.append(time.perf_counter() - start)
    times[query] = sorted(took)[2]
slow = max(times, key=times.get)
detail = "%d queries, median %.1f ms, slowest %s" % (len(times), sorted(times.values())[len(times) // 2] * 1000, slow)
began = time.perf_counter() - times[slow]
"""
KINDS = (
    *SEARCHES, "to:zzzteana", "list:ilug", "subject:re*", "lin*", "is:unread", "is:flagged newer:9y", "has:attachment",
    "before:2018-01-01", "larger:100k", "linux OR windows", "linux -kernel", "from:kre is:read",
    "(linux kernel) OR perl", "nosuchwordatall", '"free software" list:ilug', "body:money* subject:free",
)  # fmt: skip
LETTERS = ("a*", "e*", "s*", "x*", "subject:a*", "body:t* from:a")
AGAIN = """\
bench.sync().wait()
times = []
for n in range(7):
    start = time.perf_counter()
    bench.sync().wait()
    times.append(time.perf_counter() - start)
detail = "median of 7, connection there"
began = time.perf_counter() - sorted(times)[3]
"""
RULES = """\
import re
began = time.perf_counter()
kre = bench.inbox.search("from:kre is:read").count()
linux = bench.inbox.search("subject:linux OR subject:linux*")
linux = sum(1 for m in linux if re.search("[Ll]inux", m.subject))
detail = f"found {kre} and {linux}"
"""
THREADS = "detail = f'{len(bench.inbox.threads)} threads'"
# What reindexing does: forget all families, find them anew, write them.
REBUILT = """\
from agent import api
from agent.store import threads
api.active().store.write(threads.rebuild).result()
detail = "forgotten, found and stored again"
"""


def why_missing() -> str | None:
    """Return why the agent cannot be measured, None if it can."""
    if importlib.util.find_spec("agent.cli") is None:
        return "the command line is not there yet"
    return None if AGENT.exists() else f"no {AGENT}"


def compile_all() -> None:
    """Compile the modules, as they are where the program is installed."""
    compileall.compile_dir(ROOT / "agent", quiet=1)


def sync_headers(bench: Bench) -> Measured:
    """Start on an empty store until every header is in the list, as a peer's index shows them; no bodies.

    The detail tells when all were in threads too, which a peer's index does only when it sorts by them.
    """
    shutil.rmtree(bench.scratch / "agent-headers", ignore_errors=True)
    database = Path(environment(bench, "headers")["AGENT_DATA"]) / "mail.db"
    with ThreadPoolExecutor() as pool:
        began = time.perf_counter()
        listed = pool.submit(_wait_for_rows, database, bench.count)
        threaded = _agent(bench, "headers", "run", "-c", "assert len(bench.inbox)")
        return replace(
            threaded,
            seconds=listed.result() - began,
            detail=f"in threads too, and ended, after {threaded.seconds:.2f} s",
        )


def _wait_for_rows(database: Path, count: int) -> float:
    """Return the moment when a list of the store shows so many messages."""
    deadline = time.perf_counter() + 600
    while time.perf_counter() < deadline:
        with contextlib.suppress(sqlite3.Error), contextlib.closing(_read_only(database)) as db:
            while time.perf_counter() < deadline:
                if db.execute("SELECT count(*) FROM message WHERE folder IS NOT NULL").fetchone()[0] >= count:
                    return time.perf_counter()
                time.sleep(0.03)
        time.sleep(0.03)
    raise Failed(f"{database} never held {count} messages")


def _read_only(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True)


def sync_everything(bench: Bench) -> Measured:
    """Synchronise an empty store with all bodies, indexed."""
    return _agent(bench, "all", "sync")


def sync_again(bench: Bench) -> Measured:
    """Synchronise a store that has everything."""
    bench.earlier("agent sync, all bodies")
    return best_of([sync_everything(bench) for _ in range(STARTS)])


def first_screen_empty(bench: Bench) -> Measured:
    """Start the console on an empty store, until messages show."""
    found = []
    for _ in range(STARTS):
        shutil.rmtree(bench.scratch / "agent-90d", ignore_errors=True)
        found.append(_first_screen(bench, "90d"))
    return best_of(found)


def first_screen(bench: Bench) -> Measured:
    """Start the console on the store that has everything, until the newest message shows."""
    bench.earlier("agent sync, all bodies")
    return best_of([_first_screen(bench, "all") for _ in range(STARTS)])


def version(bench: Bench) -> Measured:
    """Start, say the version, end."""
    return best_of([_agent(bench, "all", "--version") for _ in range(STARTS)])


def run_pass(bench: Bench) -> Measured:
    """Start with the live objects on a store that was synced, do nothing, end."""
    bench.earlier("agent sync, all bodies")
    return best_of([_agent(bench, "all", "run", "-c", "pass") for _ in range(STARTS)])


def key_to_paint(bench: Bench) -> Measured:
    """Press `j` in the console on the filled store and wait for the first octet of the answer: the p95."""
    bench.earlier("agent sync, all bodies")
    with Screen([AGENT], environment(bench, "all")) as screen:
        screen.until("●")
        screen.until_quiet(SETTLED_S)
        took = []
        for _ in range(KEYS):
            took.append(screen.answer_to(b"j"))
            screen.until_quiet(0.03)
        memory_mb = screen.memory_mb
        screen.leave(b"ZZ")
    median = statistics.median(took) * 1000
    p95 = statistics.quantiles(took, n=20, method="inclusive")[-1]
    return Measured(p95, memory_mb, f"p95 of {KEYS}, median {median:.1f} ms")


def _first_screen(bench: Bench, bodies: str) -> Measured:
    # The mark of an unread message: a fifth are, so that it stands on every full screen of rows.
    return until_screen_shows([AGENT], "●", environment(bench, bodies), quit_keys=b"ZZ", timeout_s=60)


def _inside(bench: Bench, code: str) -> Measured:
    bench.earlier("agent sync, all bodies")
    found = _agent(bench, "all", "run", "-c", TIMED.format(code=code))
    try:
        said = json.loads(found.detail.splitlines()[-1])
    except (IndexError, ValueError):
        raise Failed(f"agent run printed no result: {found.detail[-200:]}") from None
    return Measured(said["seconds"], found.memory_mb, said["detail"])


def _search(bench: Bench, queries: Sequence[str]) -> Measured:
    return _inside(bench, SEARCH.format(queries=queries))


def _agent(bench: Bench, bodies: str, *arguments: str) -> Measured:
    return command([AGENT, *arguments], environment(bench, bodies))


def environment(bench: Bench, bodies: str) -> dict[str, str]:
    """Return the variables that lead to a configuration with this policy, and its data folder."""
    folder = bench.scratch / f"agent-{bodies}"
    config = folder / "config"
    if not config.exists():
        config.mkdir(parents=True, mode=0o700)
        server = bench.server
        (config / "config.yaml").write_text(
            CONFIG.format(user=USER, port=server.ports["imap"], password=server.password, bodies=bodies)
        )
        (config / "config.yaml").chmod(0o600)
    paths = {"AGENT_CONFIG": str(config), "AGENT_DATA": str(folder / "data"), "HOME": str(folder)}
    return paths | {"PYTHONDONTWRITEBYTECODE": ""}


ROWS = (
    Row("headers", "ours", "agent, all in the list", sync_headers),
    Row("mirror", "ours", "agent sync, all bodies", sync_everything),
    Row("screen", "ours", "agent", first_screen),
    Row("first", "ours", "agent, nothing stored", first_screen_empty),
    Row("again", "ours", "agent sync again", sync_again),
    Row("again", "ours", "sync() again, in process", lambda bench: _inside(bench, AGAIN)),
    Row("search", "ours", "search()[:50], slowest", lambda bench: _search(bench, KINDS)),
    Row("search", "ours", "search()[:50], one letter", lambda bench: _search(bench, LETTERS)),
    Row("rules", "ours", "two searches, in process", lambda bench: _inside(bench, RULES)),
    Row("threads", "ours", "threads from nothing, in process", lambda bench: _inside(bench, REBUILT)),
    Row("threads", "ours", "threads as kept, in process", lambda bench: _inside(bench, THREADS)),
    Row("keys", "ours", "agent, j, p95", key_to_paint),
    Row("start", "ours", "agent --version", version),
    Row("start", "ours", "agent run -c pass", run_pass),
)
