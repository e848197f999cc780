"""Numbers of contents, in the order of their dates: the text index is then read for a stretch of time.

A number is the hour of the date and a counter within it; an hour that is full goes on in the next
one. Answers never depend on this order, only how quick they are. Runs on the store thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from agent.store import rows
from agent.store.db import Transaction

_HOUR_S = 3600
_BITS = 8  # 256 messages an hour before the next one is used; wider gaps would make the index larger
_LAST_HOUR = (1 << 62 - _BITS) - 1


_LAST = """
SELECT json_group_array(max(coalesce((SELECT max(id) FROM content WHERE id < value), 0),
  coalesce((SELECT max(id) FROM text_docsize WHERE id < value), 0))) FROM json_each(?)
"""


class Numbers:
    """Gives numbers to new contents within one transaction; none is ever used twice."""

    def __init__(self, tx: Transaction, dates: Iterable[int] = ()) -> None:
        self._tx = tx
        self._next: dict[int, int] = {}  # hour -> the number that is free
        self._open: dict[int, int] = {}  # hour -> the hour it goes on in, where it is full
        self._look({_hour(date) for date in dates})

    def take(self, date: int) -> int:
        """Return a fresh number for a content whose message has this date; dates told before cost less."""
        wanted = _hour(date)
        hour = self._open.get(wanted, wanted)
        number = self._free(hour)
        while number >> _BITS != hour:
            hour = number >> _BITS
            number = self._free(hour)
        self._open[wanted] = hour
        self._next[hour] = number + 1
        return number

    def _free(self, hour: int) -> int:
        if hour not in self._next:
            self._look((hour,))
        return self._next[hour]

    def _look(self, hours: Iterable[int]) -> None:
        """Learn the number after the last one of each hour; the text index may still know what is gone."""
        hours = [*hours]
        ends = rows.listed(hour + 1 << _BITS for hour in hours)
        for hour, last in zip(hours, json.loads(self._tx.execute(_LAST, (ends,)).fetchone()[0]), strict=True):
            self._next[hour] = max(hour << _BITS, last + 1)


def _hour(date: int) -> int:
    return min(max(0, date // _HOUR_S), _LAST_HOUR)
