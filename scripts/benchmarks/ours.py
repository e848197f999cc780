"""The agent itself, by its own commands: a generated configuration, a data folder of its own."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

from scripts.benchmarks.measure import Failed, Measured, command, until_screen_shows
from scripts.benchmarks.rows import SEARCHES, Bench, Row
from scripts.benchmarks.server import USER

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
SEARCH = f"""\
times = []
for query in {SEARCHES!r}:
    start = time.perf_counter()
    [(m.subject, m.date) for m in mail.search(query)[:50]]
    times.append(time.perf_counter() - start)
detail = "slowest %.1f ms" % (max(times) * 1000)
began = time.perf_counter() - sorted(times)[len(times) // 2]
"""
RULES = """\
kre = bench.inbox.search("from:kre is:read").count()
linux = bench.inbox.search("subject:linux OR subject:linux*")
linux = sum(1 for m in linux if re.search("[Ll]inux", m.subject))
detail = f"found {kre} and {linux}"
"""
THREADS = "detail = f'{len(bench.inbox.threads)} threads'"


def why_missing() -> str | None:
    """Return why the agent cannot be measured, None if it can."""
    if importlib.util.find_spec("agent.cli") is None:
        return "the command line is not there yet"
    return None if AGENT.exists() else f"no {AGENT}"


def sync_headers(bench: Bench) -> Measured:
    """Synchronise an empty store until every header is listed, as the peers do; no bodies, no words."""
    return _agent(bench, "headers", "run", "-c", "bench.sync().wait(); assert len(bench.inbox)")


def sync_everything(bench: Bench) -> Measured:
    """Synchronise an empty store with all bodies, indexed."""
    return _agent(bench, "all", "sync")


def sync_again(bench: Bench) -> Measured:
    """Synchronise a store that has everything."""
    bench.earlier("agent sync, all bodies")
    return sync_everything(bench)


def first_screen_empty(bench: Bench) -> Measured:
    """Start the console on an empty store, until the newest message shows."""
    return _first_screen(bench, "90d")


def first_screen(bench: Bench) -> Measured:
    """Start the console on the store that has everything, until the newest message shows."""
    bench.earlier("agent sync, all bodies")
    return _first_screen(bench, "all")


def version(bench: Bench) -> Measured:
    """Start, say the version, end."""
    return _agent(bench, "all", "--version")


def run_pass(bench: Bench) -> Measured:
    """Start with the live objects, do nothing, end."""
    return _agent(bench, "all", "run", "-c", "pass")


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
    return {"AGENT_CONFIG": str(config), "AGENT_DATA": str(folder / "data"), "HOME": str(folder)}


ROWS = (
    Row("headers", "ours", "agent sync, headers", sync_headers),
    Row("mirror", "ours", "agent sync, all bodies", sync_everything),
    Row("screen", "ours", "agent", first_screen),
    Row("first", "ours", "agent, nothing stored", first_screen_empty),
    Row("again", "ours", "agent sync again", sync_again),
    Row("search", "ours", "search()[:50], in process", lambda bench: _inside(bench, SEARCH)),
    Row("rules", "ours", "two searches, in process", lambda bench: _inside(bench, RULES)),
    Row("threads", "ours", "threads, in process", lambda bench: _inside(bench, THREADS)),
    Row("start", "ours", "agent --version", version),
    Row("start", "ours", "agent run -c pass", run_pass),
)
