"""`agent doctor`: looks at configuration, secrets, logins and init.py, and says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TextIO

from agent import api, builtin, userconf
from agent.app import Agent
from agent.config.load import load
from agent.config.paths import Paths
from agent.config.schema import AccountConfig, Config
from agent.core.outbox import Outbox
from agent.errors import AgentError, ConfigError, Damaged
from agent.mail.safe import safe_block
from agent.net import connect
from agent.store import care

Finding = tuple[bool, str]


def examine(
    paths: Paths, out: TextIO, ask: Callable[[str], str], *, online: bool = True, config: Config | None = None
) -> int:
    """Print one line for each thing looked at; return 1 when something is wrong. Changes no mail.

    `config` stands for config.yaml where there is none.
    """
    bad = 0
    for good, text in _findings(paths, ask, online, config):
        first, *more = safe_block(text).splitlines() or [""]
        out.write(f"{'ok   ' if good else 'WRONG'} {first}\n" + "".join(f"      {line}\n" for line in more))
        bad += not good
    out.write("everything is in order\n" if not bad else f"{bad} thing{'s' if bad > 1 else ''} to mend\n")
    return 1 if bad else 0


def _findings(
    paths: Paths, ask: Callable[[str], str], online: bool, config: Config | None
) -> Iterator[Finding]:
    if config is None:
        if not paths.config_file.exists():
            yield False, f"{paths.config_file} is not there; write one with `agent init`"
            return
        try:
            config = load(paths.config_file)
        except ConfigError as error:
            yield from ((False, problem) for problem in error.problems)
            return
    count = len(config.accounts)
    yield True, f"{paths.config_file}: {count} account{'' if count == 1 else 's'}"
    yield from ((False, warning) for warning in config.warnings)
    if not config.accounts:
        yield False, "there is no account; add one to config.yaml"
    for name, account in config.accounts.items():
        yield from _account(name, account, ask, online)
    yield from _data(paths, config)


def _account(name: str, account: AccountConfig, ask: Callable[[str], str], online: bool) -> Iterator[Finding]:
    try:
        backend, transport = connect.backend(account, name, ask), connect.transport(account, name, ask)
    except AgentError as error:
        yield False, str(error)
        return
    if transport is None:
        yield True, f"{name}: no smtp and no sendmail, so it cannot send"
    if not online:
        return
    for what, make in (("incoming", backend), ("outgoing", transport)):
        if make is None:
            continue
        server = make()
        try:
            server.connect()
        except AgentError as error:
            yield False, f"{name}: {what}: {error}"
        else:
            yield True, f"{name}: {what}: {server!r}"
        finally:
            server.close()


def _data(paths: Paths, config: Config) -> Iterator[Finding]:
    """Open the store as any process does, look at what waits in it, and load init.py."""
    agent = Agent(config, paths, may_own=False)
    try:
        wrong = care.examine(paths.database) if paths.database.exists() else []
        if wrong:
            care.suspect(paths.database)
            raise Damaged(f"{paths.database}: {wrong[0]}; end all agents and start one: it is rebuilt then")
        agent.start()
    except AgentError as error:
        yield False, str(error)
        return
    try:
        # Mail of accounts that are not configured.
        yield from ((False, text) for text in agent.context.messages)
        builtin.install(agent.context)
        yield True, f"{paths.database}: can be read and written, and is whole"
        yield from _outbox(agent)
        yield from _init(agent, paths)
    finally:
        agent.stop()
        api.activate(None)


def _outbox(agent: Agent) -> Iterator[Finding]:
    for item in Outbox(agent.context):
        if item.state in ("uncertain", "failed"):
            yield False, f"{item!r}; outbox[...].retry() or cancel() it, with `agent run` or in the console"


def _init(agent: Agent, paths: Paths) -> Iterator[Finding]:
    if not paths.init_file.exists():
        yield True, f"{paths.init_file} is not there: no hooks, rules or keys of your own"
        return
    problems = userconf.load(agent.context, paths.init_file)
    yield from ((False, problem) for problem in problems)
    if not problems:
        rules, hooks = len(agent.context.rules), len(agent.context.hooks.registry)
        yield True, f"{paths.init_file}: {rules} rules, {hooks} hooks"
