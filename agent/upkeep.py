"""Commands about the store itself: backup, a new text index, the accounts it knows."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from agent.app import Agent
from agent.clock import Clock
from agent.config.schema import Config
from agent.core.progress import Progress
from agent.errors import CommandError, NotFound, did_you_mean
from agent.mail.safe import safe
from agent.net import secrets
from agent.progress import Meter
from agent.store import accounts, care, folders, reindex

_PIECE = 250  # contents indexed in one transaction


def run_backup(database: Path, target: Path, clock: Clock, out: TextIO) -> int:
    """Copy the store into a new file and look at the copy."""
    meter = Meter(sys.stderr, clock)
    try:
        size = care.backup(
            database, target, lambda done, total: meter.show(Progress("copying pages", done, total))
        )
    finally:
        meter.end()
    out.write(f"{target}: {size:,} octets, whole; to go back to it: end all agents, copy it to {database}\n")
    return 0


def run_reindex(agent: Agent, out: TextIO) -> int:
    """Make the text index anew; goes on where a run was cut off."""
    store, meter = agent.context.store, Meter(sys.stderr, agent.clock)
    again = store.write(reindex.begin).result()
    rest, total = store.look(reindex.left)
    if again:
        out.write(f"going on with {rest:,} of {total:,}\n")
    done = total - rest
    try:
        while store.write(lambda tx: reindex.step(tx, _PIECE), bulk=True).result():
            done += _PIECE
            meter.show(Progress("indexing", min(done, total), total))
    finally:
        meter.end()
    out.write(f"indexed {total:,} messages\n")
    return 0


def list_accounts(agent: Agent, out: TextIO) -> int:
    """Print one line for each account, of config.yaml or left in the store."""
    known = agent.context.read(folders.accounts)
    for name in [*agent.context.accounts, *(name for name in known if name not in agent.context.accounts)]:
        found = agent.context.read(accounts.census, name)
        if found is None:
            continue
        if name in agent.context.accounts:
            account = agent.context.accounts[name]
            state = f"{account.config.address}  {_synced(found.synced)}"
        elif accounts.holds_something(found):
            state = "not in config.yaml"
        else:
            continue
        waits = found.waiting()
        line = f"{name}  {state}  {found.messages:,} messages" + (f"  {waits} to go" if waits else "")
        out.write(safe(line) + "\n")
    return 0


def keep_passwords(config: Config, name: str, ask: Callable[[str], str], out: TextIO) -> int:
    """Ask for the passwords of an account's servers, each login once, and keep them in the keyring.

    Raises NotFound for an unknown account, AuthError where there is no trustworthy keyring.
    """
    account = config.accounts.get(name)
    if account is None:
        raise NotFound(f"there is no account {name!r}{did_you_mean(name, config.accounts)}")
    users = [
        server.user
        for server in (account.imap, account.pop3, account.smtp)
        if server and server.auth != "none"
    ]
    for user in dict.fromkeys(users):
        secret = ask(f"Password of {user} (account {name})")
        if not secret:
            raise CommandError("no password was given; run this in a terminal")
        secrets.to_keyring(name, user, secret)
        out.write(f"the password of {safe(user)} is in the keyring\n")
    return 0


def rename_account(agent: Agent, old: str, new: str, out: TextIO) -> int:
    """Let the data of an account go on under another name."""
    agent.context.commit(lambda tx: accounts.rename(tx, old, new), durable=True)
    out.write(f"what was {safe(old)!r} is {safe(new)!r} from the next start on\n")
    return 0


def _synced(moment: float | None) -> str:
    return (
        "never synced"
        if moment is None
        else f"synced {time.strftime('%Y-%m-%d %H:%M', time.localtime(moment))}"
    )
