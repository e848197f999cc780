"""Numbers of contents, in the order of their dates: the text index is then read for a stretch of time.

A number is the hour of the date and a counter within it; an hour that is full goes on in the next
one. Answers never depend on this order, only how quick they are. Runs on the store thread.
"""

from __future__ import annotations

from agent.store.db import Transaction

_HOUR_S = 3600
_BITS = 8  # 256 messages an hour before the next one is used; wider gaps would make the index larger
_LAST_HOUR = (1 << 62 - _BITS) - 1


class Numbers:
    """Gives numbers to new contents within one transaction; none is ever used twice."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._next: dict[int, int] = {}  # hour -> the number that is free
        self._open: dict[int, int] = {}  # hour -> the hour it goes on in, where it is full

    def take(self, date: int) -> int:
        """Return a fresh number for a content whose message has this date."""
        wanted = min(max(0, date // _HOUR_S), _LAST_HOUR)
        hour = self._open.get(wanted, wanted)
        number = self._next.get(hour) or self._free(hour)
        while number >> _BITS != hour:
            hour = number >> _BITS
            number = self._next.get(hour) or self._free(hour)
        self._open[wanted] = hour
        self._next[hour] = number + 1
        return number

    def _free(self, hour: int) -> int:
        """Return the number after the last one of an hour; the text index may still know what is gone."""
        end = hour + 1 << _BITS
        last = max(
            self._tx.execute(f"SELECT max(id) FROM {table} WHERE id < ?", (end,)).fetchone()[0] or 0
            for table in ("content", "text_docsize")
        )
        return max(hour << _BITS, last + 1)
