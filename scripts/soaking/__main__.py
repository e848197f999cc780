"""Try every step of every scenario, several at a time, and print the table."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from scripts.soaking.campaign import Campaign, Different, Point, sample
from scripts.soaking.scenarios import SCENARIOS
from scripts.soaking.zygote import Zygote
from tests.harness import dovecot
from tests.harness.sink import Sink


@dataclass(slots=True)
class Row:
    """What came of a scenario."""

    campaign: Campaign
    points: int = 0
    passed: int = 0
    unreached: int = 0
    seconds: float = 0.0
    differences: list[str] = field(default_factory=list)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description="Kill the agent, or cut its line, at every step of what it does."
    )
    parser.add_argument("name", nargs="*", help="scenarios whose names begin so; without it all of them")
    parser.add_argument("--sample", type=int, metavar="N", help="at most N steps of each scenario")
    parser.add_argument("--every", action="store_true", help="also at steps that are as good as others")
    parser.add_argument("--at", metavar="FAULT:N", help="one step only, such as kill:17")
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 1, help="runs at a time")
    parser.add_argument("--json", type=Path, help="write the results here as well")
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    return parser.parse_args()


class Workers:
    """Threads, each with a process that forks runs."""

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count)
        self._local = threading.local()
        self._zygotes: list[Zygote] = []

    def prepare(self, row: Row) -> Future[None]:
        """Have the undisturbed run made."""
        return self._pool.submit(self._timed, row, None)

    def attempt(self, row: Row, point: Point) -> Future[None]:
        """Have a point tried."""
        return self._pool.submit(self._timed, row, point)

    def stop(self) -> None:
        """End threads and processes."""
        self._pool.shutdown(cancel_futures=True)
        for zygote in self._zygotes:
            zygote.stop()

    def _timed(self, row: Row, point: Point | None) -> None:
        if not hasattr(self._local, "zygote"):
            self._local.zygote = Zygote()
            self._zygotes.append(self._local.zygote)
        begun = time.monotonic()
        try:
            if point is None:
                row.campaign.prepare(self._local.zygote)
            else:
                row.unreached += not row.campaign.attempt(self._local.zygote, point)
                row.passed += 1
        except Different as error:
            row.differences.append(str(error))
            print(f"\n{error}\n", file=sys.stderr, flush=True)
        finally:
            row.seconds += time.monotonic() - begun


def soak(rows: list[Row], options: argparse.Namespace) -> None:
    """Try the points of all scenarios."""
    workers = Workers(options.jobs)
    try:
        prepared = [(row, workers.prepare(row)) for row in rows]
        tries = []
        for row, ready in prepared:
            ready.result()
            points = chosen(row.campaign, options)
            row.points = len(points)
            tries += [workers.attempt(row, point) for point in points]
            print(f"{row.campaign.scenario.name}: {row.points} points", file=sys.stderr, flush=True)
        for each in tries:
            each.result()
    finally:
        workers.stop()


def chosen(campaign: Campaign, options: argparse.Namespace) -> Sequence[Point]:
    """Return the points to be tried."""
    if options.at:
        fault, _, at = options.at.partition(":")
        return [point for point in campaign.points if (point.fault, str(point.at)) == (fault, at)]
    points = campaign.points if options.every else campaign.telling()
    return sample(points, options.sample) if options.sample else points


def report(rows: list[Row]) -> Iterator[str]:
    """Yield the table."""
    yield f"{'scenario':20} {'points':>6} {'passed':>6} {'seconds':>8}  what"
    for row in rows:
        name, about = row.campaign.scenario.name, row.campaign.scenario.about
        yield f"{name:20} {row.points:6} {row.passed:6} {row.seconds:8.1f}  {about}"
    points, passed = sum(row.points for row in rows), sum(row.passed for row in rows)
    yield f"{'all':20} {points:6} {passed:6} {sum(row.seconds for row in rows):8.1f}"


def main() -> int:
    """Soak and report; 1 when anything came out otherwise than undisturbed."""
    options = arguments()
    if options.list:
        print("\n".join(f"{scenario.name:20} {scenario.about}" for scenario in SCENARIOS.values()))
        return 0
    names = [name for name in SCENARIOS if not options.name or any(map(name.startswith, options.name))]
    if not names:
        print(f"soak: no scenario begins with {' or '.join(options.name)}; see --list", file=sys.stderr)
        return 2
    # In memory where that can be had: a process that is killed loses nothing of it either.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    scratch = Path(tempfile.mkdtemp(prefix="soak.", dir=memory))
    begun = time.monotonic()
    with dovecot.running() as server, _sinking() as sink:
        rows = [Row(Campaign(SCENARIOS[name], server, sink, scratch)) for name in names]
        soak(rows, options)
    print("\n".join(report(rows)))
    print(f"{time.monotonic() - begun:.0f} s")
    if options.json:
        options.json.write_text(json.dumps([_record(row) for row in rows], indent=1) + "\n")
    failed = any(row.differences for row in rows)
    if not failed:
        shutil.rmtree(scratch)
    return int(failed)


def _record(row: Row) -> dict[str, object]:
    return {
        "scenario": row.campaign.scenario.name, "points": row.points, "passed": row.passed,
        "unreached": row.unreached, "seconds": round(row.seconds, 1), "differences": row.differences,
    }  # fmt: skip


@contextlib.contextmanager
def _sinking() -> Iterator[Sink]:
    sink = Sink()
    sink.start()
    try:
        yield sink
    finally:
        sink.stop()


if __name__ == "__main__":
    sys.exit(main())
