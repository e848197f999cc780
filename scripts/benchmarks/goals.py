"""What we want to reach, and whether it was: figures for the table, never a failing test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scripts.benchmarks.measure import Measured

Found = Mapping[str, Measured]


@dataclass(frozen=True, slots=True)
class Goal:
    """At most `limit`, of what `look` finds in the results; None when something was not measured."""

    group: str
    text: str
    limit: float
    look: Callable[[Found], float | None]
    unit: str = "s"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal beside what was found."""

    goal: Goal
    value: float | None

    @property
    def met(self) -> bool | None:
        """Whether it was reached; None when it could not be looked at."""
        return None if self.value is None else self.value <= self.goal.limit

    def __str__(self) -> str:
        if self.value is None:
            return f"goal: {self.goal.text}: not measured"
        share = self.value / self.goal.limit
        said = "met" if self.met else "missed"
        return f"goal: {self.goal.text}: {_figure(self.value, self.goal.unit)}, {said} ({share:.2f} of it)"


def seconds(name: str) -> Callable[[Found], float | None]:
    """Return a look at the time of a row."""
    return lambda found: found[name].seconds if name in found else None


def memory(name: str) -> Callable[[Found], float | None]:
    """Return a look at the memory of a row, in megabytes."""
    return lambda found: found[name].memory_mb if name in found else None


def ratio(name: str, other: str) -> Callable[[Found], float | None]:
    """Return a look at the time of a row as a part of another's."""
    return lambda found: (
        found[name].seconds / found[other].seconds if name in found and other in found else None
    )


HEADERS, MIRROR = "agent, all in the list", "agent sync, all bodies"
GOALS = (
    Goal("headers", "<= 3 s", 3.0, seconds(HEADERS)),
    Goal("headers", "ahead of neomutt", 1.0, ratio(HEADERS, "neomutt, no cache"), "x"),
    Goal("first", "<= 0.6 s from process start", 0.6, seconds("agent, nothing stored")),
    Goal("mirror", "<= 1/12 of mbsync + notmuch", 1 / 12, ratio(MIRROR, "mbsync + notmuch new"), "x"),
    Goal("mirror", "<= 1/6 of mbsync + mu", 1 / 6, ratio(MIRROR, "mbsync + mu index"), "x"),
    Goal("mirror", "<= 200 MB", 200.0, memory(MIRROR), "MB"),
    Goal("screen", "<= 0.4 s from process start", 0.4, seconds("agent")),
    Goal("screen", "<= 100 MB", 100.0, memory("agent"), "MB"),
    Goal("again", "<= 0.35 s whole process", 0.35, seconds("agent sync again")),
    Goal("again", "<= 50 ms in the console", 0.05, seconds("sync() again, in process")),
    Goal("search", "<= 10 ms, any query", 0.01, seconds("search()[:50], slowest")),
    Goal("search", "<= 50 ms, prefix of one letter", 0.05, seconds("search()[:50], one letter")),
    Goal("rules", "<= 1.4 s", 1.4, seconds("two searches, in process")),
    Goal("rules", "<= 1/10 of imapfilter", 0.1, ratio("two searches, in process", "imapfilter"), "x"),
    Goal("threads", "<= 1.5 s from nothing", 1.5, seconds("threads from nothing, in process")),
    Goal("keys", "p95 <= 16 ms", 0.016, seconds("agent, j, p95")),
    Goal("start", "--version <= 0.08 s", 0.08, seconds("agent --version")),
    Goal("start", "run -c pass <= 0.25 s", 0.25, seconds("agent run -c pass")),
    Goal("million", "listed in 10 minutes", 600.0, seconds("headers listed, one kill")),
    Goal("million", "listed in <= 500 MB", 500.0, memory("headers listed, one kill"), "MB"),
    Goal("million", "first screen <= 1 s", 1.0, seconds("first screen")),
    Goal("million", "screen in <= 500 MB", 500.0, memory("keys"), "MB"),
    Goal("million", "key to paint, p95 <= 16 ms", 0.016, seconds("keys")),
)


def verdicts(found: Found, group: str) -> list[Verdict]:
    """Return every goal of a group beside what was found."""
    return [Verdict(goal, goal.look(found)) for goal in GOALS if goal.group == group]


def _figure(value: float, unit: str) -> str:
    match unit:
        case "MB":
            return f"{value:,.0f} MB"
        case "x":
            return f"1/{1 / value:.1f}" if 0 < value < 1 else f"{value:.2f}x"
        case _:
            return f"{value:.3f} s" if value >= 0.1 else f"{value * 1000:.1f} ms"
