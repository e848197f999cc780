"""The result: a table with ratios for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmarks import goals
from scripts.benchmarks.measure import Measured
from scripts.benchmarks.rows import GROUPS, Row


@dataclass(frozen=True, slots=True)
class Result:
    """A row that was measured, or the reason why it was not."""

    row: Row
    measured: Measured | None
    missing: str = ""


def lines(results: Sequence[Result], count: int) -> Iterator[str]:
    """Yield the table; a ratio is the row's time in units of our first row, or of the quickest."""
    load = os.getloadavg()[0]
    yield f"{count:,} messages · {os.cpu_count()} cores · {platform.platform(terse=True)} · load {load:.1f}"
    for group in GROUPS:
        rows = [result for result in results if result.row.group == group.key]
        if not rows:
            continue
        yield ""
        yield f"{group.title}   (goal at 100,000: {group.goal})"
        unit = _unit(rows)
        for result in rows:
            yield "  " + _line(result, unit)
        for verdict in goals.verdicts(_found(results), group.key):
            yield f"    {verdict}"


def write_json(results: Sequence[Result], count: int, file: Path) -> None:
    """Write the results for programs; times in seconds, memory in megabytes."""
    rows = []
    for group in GROUPS:
        of_group = [result for result in results if result.row.group == group.key]
        unit = _unit(of_group)
        for result in of_group:
            found = result.measured
            rows.append(
                {"group": group.key, "who": result.row.who, "name": result.row.name}
                | (dataclasses.asdict(found) if found else {"missing": result.missing})
                | ({"ratio": round(found.seconds / unit, 3)} if found and unit else {})
            )
    machine = {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    measured = {result.row.group for result in results}
    judged = [
        {"group": one.goal.group, "goal": one.goal.text, "limit": one.goal.limit, "unit": one.goal.unit}
        | {"value": one.value, "met": one.met}
        for group in GROUPS
        if group.key in measured
        for one in goals.verdicts(_found(results), group.key)
    ]
    result = {"when": when, "messages": count, "machine": machine, "rows": rows, "goals": judged}
    file.write_text(json.dumps(result, indent=1))


def _found(results: Sequence[Result]) -> goals.Found:
    return {result.row.name: result.measured for result in results if result.measured}


def _unit(rows: Sequence[Result]) -> float:
    times = {
        who: [r.measured.seconds for r in rows if r.measured and r.row.who == who]
        for who in ("ours", "peer", "wire")
    }
    return times["ours"][0] if times["ours"] else min(times["peer"] + times["wire"], default=0.0)


def _line(result: Result, unit: float) -> str:
    name = f"{result.row.name:28}"
    found = result.measured
    if found is None:
        return f"{name} not measured: {result.missing}"
    memory = f"{found.memory_mb:7,.0f} MB" if found.memory_mb else " " * 10
    ratio = f"{found.seconds / unit:8.2f}x" if unit else ""
    detail = found.detail.rpartition("\n")[2]
    return f"{name} {found.seconds:9.3f} s {memory} {ratio}   {detail}".rstrip()
