"""UID sets as short as they can be, and never too long for a command line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.core.uidset import chunks, compress

UIDS = st.lists(st.integers(1, 2**32 - 1) | st.integers(1, 300), max_size=300)


def expanded(uid_set: str) -> list[int]:
    found: list[int] = []
    for part in filter(None, uid_set.split(",")):
        low, _, high = part.partition(":")
        found += range(int(low), int(high or low) + 1)
    return found


def test_neighbours_become_ranges() -> None:
    assert compress([9, 3, 4, 5, 12, 11, 7]) == "3:5,7,9,11:12"
    assert compress([]) == ""
    assert compress([5, 5]) == "5"


@given(UIDS)
def test_a_set_names_each_uid_once(uids: list[int]) -> None:
    assert expanded(compress(uids)) == sorted(set(uids))


@given(UIDS, st.integers(1, 50))
def test_pieces_are_bounded_and_lose_nothing(uids: list[int], most: int) -> None:
    pieces = list(chunks(set(uids), most))
    assert [uid for _, some in pieces for uid in some] == sorted(set(uids))
    assert all(len(some) <= most for _, some in pieces)
    assert all(expanded(uid_set) == some for uid_set, some in pieces)


def test_a_piece_fits_a_command_line() -> None:
    scattered = range(1, 4_000_000_000, 999_999)
    pieces = list(chunks(scattered))
    assert len(pieces) > 1
    assert max(len(uid_set) for uid_set, _ in pieces) < 8000
    assert [uid for _, some in pieces for uid in some] == list(scattered)
    assert list(chunks(range(1, 100_001))) == [("1:100000", list(range(1, 100_001)))]
