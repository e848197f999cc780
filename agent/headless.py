"""The front end without a screen: scripts, `agent run`, and the rule daemon."""

from __future__ import annotations

import builtins
import functools
import linecache
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import TextIO

from agent import api, output
from agent.app import Agent
from agent.core.account import Account
from agent.core.job import Job
from agent.core.progress import Progress
from agent.core.supervisor import trimmed
from agent.errors import AgentError, CommandError
from agent.mail.safe import safe, safe_block

# Exit status, as sysexits.h has it: what stays queued may be tried later.
QUEUED = 75
_SEND_S = 30.0


def read_text(stream: TextIO) -> str:
    """Read all of standard input: UTF-8, or what the old encodings of Europe make of it."""
    data = stream.buffer.read() if hasattr(stream, "buffer") else stream.read().encode()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("windows-1252", "replace")


def run_code(agent: Agent, source: str, name: str, args: Sequence[str] = ()) -> int:
    """Run Python source with the API in scope, then drain the jobs; return the exit status."""
    module = ModuleType("__main__")
    module.__dict__.update(api.namespace(agent.context), __file__=name, __builtins__=builtins)
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    asked_before = agent.last_job()
    before = sys.argv, sys.modules["__main__"]
    sys.argv, sys.modules["__main__"] = [name, *args], module
    try:
        status = _execute(source, name, module)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    finally:
        sys.argv, sys.modules["__main__"] = before
    # What a program that failed had asked for before is done all the same.
    left = drain(agent, since=asked_before)
    return status or left


def _execute(source: str, name: str, module: ModuleType) -> int:
    try:
        with output.shown_safely():
            exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return int(error.code or 0)
        sys.stderr.write(f"{safe_block(str(error.code))}\n")
        return 1
    except Exception as error:  # the user's program failed: its traceback without our frames
        sys.stdout.flush()
        sys.stderr.write(f"{safe_block(trimmed(error))}\n")
        return 1
    return 0


def run_file(agent: Agent, path: Path, args: Sequence[str]) -> int:
    """Run a Python file; see run_code."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandError(f"cannot read {path}: {why}") from None
    # Last, so that a file beside the program cannot stand in for a module of Python's.
    sys.path.append(str(path.resolve().parent))
    return run_code(agent, source, str(path), args)


def drain(agent: Agent, timeout: float | None = None, *, since: int = 0) -> int:
    """Wait until every job has ended or its account is offline; tell what stays queued.

    Only jobs after number `since` count for the exit status: what others left behind is theirs.
    """
    agent.wait_idle(timeout)
    left = agent.waiting(since)
    for label in left:
        sys.stderr.write(f"still queued: {safe(label)}\n")
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
    handlers = (
        len(agent.context.rules) + len(agent.context.hooks.registry) + len(agent.context.timers.registry)
    )
    verb = "running" if agent.owner else "waiting for the process that owns this data folder, to run"
    out.write(f"{verb} {handlers} hooks, rules and timers on {len(agent.context.accounts)} accounts\n")
    told = _Told(agent, out)
    while not stop.wait(0.5):
        told.show()
    told.show()
    return 0


class _Told:
    """Prints what the user is told, each line once."""

    def __init__(self, agent: Agent, out: TextIO) -> None:
        self._context, self._out, self._shown = agent.context, out, 0

    def show(self) -> None:
        new, self._shown = self._context.told - self._shown, self._context.told
        lines = list(self._context.messages)
        for text in lines[len(lines) - new :] if new else []:
            self._out.write(safe_block(text) + "\n")
        self._out.flush()


def _rules_once(agent: Agent, out: TextIO) -> int:
    if not agent.owner:
        raise CommandError("another process runs the rules on this data folder already")
    bad = 0
    for account in agent.context.accounts.values():
        before = {name: folder.synced for name, folder in account.folders.items()}
        try:
            account.sync().wait()
        except AgentError as error:
            sys.stderr.write(f"agent: {account.name}: {safe(str(error))}\n")
            bad = 1
            continue
        for name, folder in account.folders.items():
            if folder.selectable and before.get(name) is None and folder.count():
                out.write(f"{safe(str(folder))}: {folder.count()} messages taken as base line\n")
    agent.context.bus.wake()
    status = drain(agent)
    _Told(agent, out).show()
    return 1 if bad or agent.context.bus.failures else status


def run_sync(agent: Agent, names: Sequence[str], out: TextIO) -> int:
    """Sync accounts and tell what came; return the exit status."""
    from agent.progress import Meter, follow

    accounts = [agent.context.accounts[name] for name in names] or list(agent.context.accounts.values())
    jobs = [(account, account.messages.count(), account.sync()) for account in accounts]
    bad, meter = 0, Meter(sys.stderr, agent.clock)
    look = functools.partial(_sync_progress, [(account, job) for account, _, job in jobs])
    for account, before, job in jobs:
        follow(agent.context.store, lambda job=job: job.done, look, meter)  # type: ignore[misc]
        try:
            job.wait()
        except AgentError as error:
            sys.stderr.write(f"agent: {account.name}: {error}\n")
            bad = 1
        else:
            total = account.messages.count()
            out.write(f"{account.name}: {total} messages, {total - before:+d}\n")
    follow(agent.context.store, agent.filled, look, meter)
    return bad or drain(agent)


def _sync_progress(jobs: Sequence[tuple[Account, Job]]) -> Progress | None:
    """Return how far the first account is that is at something: its wire is here, or another process has it."""
    for account, job in jobs:
        if (seen := account.progress) is not None:
            return Progress(f"{account.name}: {seen.what}", seen.done, seen.total, seen.unit)
        counted = job.counted
        if counted is not None and not job.done:
            return Progress(f"{account.name}: syncing", *counted)
    return None


def send(agent: Agent, args: Namespace, text: str, out: TextIO) -> int:
    """Queue a message, and send it when nobody else will; 0 once it is queued durably."""
    account = agent.context.accounts[args.account] if args.account else None
    draft = api.compose(args.to, args.subject, text, cc=args.cc, bcc=args.bcc, account=account)
    if args.sender:
        draft.from_ = args.sender
    for path in args.attach:
        draft.attach(path)
    job = draft.send()
    out.write(f"queued: {safe(draft.subject)}\n")
    out.flush()
    agent.serve(lazy=True)
    agent.wait_idle(_SEND_S)
    out.write(f"{job.state}{': ' + job.error if job.error else ''}\n")
    if job.state == "queued":
        out.write(
            "it is sent when the server can be reached: by the console, `agent rules`, or `agent sync`\n"
        )
    return 0
