"""The files of the store are private from the first byte on."""

from __future__ import annotations

import stat
from pathlib import Path

from agent.store import folders
from tests.store.store_case import case


def test_the_database_and_its_journal_are_the_users_alone(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        c.store.write(lambda tx: folders.ensure_account(tx, "other")).result()
        files = list(tmp_path.glob("mail.db*"))
        assert len(files) >= 2
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
