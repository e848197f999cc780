from __future__ import annotations

import pytest

from agent.errors import CommandError
from agent.mail.query import Has, Is
from agent.mail.query_fields import octets, state


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("500", 500), ("10k", 10_240), ("1 KiB", 1024), ("1.5M", 3 << 19), ("2gb", 2 << 30)],
)
def test_sizes_are_read_with_units_of_1024(text: str, count: int) -> None:
    assert octets(text) == count


@pytest.mark.parametrize("text", ["", "k", "-1", "1T", "1e6", "١k1"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="cannot read the size"):
        octets(text)


def test_words_of_other_clients_are_understood() -> None:
    assert state("Starred") == Is("flagged")
    assert state("invitation") == Has("calendar")
