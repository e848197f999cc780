"""What differs between a folder as it is known and as the server has it, found in pieces.

A folder of a million messages takes no more memory than one of some thousands, and the wire is free
for others between two pieces. Pure but for what it reads.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from agent.net.base import FlagState
from agent.store.tags import join_tags

Seen = tuple[int, int, str]  # UID, flags, tags as the store keeps them


def differing(server: Iterable[FlagState], known: Iterable[Seen]) -> tuple[list[FlagState], list[int]]:
    """Return what has other flags than known, and the known UIDs that the server has no more."""
    there = {flag.uid: flag for flag in server}
    changed: list[FlagState] = []
    gone: list[int] = []
    for uid, flags, tags in known:
        flag = there.get(uid)
        if flag is None:
            gone.append(uid)
        elif flag.bits != flags or ((tags or flag.tags) and tags != join_tags(flag.tags)):
            changed.append(flag)
    return changed, gone


def missing(present: Sequence[int], known: Sequence[int]) -> list[int]:
    """Return the known UIDs, in order, that are not among those present, in order."""
    if not known:
        return []
    low, high = bisect_left(present, known[0]), bisect_right(present, known[-1])
    there = set(present[low:high])
    return [uid for uid in known if uid not in there]
