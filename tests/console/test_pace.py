from __future__ import annotations

from agent.console.pace import Pace


class Watch:
    """A clock and a store that the test moves on."""

    def __init__(self) -> None:
        self.time, self.revision = 100.0, 1

    def frame(self, pace: Pace, lasts: float) -> tuple[int, float]:
        """Draw a frame; return what it showed and how long something newer was held back."""
        held = pace.begin()
        self.time += lasts
        pace.end()
        return pace.revision(), held


def test_what_is_quick_is_looked_at_each_time() -> None:
    watch = Watch()
    pace = Pace(lambda: watch.revision, lambda: watch.time)
    for revision in (1, 2, 3):
        watch.revision = revision
        assert watch.frame(pace, 0.01) == (revision, 0)


def test_what_takes_long_leaves_most_of_the_time_for_keys() -> None:
    watch = Watch()
    pace = Pace(lambda: watch.revision, lambda: watch.time)
    assert watch.frame(pace, 0.1) == (1, 0)
    watch.revision = 2
    shown, held = watch.frame(pace, 0.01)
    assert shown == 1
    assert 0.3 < held <= 0.4
    watch.time += held
    assert watch.frame(pace, 0.1) == (2, 0)


def test_a_frame_that_shows_nothing_new_does_not_hold_up_what_comes() -> None:
    watch = Watch()
    pace = Pace(lambda: watch.revision, lambda: watch.time)
    watch.frame(pace, 0.01)
    watch.frame(pace, 0.5)  # the same revision: a large screen, say
    watch.revision = 2
    assert watch.frame(pace, 0.01) == (2, 0)
