"""Shows how far long work has come: one line that is redrawn on a terminal, plain lines in a pipe.

meter = Meter(sys.stderr, clock)
meter.show(Progress("listing INBOX", 1200, 100_000))
meter.end()
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable
from typing import TextIO

from agent.clock import Clock
from agent.core.progress import Progress
from agent.mail.safe import cell_width, fit, safe
from agent.store.db import Store

_REDRAW_S, _LINE_S = 0.1, 5.0  # on a terminal; in a pipe
_RATE_S = 8.0  # the rate is that of the last seconds
_BAR = 24
_UNITS = ("B", "kB", "MB", "GB", "TB")


class Meter:
    """The line about one piece of work after the other."""

    def __init__(self, out: TextIO, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self._live = out.isatty()
        self._shown: Progress | None = None
        self._seen: deque[tuple[float, int]] = deque()
        self._next = 0.0
        self._told = False
        self._drawn = False

    def show(self, progress: Progress) -> None:
        """Show how far it is; call it as often as there is something to tell."""
        now = self._clock.monotonic()
        if self._shown is None or self._shown.what != progress.what or progress.done < self._shown.done:
            self._begin(progress, now)
        self._shown = progress
        self._seen.append((now, progress.done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _RATE_S:
            self._seen.popleft()
        if now >= self._next:
            self._next = now + (_REDRAW_S if self._live else _LINE_S)
            self._write()

    def tell(self, line: str) -> None:
        """Write a line of its own, above what is redrawn."""
        self._clear()
        self._out.write(safe(line) + "\n")
        self._out.flush()

    def end(self) -> None:
        """Take the line away, or write how far it came."""
        if self._live:
            self._clear()
        elif self._shown is not None and self._told:
            self._write()
        self._shown = None

    def _begin(self, progress: Progress, now: float) -> None:
        if self._shown is not None and not self._live and self._told:
            self._write()
        self._seen.clear()
        # What is over at once needs no line in a pipe.
        self._next = now + (0.0 if self._live else _LINE_S)
        self._told = False

    def _write(self) -> None:
        assert self._shown is not None
        self._told = True
        if not self._live:
            self._out.write(self._words(self._shown) + "\n")
            self._out.flush()
            return
        width = shutil.get_terminal_size((80, 24)).columns - 1
        self._out.write("\r" + fit(self._line(self._shown, width), width))
        self._out.flush()
        self._drawn = True

    def _line(self, progress: Progress, width: int) -> str:
        words = self._words(progress)
        part = progress.fraction
        if part is None or cell_width(words) + _BAR + 3 > width:
            return words
        full = int(part * _BAR)
        return f"[{'#' * full}{'-' * (_BAR - full)}] {words}"

    def _words(self, progress: Progress) -> str:
        number = _octets if progress.unit == "octets" else "{:,}".format
        done = number(progress.done)
        words = [
            f"{safe(progress.what)}: {done}" + (f" of {number(progress.total)}" if progress.total else "")
        ]
        rate = self._rate()
        if rate > 0:
            words.append(f"{number(round(rate))}/s")
            if progress.total and progress.total > progress.done:
                words.append(f"{_duration((progress.total - progress.done) / rate)} left")
        return " · ".join(words)

    def _rate(self) -> float:
        (begun, first), (now, last) = self._seen[0], self._seen[-1]
        return (last - first) / (now - begun) if now > begun else 0.0

    def _clear(self) -> None:
        if self._drawn:
            width = shutil.get_terminal_size((80, 24)).columns - 1
            self._out.write("\r" + " " * width + "\r")
            self._out.flush()
            self._drawn = False


def follow(
    store: Store, finished: Callable[[], bool], look: Callable[[], Progress | None], meter: Meter
) -> None:
    """Show what `look` finds until the work is finished, also when it ends by an exception."""
    try:
        while not store.wait_until(finished, _REDRAW_S):
            seen = look()
            if seen is not None:
                meter.show(seen)
    finally:
        meter.end()


def _octets(number: int) -> str:
    size, unit = float(number), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:.1f} {_UNITS[unit]}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    return (
        f"{whole // 60} min {whole % 60:02d} s"
        if whole < 5400
        else f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    )
