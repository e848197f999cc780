from __future__ import annotations

from agent.core.compare import differing, missing
from agent.net.base import FlagState


def test_changed_flags_changed_tags_and_removals_are_told_apart() -> None:
    server = [
        FlagState(1, 1), FlagState(2, 0), FlagState(3, 1, frozenset({"b", "a"})), FlagState(4, 0, frozenset({"x"})),
        FlagState(5, 0), FlagState(9, 1),
    ]  # fmt: skip
    known = [(1, 1, ""), (2, 1, ""), (3, 1, " a b "), (4, 0, ""), (5, 0, " y "), (7, 0, "")]
    changed, gone = differing(server, known)
    assert [flag.uid for flag in changed] == [2, 4, 5]
    assert gone == [7]


def test_what_is_missing_is_looked_for_within_the_known_range_only() -> None:
    assert missing([1, 2, 4, 6, 9], [2, 3, 4, 5]) == [3, 5]
    assert missing([], [2, 3]) == [2, 3]
    assert missing([1, 2], []) == []
