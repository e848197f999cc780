"""How long to wait before connecting again, by a clock that the test moves."""

from __future__ import annotations

import itertools
import math

from agent.core.patience import BACKOFF_S, MOST_AN_HOUR, MOST_REFUSED, Patience
from tests.harness.agents import TestClock


def connections(seconds: float, holds_s: float, taken: bool = True) -> list[float]:
    """Return when a connection is made to a server that drops each after a while, or takes none."""
    clock = TestClock()
    patience, made, begun = Patience(clock), [], clock.monotonic()
    while clock.monotonic() - begun < seconds:
        made.append(clock.monotonic() - begun)
        patience.connecting()
        if taken:
            patience.connected()
        clock.advance(holds_s)
        patience.lost(False)
        clock.advance(patience.pause_s())
    return made


def most_in_an_hour(made: list[float]) -> int:
    return max(sum(start <= when < start + 3600 for when in made) for start in made)


def test_a_server_that_drops_us_at_once_sees_at_most_60_connections_an_hour() -> None:
    for holds_s in (0.01, 1.0, 30.0, 59.0, 60.0, 61.0):
        made = connections(6 * 3600, holds_s)
        assert most_in_an_hour(made) <= MOST_AN_HOUR == 60, holds_s
        assert len(made) > 6 * 24, holds_s  # and is not forgotten


def test_the_pauses_grow_from_two_seconds_to_eighty() -> None:
    made = connections(3600, 0.0, taken=False)
    pauses = [after - before for before, after in itertools.pairwise(made)]
    low, high = BACKOFF_S
    assert low <= pauses[0] <= low * 1.3
    assert all(low <= pause <= high for pause in pauses)
    assert all(after > before for before, after in itertools.pairwise(pauses[:5]))
    assert len({round(pause, 3) for pause in pauses[8:]}) > 1  # a hundred clients do not come together


def test_the_first_loss_after_a_good_connection_is_passing() -> None:
    clock = TestClock()
    patience = Patience(clock)
    patience.connecting()
    patience.connected()
    assert patience.up
    clock.advance(3600)
    patience.lost(False)
    assert not patience.up
    assert patience.passing
    assert patience.pause_s() < 1
    patience.connecting()
    patience.lost(False)
    assert not patience.passing
    assert patience.pause_s() > 1


def test_a_login_that_is_refused_again_and_again_is_given_up_until_it_is_taken() -> None:
    clock = TestClock()
    patience = Patience(clock)
    for _ in range(MOST_REFUSED):
        assert not patience.given_up
        patience.connecting()
        patience.lost(True)
        pause = patience.pause_s()
    assert patience.given_up
    assert MOST_REFUSED == 3
    assert pause == math.inf
    patience.connecting()
    patience.connected()
    patience.lost(False)
    assert patience.pause_s() < math.inf
