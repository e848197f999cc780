"""The front end without a screen: scripts, `agent run`, and the rule daemon."""

from __future__ import annotations

import linecache
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TextIO

from agent import api
from agent.app import Agent
from agent.core.supervisor import trimmed
from agent.errors import AgentError

# Exit status, as sysexits.h has it: what stays queued may be tried later.
QUEUED = 75
_SEND_S = 30.0


def run_code(agent: Agent, source: str, name: str, args: Sequence[str] = ()) -> int:
    """Run Python source with the API in scope, then drain the jobs; return the exit status."""
    names = api.namespace(agent.context)
    names.update(__name__="__main__", __file__=name, __builtins__=__builtins__)
    sys.argv = [name, *args]
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        exec(compile(source, name, "exec"), names)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            sys.stderr.write(error.code + "\n")
        return code or drain(agent)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except AgentError as error:
        sys.stderr.write(f"{trimmed(error)}\n")
        return 1
    except Exception as error:  # the user's program failed: its traceback without our frames
        sys.stderr.write(f"{trimmed(error)}\n")
        return 1
    return drain(agent)


def run_file(agent: Agent, path: Path, args: Sequence[str]) -> int:
    """Run a Python file; see run_code."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"agent: cannot read {path}: {error}\n")
        return 1
    return run_code(agent, source, str(path), args)


def drain(agent: Agent, timeout: float | None = None) -> int:
    """Wait until every job has ended or its account is offline; tell what stays queued."""
    agent.wait_idle(timeout)
    left = agent.waiting()
    for label in left:
        sys.stderr.write(f"still queued: {label}\n")
    return QUEUED if left else 0


def run_rules(agent: Agent, *, once: bool, out: TextIO) -> int:
    """Run hooks and rules: once over what is new, or until SIGTERM or Ctrl-C."""
    if once:
        return _rules_once(agent, out)
    stop = threading.Event()

    def handler(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, handler)
    out.write(f"running {len(agent.context.rules)} rules on {len(agent.context.accounts)} accounts\n")
    out.flush()
    told = 0
    while not stop.wait(1.0):
        messages = list(agent.context.messages)
        for text in messages[told:]:
            out.write(text + "\n")
        out.flush()
        told = len(messages)
    return 0


def _rules_once(agent: Agent, out: TextIO) -> int:
    if not agent.owner:
        sys.stderr.write("agent: another process runs the rules on this data folder already\n")
        return 1
    bad = 0
    for account in agent.context.accounts.values():
        before = {name: folder.synced for name, folder in account.folders.items()}
        try:
            account.sync().wait()
        except AgentError as error:
            sys.stderr.write(f"agent: {account.name}: {error}\n")
            bad = 1
            continue
        for name, folder in account.folders.items():
            if folder.selectable and before.get(name) is None and folder.count():
                out.write(f"{account.name}/{name}: {folder.count()} messages taken as base line\n")
    agent.context.bus.wake()
    status = drain(agent)
    for text in agent.context.messages:
        out.write(text + "\n")
    return 1 if bad or agent.context.bus.failures else status


def run_sync(agent: Agent, names: Sequence[str], out: TextIO) -> int:
    """Sync accounts and tell what came; return the exit status."""
    accounts = [agent.context.accounts[name] for name in names] or list(agent.context.accounts.values())
    jobs = [(account, account.messages.count(), account.sync()) for account in accounts]
    bad = 0
    for account, before, job in jobs:
        try:
            job.wait()
        except AgentError as error:
            sys.stderr.write(f"agent: {account.name}: {error}\n")
            bad = 1
        else:
            total = account.messages.count()
            out.write(f"{account.name}: {total} messages, {total - before:+d}\n")
    agent.wait_filled()
    return bad or drain(agent)


def send(agent: Agent, args: Namespace, text: str, out: TextIO) -> int:
    """Queue a message, and send it when nobody else will; 0 once it is queued durably."""
    account = agent.context.accounts[args.account] if args.account else None
    draft = api.compose(args.to, args.subject, text, cc=args.cc, bcc=args.bcc, account=account)
    if args.sender:
        draft.from_ = args.sender
    for path in args.attach:
        draft.attach(path)
    job = draft.send()
    out.write(f"queued: {draft.subject}\n")
    out.flush()
    agent.serve(lazy=True)
    agent.wait_idle(_SEND_S)
    out.write(f"{job.state}{': ' + job.error if job.error else ''}\n")
    return 0
