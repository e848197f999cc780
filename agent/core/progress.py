"""How far long work has come: a small value that its owner replaces and anybody may read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done, how much of it is done, and how much there is; None when nobody knows."""

    what: str
    done: int
    total: int | None = None
    unit: str = ""  # empty for things that are counted, `octets`

    @property
    def fraction(self) -> float | None:
        """How much of it is done, from 0 to 1."""
        if self.total is None:
            return None
        return min(1.0, self.done / self.total) if self.total else 1.0
