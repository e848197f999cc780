"""A slow line during bulk download: how long a person waits for what goes in between.

A mailbox of its own behind a proxy that passes 2 Mbit/s with 100 ms there and back; the agent brings all
bodies here while messages are opened and archived and new mail comes. Also to be run by itself:
`python -m scripts.benchmarks.slow_line`.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agent.app import Agent
from agent.config.load import load_text
from agent.config.paths import Paths
from agent.core.account import Account
from scripts.benchmarks.measure import Failed, Measured
from scripts.benchmarks.rows import Bench, Row
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot, running
from tests.harness.proxy import Proxy

USER = "slowline"
RATE, ROUND_TRIP_S = 250_000, 0.1
MESSAGES, LARGE, ROUNDS = 3_000, 20, 8
OPENED = 50_000  # octets of a message that is opened
CONFIG = """\
accounts:
  work:
    address: {user}@example.org
    user: {user}
    imap: {{host: 127.0.0.1, port: {port}, security: none, password: {password}}}
    offline: {{bodies: all}}
"""


@dataclass(slots=True)
class Line:
    """What was seen on one line: seconds of each attempt, and the octets of bodies that came a second."""

    opened: list[float] = field(default_factory=list)
    archived: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    rate: float = 0.0


def letter(number: int, size: int, year: int = 2020) -> bytes:
    """Return a message of about so many octets."""
    chance = random.Random(number)
    head = (
        f"From: Ann <ann@example.com>\r\nTo: Bob <bob@example.org>\r\nSubject: letter {number}\r\n"
        f"Message-ID: <{number}@slow.example.com>\r\n"
        f"Date: {1 + number % 28:02d} Jan {year} 10:{number % 60:02d}:00 +0000\r\n\r\n"
    )
    line = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz    ", k=70)) + "\r\n"
    return (head + line * max(1, (size - len(head)) // len(line))).encode()


def fill(server: Dovecot, folder: Path) -> None:
    """Give the user a mailbox: old messages to be opened, and many newer ones that come before them."""
    server.doveadm("expunge", "-u", USER, "mailbox", "*", "all")
    inbox = folder / "maildir" / "cur"
    for part in ("cur", "new", "tmp"):
        (folder / "maildir" / part).mkdir(parents=True)
    chance = random.Random(1)
    sizes = [OPENED] * LARGE + [min(400_000, int(chance.lognormvariate(8.3, 0.9))) for _ in range(MESSAGES)]
    sizes[-40] = 3_000_000  # one that takes the line for twelve seconds
    for number, size in enumerate(sizes):
        raw = letter(number, size, 2001 if number < LARGE else 2020)
        (inbox / f"{1_000_000 + number}.{number}.host:2,").write_bytes(raw)
    server.give(folder)
    server.doveadm("import", "-u", USER, f"maildir:{folder / 'maildir'}", "", "all")


@contextlib.contextmanager
def agent_on(port: int, password: str, folder: Path) -> Iterator[Agent]:
    """Run an agent on the user's mailbox in this process."""
    config = load_text(CONFIG.format(user=USER, port=port, password=password), "config.yaml")
    places = {"AGENT_CONFIG": str(folder / "config"), "AGENT_DATA": str(folder / "data")}
    agent = Agent(config, Paths.from_environment(places | {"XDG_RUNTIME_DIR": str(folder)}))
    agent.start()
    try:
        agent.serve(fill=True)
        yield agent
    finally:
        agent.stop()


