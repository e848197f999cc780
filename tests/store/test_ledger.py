"""A claim is taken once, and taken again only when it was left unfinished."""

from __future__ import annotations

from pathlib import Path

from agent.store import ledger
from tests.store.store_case import case


def test_a_claim_is_started_counted_and_done(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        begin = lambda: c.store.write(lambda tx: ledger.begin(tx, "rule", c.account, "hash", 1.0)).result()  # noqa: E731
        assert ledger.state(c.store.reader, "rule", c.account, "hash") is None
        assert [begin(), begin()] == [1, 2], "started and not finished: it starts again after a crash"
        assert ledger.state(c.store.reader, "rule", c.account, "hash") == ledger.STARTED
        c.store.write(lambda tx: ledger.end(tx, "rule", c.account, "hash")).result()
        assert ledger.state(c.store.reader, "rule", c.account, "hash") == ledger.DONE


def test_claims_of_other_rules_accounts_and_contents_are_their_own(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        c.store.write(lambda tx: ledger.begin(tx, "a", 1, "x", 1.0)).result()
        c.store.write(lambda tx: ledger.end(tx, "a", 1, "x")).result()
        others = [("b", 1, "x"), ("a", 2, "x"), ("a", 1, "y")]
        assert [ledger.state(c.store.reader, *other) for other in others] == [None, None, None]


def test_who_was_answered_is_known_by_handle(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        assert ledger.answered(c.store.reader, "away", "bob@x.org") is None
        c.store.write(lambda tx: ledger.answer(tx, c.account, "away", "bob@x.org", 1, 50.0)).result()
        c.store.write(lambda tx: ledger.answer(tx, c.account, "away", "bob@x.org", 2, 99.0)).result()
        assert ledger.answered(c.store.reader, "away", "bob@x.org") == 99.0
        assert ledger.answered(c.store.reader, "other", "bob@x.org") is None
