from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import CommandError, NetworkError
from agent.net.imap_syntax import (
    internal_date,
    items,
    search_date,
    split_set,
    uid_list,
    uid_set,
    values,
    wire_date,
)


def test_values_are_read_with_literals_and_quotes() -> None:
    parts = [b'(a NIL "b \\" c" (d) ', b"lit)", b" BODY[HEADER.FIELDS (A B)]<0> x) y"]
    assert values(parts) == [
        [b"a", None, b'b " c', [b"d"], b"lit)", b"BODY[HEADER.FIELDS (A B)]<0>", b"x"],
        b"y",
    ]


def test_items_are_named_in_capitals_and_sections_cut() -> None:
    assert items([b"(uid 3 body[HEADER.FIELDS (A)] ", b"x", b" flags (\\Seen))"]) == {
        b"UID": b"3",
        b"BODY[]": b"x",
        b"FLAGS": [b"\\Seen"],
    }


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=5))
def test_any_answer_is_read_or_refused(parts: list[bytes]) -> None:
    try:
        values(parts)
        items(parts)
    except NetworkError:
        pass


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(NetworkError, match="deeply"):
        values([b"(" * 200])


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (b"17-Jul-2026 02:44:25 +0200", 1784249065),
        (b" 1-Jan-1970 00:00:00 +0000", 0),
        (b"01-Jan-1970 00:00:00 -0130", 5400),
        (b"nonsense", 0),
        (b"", 0),
        (b"99-Foo-2026 02:44:25 +0200", 0),
    ],
)
def test_internal_dates_are_read(text: bytes, moment: int) -> None:
    assert internal_date(text) == moment


@given(st.integers(min_value=-60_000_000_000, max_value=250_000_000_000))
def test_dates_for_the_wire_read_back(moment: int) -> None:
    written = wire_date(moment)
    assert internal_date(written.strip('"').encode()) == moment
    day = datetime.fromtimestamp(moment, UTC) if 0 <= moment < 32_503_680_000 else None
    if day is not None:
        assert written == day.strftime('"%d-%b-%Y %H:%M:%S +0000"')
        assert search_date(moment // 86_400) == f"{day.day}-{day:%b-%Y}"


@given(st.sets(st.integers(min_value=1, max_value=200)))
def test_a_set_names_the_uids_it_was_made_of(uids: set[int]) -> None:
    text = uid_set(uids)
    assert (uid_list(text.encode()) if text else []) == sorted(uids)


def test_runs_become_ranges() -> None:
    assert uid_set([5, 3, 4, 9, 9, 12]) == "3:5,9,12"


def test_long_sets_are_cut_at_commas() -> None:
    whole = uid_set(range(1, 20_000, 2))
    pieces = split_set(whole)
    assert len(pieces) > 1
    assert max(map(len, pieces)) <= 7500
    assert ",".join(pieces) == whole


@pytest.mark.parametrize("text", ["", ",", "1,", "a", "1:2:3", "1 2", "1\r\nX", "-1"])
def test_what_is_no_set_is_refused(text: str) -> None:
    with pytest.raises(CommandError):
        split_set(text)


@pytest.mark.parametrize("text", [b"x", b"1:x", b"1:99999999999", b"", b"1:4000000000"])
def test_what_is_no_set_from_a_server_is_refused(text: bytes) -> None:
    with pytest.raises(NetworkError):
        uid_list(text, 1000)
