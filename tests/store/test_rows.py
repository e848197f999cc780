from __future__ import annotations

import json
import sqlite3

import pytest

from agent.store import parties, rows, schema


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_any_number_of_rows_is_inserted_in_order(count: int) -> None:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t (a, b)")
    wanted = [(n, f"row {n}") for n in range(count)]
    rows.insert(db, "t", ("a", "b"), wanted)
    assert db.execute("SELECT a, b FROM t ORDER BY rowid").fetchall() == wanted


def test_values_are_read_back_with_json_each() -> None:
    db = sqlite3.connect(":memory:")
    values = ["plain", 'with "quotes"', "naïve \N{GRINNING FACE}", ""]
    assert [row[0] for row in db.execute("SELECT value FROM json_each(?)", (rows.listed(values),))] == values
    assert json.loads(rows.listed(iter([1 << 62]))) == [1 << 62]


def test_a_party_keeps_its_number_and_no_text_has_none() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(db)
    first = parties.numbers(db, ["Ann <ann@example.org>", "", "Bob <bob@example.org>"])
    assert first[""] is None
    second = parties.numbers(db, ["Bob <bob@example.org>", "Éva <eva@example.org>"])
    assert second["Bob <bob@example.org>"] == first["Bob <bob@example.org>"]
    assert len({*first.values(), *second.values()} - {None}) == 3
    folded = db.execute("SELECT folded FROM party WHERE text = 'Éva <eva@example.org>'").fetchone()
    assert folded == ("éva <eva@example.org>",)
