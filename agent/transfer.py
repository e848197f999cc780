"""`agent import` and `agent export`: files into folders, messages into files, with progress."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TextIO

from agent.app import Agent
from agent.archive import places
from agent.core import exchange
from agent.core.folder import Folder
from agent.core.messages import Messages
from agent.errors import CommandError
from agent.headless import drain
from agent.mail import query
from agent.mail.safe import safe
from agent.progress import Meter, follow

_TOLD = 20  # problems that are told one by one


def run_import(agent: Agent, args: Namespace, out: TextIO) -> int:
    """Import files and folders into a folder; 75 when the server has not got all of it yet."""
    folder = _folder(agent, args.account, args.folder)
    sources = places.Sources(args.paths)
    meter = Meter(sys.stderr, agent.clock)
    try:
        result = exchange.bring_in(folder, sources, sources.octets, meter.show)
    except OSError as error:
        raise CommandError(
            f"cannot read {error.filename}: {error.strerror}; what was read before it stays"
        ) from error
    finally:
        meter.end()
    _tell(result.problems)
    there = f", {result.there} were there already" if result.there else ""
    bad = f", {len(result.problems)} could not be taken" if result.problems else ""
    out.write(f"{safe(str(folder))}: {result.added} imported{there}{bad}\n")
    out.flush()
    account = folder.account
    follow(
        agent.context.store,
        lambda: result.job.done or account.status.startswith("offline:"),
        lambda: exchange.appended(agent.context, result.job),
        meter,
    )
    status = drain(agent)
    if result.job.state == "failed":
        _tell(exchange.refused(agent.context, result.job) or [f"{result.job.label}: {result.job.error}"])
        return 1
    return 1 if result.problems else status


def run_export(agent: Agent, args: Namespace, out: TextIO) -> int:
    """Export what a query means; 1 when some of it could not be had."""
    found = Messages(agent.context, query.All()).search(" ".join(args.query))
    if not found:
        raise CommandError(f"nothing is found by {' '.join(args.query)!r}; try it with `agent search` first")
    writer = places.writer(args.to, args.format)
    meter = Meter(sys.stderr, agent.clock)
    try:
        result = exchange.take_out(found, writer, meter.show)
    finally:
        meter.end()
    _tell(result.problems)
    there = f", {result.there} were there already" if result.there else ""
    bad = f", {len(result.problems)} could not be had" if result.problems else ""
    out.write(f"{args.to}: {result.written} exported{there}{bad}\n")
    return 1 if result.problems else 0


def _folder(agent: Agent, account: str, name: str) -> Folder:
    """Return the folder that is meant; the account may be left out when there is only one."""
    accounts = agent.context.accounts
    if not account and len(accounts) != 1:
        raise CommandError(f"say into which account: --account {' or '.join(accounts) or 'NAME'}")
    chosen = accounts[account or next(iter(accounts))]
    return chosen[name]


def _tell(problems: list[str]) -> None:
    for problem in problems[:_TOLD]:
        sys.stderr.write(f"agent: {safe(problem)}\n")
    if len(problems) > _TOLD:
        sys.stderr.write(f"agent: and {len(problems) - _TOLD} more\n")