def timed(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def watch(server: Dovecot, proxy: Proxy, agent: Agent) -> Line:
    """Open, archive and receive in turn while bodies come; the attempts come at any moment of a FETCH."""
    work: Account = agent.context.accounts["work"]
    eventually(lambda: here(agent) > 20, timeout_s=120)
    found, chance = Line(), random.Random(3)
    old = [m for m in work.inbox.sort("date") if m.subject.startswith("letter")][:LARGE]
    began, before = time.perf_counter(), octets(agent)
    for turn in range(ROUNDS):
        time.sleep(chance.uniform(0.3, 1.5))
        found.opened.append(timed(old[turn].fetch().wait))
        time.sleep(chance.uniform(0.3, 1.5))
        found.archived.append(timed(old[-1 - turn].archive().wait))
        time.sleep(chance.uniform(0.3, 1.5))
        subject = f"news {turn} {random.random()}"
        server.deliver(USER, f"Subject: {subject}\r\nFrom: a@example.com\r\n\r\nNews.\r\n".encode())
        found.seen.append(timed(lambda s=subject: eventually(lambda: arrived(agent, s), timeout_s=60)))  # type: ignore[misc]
        if agent.filled():
            raise Failed("the bodies were all here before the last attempt: the mailbox is too small")
    found.rate = (octets(agent) - before) / (time.perf_counter() - began)
    return found


def here(agent: Agent) -> int:
    """Return how many messages have their bodies here."""
    return int(agent.context.store.read("SELECT count(*) FROM content WHERE state = 2")[0][0])


def octets(agent: Agent) -> int:
    """Return how many octets of bodies are here."""
    sql = (
        "SELECT coalesce(sum(m.size), 0) FROM message m JOIN content c ON c.id = m.content WHERE c.state = 2"
    )
    return int(agent.context.store.read(sql)[0][0])


def arrived(agent: Agent, subject: str) -> bool:
    """Tell whether a message is in the store."""
    return bool(agent.context.store.read("SELECT 1 FROM content WHERE subject = ?", (subject,)))


def measure(server: Dovecot, *, round_trip_s: float = ROUND_TRIP_S, rate: float = RATE) -> Line:
    """Fill the mailbox and see what a person on the slow line sees."""
    proxy = Proxy(server.ports["imap"])
    proxy.start()
    # Short, and readable for the server's user.
    with tempfile.TemporaryDirectory(prefix="slow.", dir="/tmp") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        try:
            fill(server, folder)
            proxy.throttle(rate, round_trip_s / 2, shared=True)
            with agent_on(proxy.port, server.password, folder) as agent:
                return watch(server, proxy, agent)
        finally:
            proxy.stop()


def words(times: list[float]) -> str:
    """Return the attempts in a few words."""
    return f"median {statistics.median(times):.2f} s of {len(times)}"


def rows() -> tuple[Row, ...]:
    """Return the rows: one run, and what was seen in it."""
    line: list[Line] = []

    def run(times: Callable[[Line], list[float]]) -> Callable[[Bench], Measured]:
        def take(bench: Bench) -> Measured:
            if not line:
                line.append(measure(bench.server))
            found = times(line[0])
            return Measured(
                max(found), None, f"{words(found)}; bodies at {line[0].rate / RATE:.0%} of the line"
            )

        return take

    return (
        Row("slow", "ours", "open an absent message of 50 kB", run(lambda found: found.opened)),
        Row("slow", "ours", "archive on the wire", run(lambda found: found.archived)),
        Row("slow", "ours", "see new mail", run(lambda found: found.seen)),
    )


ROWS = rows()


def main() -> int:
    """Measure on a server of our own and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--round-trip", type=float, default=ROUND_TRIP_S, metavar="S")
    parser.add_argument("--rate", type=float, default=RATE, metavar="OCTETS_A_SECOND")
    options = parser.parse_args()
    with running() as server:
        found = measure(server, round_trip_s=options.round_trip, rate=options.rate)
    for name, times in (
        ("opened", found.opened),
        ("archived", found.archived),
        ("new mail seen", found.seen),
    ):
        print(f"{name:14} slowest {max(times):.2f} s, {words(times)}")
    print(f"{'bodies':14} {found.rate / 1000:.0f} kB/s, {found.rate / options.rate:.0%} of the line")
    return 0


if __name__ == "__main__":
    sys.exit(main())
