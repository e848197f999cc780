"""`agent backup`, `agent doctor --reindex`, `agent account` and `agent sync` as a person runs them.

These are agent.upkeep and agent.transfer, each in a process of its own.
"""

from __future__ import annotations

import io
import os
import sqlite3
from pathlib import Path

import pytest

from agent.config.load import load_text
from agent.errors import CommandError, NotFound
from agent.upkeep import keep_passwords
from tests.harness import agents as harness
from tests.harness.agents import Agents, mail
from tests.harness.dovecot import Dovecot

make_agent = harness.make_agent


def run(agents: Agents, user: str, *arguments: str) -> tuple[int, str, str]:
    child = agents.spawn(*arguments, users=(user,), fetch={"idle": False})
    out, errors = child.communicate(timeout=60)
    told = [line for line in errors.splitlines() if "a secret in a file" not in line]
    return child.returncode, out, "".join(f"{line}\n" for line in told)


def test_sync_backup_reindex_and_the_list_of_accounts(
    make_agent: Agents, dovecot: Dovecot, user: str, tmp_path: Path
) -> None:
    for number in range(3):
        dovecot.save(user, mail(number))
    status, out, errors = run(make_agent, user, "sync")
    assert (status, out, errors) == (0, "work: 3 messages, +3\n", "")
    status, out, errors = run(make_agent, user, "doctor", "--reindex")
    assert (status, out, errors) == (0, "indexed 3 messages\n", "")
    assert run(make_agent, user, "search", "subject:number", "--json")[1].count('"id"') == 3
    status, out, errors = run(make_agent, user, "account", "list")
    assert (status, errors) == (0, "")
    assert out.startswith(f"work  {user}@example.org  synced ")
    assert out.endswith("  3 messages\n")
    status, out, errors = run(make_agent, user, "backup", str(tmp_path / "copy.db"))
    assert (status, errors) == (0, "")
    assert "octets, whole; to go back to it" in out
    with sqlite3.connect(tmp_path / "copy.db") as db:
        assert db.execute("SELECT count(*) FROM message").fetchone()[0] == 3
    db.close()
    status, out, errors = run(make_agent, user, "backup", str(tmp_path / "copy.db"))
    assert (status, out) == (1, "")
    assert errors == f"agent: {tmp_path / 'copy.db'} is there already; name a new file\n"


def test_mail_of_an_account_that_is_gone_is_told_of_and_taken_over(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1))
    run(make_agent, user, "sync")
    with sqlite3.connect(make_agent.paths.database) as db:
        db.execute("UPDATE account SET name = 'old'")
    db.close()
    _, out, errors = run(make_agent, user, "account", "list")
    assert "agent: account 'old' is not in config.yaml: its 1 messages are kept; " in errors
    assert "old  not in config.yaml  1 messages" in out
    status, _, _ = run(make_agent, user, "account", "rename", "old", "work")
    assert status == 0
    assert run(make_agent, user, "account", "list")[1].endswith("  1 messages\n")


def test_a_store_damaged_while_it_is_used_is_told_without_a_traceback(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    """Values of the wrong kind get past SQLite; the code that trusts them fails, and the file is asked."""
    dovecot.save(user, mail(1))
    run(make_agent, user, "sync")
    path = make_agent.paths.database
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE message SET flags = 'seen', received = 'yesterday', date = 'today'")
        db.execute("DELETE FROM content")
    db.close()
    status, _, errors = run(
        make_agent, user, "run", "-c", "print(mail, [m.date for m in mail], inbox[0].text)"
    )
    assert "Traceback" not in errors or status == 1
    status, _, errors = run(make_agent, user, "doctor", "--offline")
    assert status == 1
    assert "Traceback" not in errors


def test_an_import_and_an_export_from_the_command_line(
    make_agent: Agents, dovecot: Dovecot, user: str, tmp_path: Path
) -> None:
    dovecot.save(user, mail(1))
    run(make_agent, user, "sync")
    target = str(tmp_path / "out")
    assert run(make_agent, user, "export", "is:unread", "--to", target) == (0, f"{target}: 1 exported\n", "")
    assert os.stat(target).st_mode & 0o777 == 0o600
    status, out, errors = run(make_agent, user, "import", target, "--folder", "Archive")
    assert (status, out, errors) == (0, "work/Archive: 1 imported\n", "")
    status, out, errors = run(make_agent, user, "import", target, "--folder", "Archive")
    assert (status, out, errors) == (0, "work/Archive: 0 imported, 1 were there already\n", "")
    status, _, errors = run(make_agent, user, "import", target, "--folder", "Archiv")
    assert (status, "did you mean 'Archive'?" in errors) == (1, True)
    status, _, errors = run(make_agent, user, "export", "--to", target)
    assert (status, errors) == (1, f"agent: {target} is there already; name another file\n")


def test_a_password_is_kept_in_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[tuple[str, str], str] = {}
    monkeypatch.setattr(
        "agent.net.secrets.to_keyring", lambda name, user, secret: kept.update({(name, user): secret})
    )
    config = load_text(
        "accounts: {work: {address: a@b.org, imap: {host: x}, smtp: {host: x, user: other}}}", "config.yaml"
    )
    out = io.StringIO()
    assert keep_passwords(config, "work", lambda prompt: f"secret of {prompt.split()[2]}", out) == 0
    assert kept == {("work", "a@b.org"): "secret of a@b.org", ("work", "other"): "secret of other"}
    assert "secret" not in out.getvalue()
    with pytest.raises(NotFound, match="did you mean 'work'"):
        keep_passwords(config, "wrok", lambda prompt: "x", out)
    with pytest.raises(CommandError, match="in a terminal"):
        keep_passwords(config, "work", lambda prompt: "", out)
