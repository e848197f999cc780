"""The status bar and the line below it: what is shown, what runs, what the keys are. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent.console.fragments import Line, fill, width_of
from agent.mail.safe import fit, safe

_LONGEST_STATEMENT = 40
_ACCOUNTS_NAMED = 3


@dataclass(frozen=True, slots=True)
class Status:
    """What the bar tells."""

    title: str
    detail: str = ""  # such as `12 unread of 40`
    marked: int = 0
    accounts: Sequence[tuple[str, str]] = ()  # name and status of those that are not simply online
    jobs: int = 0
    outbox: int = 0
    running: str = ""  # the statement or command on main
    waiting: int = 0  # how many are queued behind it
    handler: str = ""  # a hook that takes long
    where: str = ""


def status_line(status: Status, width: int) -> Line:
    """Return the bar, exactly `width` cells; the title gives way first."""
    right: Line = []
    if status.running:
        label = (
            status.running
            if len(status.running) <= _LONGEST_STATEMENT
            else status.running[:_LONGEST_STATEMENT] + "…"
        )
        queued = f" +{status.waiting}" if status.waiting else ""
        right.append(("class:status.busy", f" ▶ {safe(label)}{queued} (C-c stops) "))
    if status.handler:
        right.append(("class:status.busy", f" {safe(status.handler)} … "))
    right += [("class:status", f" {text} ") for text in _accounts(status.accounts)]
    if status.jobs:
        right.append(("class:status", f" ⇅ {status.jobs} "))
    if status.outbox:
        right.append(("class:status", f" outbox {status.outbox} "))
    right.append(("class:status", f" {status.where} "))
    left: Line = [("class:status bold", f" {status.title} ")]
    if status.detail:
        left.append(("class:status", f" {status.detail} "))
    if status.marked:
        left.append(("class:status.busy", f" {status.marked} marked "))
    room = width - width_of(right)
    if room < 10:
        return fill(right, width, "class:status")
    return [*fill(left, room, "class:status"), *right]


def _accounts(accounts: Sequence[tuple[str, str]]) -> list[str]:
    """Return what is to be told of accounts: of many only how many are in which state."""
    if len(accounts) <= _ACCOUNTS_NAMED:
        return [f"{safe(name)}: {fit(safe(state), min(30, len(state)))}" for name, state in accounts]
    states = Counter(state.partition(":")[0] for _, state in accounts)
    told = ", ".join(f"{count} {safe(state)}" for state, count in states.most_common())
    return [f"accounts: {told}"]


def hint_line(hints: Sequence[tuple[str, str]], width: int) -> Line:
    """Return as many `key action` hints as fit."""
    line: Line = []
    for key, action in hints:
        more: Line = [("class:hint.key", f" {key}"), ("class:hint", f" {action} ")]
        if width_of(line) + width_of(more) > width:
            break
        line += more
    return line
