"""What is measured: groups of rows that do the same work, and the state they share. goals.py judges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from scripts.benchmarks.measure import Failed, Measured
from tests.harness.dovecot import Dovecot

# The same five searches for all who can search: sender, word, subject, phrase, prefix.
SEARCHES = ("from:kre", "linux", "subject:linux", '"operating system"', "linu*")


@dataclass(frozen=True, slots=True)
class Group:
    """One kind of work, and what we want to reach in it at 100,000 messages."""

    key: str
    title: str
    goal: str


GROUPS = (
    Group("headers", "all headers listed, empty store", "<= 3 s, and ahead of neomutt"),
    Group("first", "first screen, empty store", "<= 0.6 s from process start"),
    Group(
        "mirror",
        "all bodies mirrored and indexed",
        "<= 1/12 of mbsync+notmuch, <= 1/6 of mbsync+mu, <= 200 MB",
    ),
    Group("screen", "first screen, filled store", "<= 0.4 s, <= 100 MB"),
    Group("again", "nothing changed, sync again", "<= 0.35 s whole process, <= 50 ms in the console"),
    Group("search", "search, newest 50", "<= 10 ms in process, prefix of one letter <= 50 ms"),
    Group("rules", "two searches as imapfilter runs them", "<= 1.4 s with the same result"),
    Group("threads", "threads of the whole mailbox", "<= 1.5 s from nothing"),
    Group("keys", "key to paint", "p95 <= 16 ms"),
    Group("start", "start of the program", "--version <= 0.08 s, run -c pass <= 0.25 s"),
    # Only when asked for: they have servers of their own.
    Group(
        "million",
        "a folder of 1,000,000 messages",
        "listed <= 10 min, again <= 1 s and 8 s, screen <= 1 s, keys p95 <= 50 ms, flags <= 15 s, <= 500 MB",
    ),
    Group("accounts", "100 accounts", "usable <= 10 s, CPU <= 2 %, <= 400 MB, new mail <= 10 s"),
)


@dataclass(slots=True)
class Bench:
    """One run: the server, a scratch folder, and what the rows before found."""

    server: Dovecot
    count: int
    scratch: Path
    found: dict[str, Measured] = field(default_factory=dict)

    def earlier(self, name: str) -> Measured:
        """Return what the row of this name found."""
        if name not in self.found:
            raise Failed(f"needs {name!r} first")
        return self.found[name]


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement to take; `needs` is a program that has to be installed."""

    group: str
    who: Literal["ours", "peer", "wire"]
    name: str
    run: Callable[[Bench], Measured]
    needs: str = ""


def sum_of(*names: str) -> Callable[[Bench], Measured]:
    """Return a run that adds up earlier rows: work of several programs, or the same once more."""

    def run(bench: Bench) -> Measured:
        parts = [bench.earlier(name) for name in names]
        memory_mb = max(part.memory_mb or 0 for part in parts)
        return Measured(sum(part.seconds for part in parts), memory_mb, "as above")

    return run
