"""Bulk transactions run behind their maker, in order, and their errors are not lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.store.bulk import Bulk
from agent.store.db import Transaction
from tests.store.store_case import case


def test_they_are_all_committed_in_order(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        bulk = Bulk(c.store)
        seen: list[int] = []
        for number in range(20):
            bulk.put(lambda tx, number=number: seen.append(number))  # type: ignore[misc]
        bulk.drain()
        assert seen == list(range(20))


def test_an_error_reaches_the_maker(tmp_path: Path) -> None:
    def fail(tx: Transaction) -> None:
        raise RuntimeError("no")

    with case(tmp_path) as c:
        bulk = Bulk(c.store)
        bulk.put(fail)
        with pytest.raises(RuntimeError):
            bulk.drain()
        bulk.drain()
