"""Run the rows in turn and print the table."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmarks import accounts, million, ours, peers, server, table, wire
from scripts.benchmarks.measure import Failed
from scripts.benchmarks.rows import GROUPS, Bench, Row
from tests.harness.dovecot import Dovecot

ROOT = Path(__file__).parents[2]
DATA = ROOT / "bench-data"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure the agent and its peers.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="10,000 messages in place of 100,000")
    size.add_argument("--messages", type=int, help="so many messages")
    size.add_argument("--million", action="store_true", help="what 1,000,000 generated messages cost, only")
    keys = [group.key for group in GROUPS if group.key != "million"]
    parser.add_argument("--only", choices=keys, action="append", help="one kind of work; may be repeated")
    parser.add_argument("--who", choices=["ours", "peer", "wire"], action="append", help="some rows only")
    parser.add_argument("--json", type=Path, help="where the results go (bench-data/result-N.json)")
    return parser.parse_args()


def progress(text: str) -> None:
    """Tell on stderr what is being done."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def chosen(options: argparse.Namespace) -> list[Row]:
    """Return the rows to run in the order of the groups, ours first."""
    if options.million:
        return [*million.ROWS]
    if options.only == ["accounts"]:
        return [*accounts.ROWS]
    order = [group.key for group in GROUPS]
    rows = [
        row
        for row in (*ours.ROWS, *peers.ROWS, *wire.ROWS)
        if (not options.only or row.group in options.only) and (not options.who or row.who in options.who)
    ]
    return sorted(rows, key=lambda row: order.index(row.group))


def measure(row: Row, bench: Bench) -> table.Result:
    """Take one measurement, or say why it cannot be taken."""
    if row.who == "ours" and (reason := ours.why_missing()):
        return table.Result(row, None, reason)
    if row.needs and shutil.which(row.needs) is None:
        return table.Result(row, None, f"{row.needs} is not installed")
    progress(f"{row.group}: {row.name}")
    try:
        bench.found[row.name] = row.run(bench)
    except Failed as error:
        return table.Result(row, None, str(error))
    return table.Result(row, bench.found[row.name])


@contextlib.contextmanager
def served(options: argparse.Namespace, count: int) -> Iterator[Dovecot]:
    """Serve the mailbox, or the mailboxes, that are to be measured on."""
    if options.only == ["accounts"]:
        with accounts.serving() as dovecot:
            yield dovecot
        return
    with (
        million.serving(count, progress)
        if options.million
        else server.serving(count, DATA, progress) as dovecot
    ):
        progress("warming up the server")
        wire.warm_up(dovecot)
        yield dovecot


def main() -> int:
    """Measure and report."""
    options = arguments()
    ours.compile_all()
    count = million.COUNT if options.million else options.messages or (10_000 if options.quick else 100_000)
    with served(options, count) as dovecot, tempfile.TemporaryDirectory(prefix="bench.") as scratch:
        bench = Bench(dovecot, count, Path(scratch))
        results = [measure(row, bench) for row in chosen(options)]
    print("\n".join(table.lines(results, count)))
    file = options.json or DATA / f"result-{count}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    table.write_json(results, count, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
