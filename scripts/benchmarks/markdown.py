"""The table for the README out of a result: `python -m scripts.benchmarks.markdown bench-data/result-100000.json`.

Several results are taken together, the later ones winning row by row.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scripts.benchmarks.goals import GOALS, Verdict
from scripts.benchmarks.measure import Measured
from scripts.benchmarks.rows import GROUPS

Rows = dict[str, dict[str, Any]]


def read(files: Sequence[Path]) -> Rows:
    """Return the measured rows of some results by their names."""
    rows: Rows = {}
    for file in files:
        for row in json.loads(file.read_text())["rows"]:
            if "seconds" in row:
                rows[row["name"]] = row
    return rows


def lines(rows: Rows) -> Iterator[str]:
    """Yield the table: ours with its memory, the others with their ratio to it, the goals."""
    found = {name: Measured(row["seconds"], row["memory_mb"]) for name, row in rows.items()}
    yield "| work | agent | the others (ratio) | goal |"
    yield "|---|---|---|---|"
    for group in GROUPS:
        ours = [row for row in rows.values() if (row["group"], row["who"]) == (group.key, "ours")]
        others = [row for row in rows.values() if row["group"] == group.key and row["who"] != "ours"]
        if not ours:
            continue
        unit = ours[0]["seconds"]
        mine = "<br>".join(f"{_name(row['name'], ours)}{_time(row)}" for row in ours)
        theirs = "<br>".join(
            f"{row['name']} {_time(row)} ({_ratio(row['seconds'] / unit)})" for row in others
        )
        goals = "<br>".join(
            _goal(Verdict(goal, goal.look(found))) for goal in GOALS if goal.group == group.key
        )
        yield f"| {group.title} | {mine} | {theirs} | {goals} |"


def _name(name: str, ours: Sequence[dict[str, Any]]) -> str:
    return f"{name}: " if len(ours) > 1 else ""


def _time(row: dict[str, Any]) -> str:
    seconds, memory = row["seconds"], row["memory_mb"]
    time = (
        f"{seconds * 1000:.1f} ms"
        if seconds < 0.02
        else f"{seconds:.2f} s"
        if seconds < 10
        else f"{seconds:.0f} s"
    )
    return time + (f", {memory:,.0f} MB" if memory else "")


def _ratio(value: float) -> str:
    return f"{value:.0f}x" if value >= 10 else f"{value:.2g}x"


def _goal(verdict: Verdict) -> str:
    return (
        verdict.goal.text
        + {True: " ✓", False: f" ✗ ({_share(verdict)})", None: " (not measured)"}[verdict.met]
    )


def _share(verdict: Verdict) -> str:
    assert verdict.value is not None
    return f"{verdict.value / verdict.goal.limit:.1f} times that"


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines(read([Path(each) for each in sys.argv[1:]]))) + "\n")
