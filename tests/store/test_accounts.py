"""Accounts of the store that config.yaml does not name any more."""

from __future__ import annotations

import pytest

from agent.errors import CommandError
from agent.store import accounts, folders
from agent.store.db import Store
from tests.store.damaged import MESSAGES, filled


@pytest.fixture
def store(tmp_path):
    filled(tmp_path / "mail.db")
    store = Store(tmp_path / "mail.db")
    store.start()
    yield store
    store.stop()


def test_what_an_account_holds_is_counted(store: Store) -> None:
    found = store.look(accounts.census, "work")
    assert found is not None
    assert (found.messages, found.changes, found.unsent) == (MESSAGES + 1, 3, 2)
    assert found.waiting() == "3 changes and 2 unsent mails"
    assert store.look(accounts.census, "nobody") is None


def test_an_account_goes_on_under_a_new_name(store: Store) -> None:
    number = store.look(folders.accounts)["work"]
    store.write(lambda tx: folders.ensure_account(tx, "office")).result()  # config.yaml names it already
    store.write(lambda tx: accounts.rename(tx, "work", "office")).result()
    assert store.look(folders.accounts) == {"office": number}


def test_an_account_with_mail_is_not_replaced(store: Store) -> None:
    store.write(lambda tx: folders.ensure_account(tx, "home")).result()
    with pytest.raises(CommandError, match="holds mail of its own"):
        store.write(lambda tx: accounts.rename(tx, "home", "work")).result()
    with pytest.raises(CommandError, match="did you mean 'work'"):
        store.write(lambda tx: accounts.rename(tx, "wrk", "home")).result()
