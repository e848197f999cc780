"""UID sets as IMAP writes them: `3:9,12`; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_LONGEST = 6000  # octets of a set in one command; servers refuse lines from 8 kB on


def compress(uids: Iterable[int]) -> str:
    """Return the shortest set of ranges for some UIDs."""
    return ",".join(_ranges(uids))


def chunks(uids: Iterable[int], most: int = 1_000_000) -> Iterator[tuple[str, list[int]]]:
    """Split UIDs into sets that fit a command line, of at most `most` UIDs; yield (set, UIDs)."""
    current: list[int] = []
    ordered = sorted(uids)
    length, run, previous = 0, 0, None
    for uid in ordered:
        run = run + 1 if previous is not None and uid == previous + 1 else 1
        # A range is written as its first and its last.
        cost = len(str(uid)) + 1 if run <= 2 else 0
        if current and (length + cost > _LONGEST or len(current) >= most):
            yield compress(current), current
            current, length, run, cost = [], 0, 1, len(str(uid)) + 1
        current.append(uid)
        length += cost
        previous = uid
    if current:
        yield compress(current), current


def _ranges(uids: Iterable[int]) -> Iterator[str]:
    first = last = None
    for uid in sorted(set(uids)):
        if last is not None and uid == last + 1:
            last = uid
            continue
        if first is not None:
            yield f"{first}" if first == last else f"{first}:{last}"
        first = last = uid
    if first is not None:
        yield f"{first}" if first == last else f"{first}:{last}"
