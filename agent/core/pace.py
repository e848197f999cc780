"""How much one FETCH may ask for, so that what a person wants next never waits long behind it. No I/O."""

from __future__ import annotations

LEAST, MOST = 1 << 15, 1 << 23  # octets one FETCH asks for
FETCH_S = 0.5  # it should not keep the line longer than this, the way there and back not counted


class Pace:
    """The octets that come in half a second, by what came lately; begins low, for nothing is known yet."""

    def __init__(self) -> None:
        self.octets = LEAST

    def learn(self, octets: int, seconds: float) -> None:
        """Note how long something took from its first octets on."""
        if octets <= 0:
            return
        fits = octets / seconds * FETCH_S if seconds > 0 else MOST
        # A small answer tells little: it came in one piece, or the machine was busy just then.
        self.octets = int(min(MOST, max(LEAST, self.octets / 4, min(fits, self.octets * 8))))
