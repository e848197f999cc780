"""One run of a scenario by the real agent, in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent import api
from agent.app import Agent
from agent.config.load import load_text
from agent.config.paths import Paths
from agent.errors import CommandError
from scripts.soaking import faults
from scripts.soaking.scenario import Scenario, Step
from scripts.soaking.scenarios import SCENARIOS
from scripts.soaking.zygote import Request

_PATIENCE_S = 30.0
# What a step of a scenario leaves in the store: it is not done again after a crash.
_ASKED = (
    "SELECT count(*) FROM job WHERE origin IN ('user', 'undo', 'redo')"
    " AND kind IN ('verb', 'send', 'create', 'rename', 'delete')"
)
_ON_ITS_WAY = "SELECT 1 FROM outbox WHERE state IN ('queued', 'connecting', 'data-sent')"


def carry_out(request: Request) -> None:
    """Carry out a part of a scenario; raises what goes wrong."""
    scenario = SCENARIOS[request.scenario]
    faults.Faults(request.trace, request.fault, request.at).install()
    faults.strip(*scenario.lacking)
    folder = Path(request.folder)
    config = load_text((folder / "config.yaml").read_text(), "config.yaml")
    agent = Agent(config, Paths.under(folder))
    agent.start()
    api.activate(agent.context)
    try:
        if request.part == "sync":
            agent.serve(fill=True)
            _drain(agent, journal_first=False)
        elif request.part == "offline":
            _do(agent, scenario.offline, 0)
        else:
            _act(agent, scenario)
    finally:
        agent.stop()


def _act(agent: Agent, scenario: Scenario) -> None:
    """Do what has not been done yet, phase by phase, each brought to its end."""
    before = sum(step.jobs for step in scenario.offline)
    left: list[tuple[Sequence[Step], int]] = []
    for phase in scenario.phases or ((),):
        left.append((phase, before))
        before += sum(step.jobs for step in phase)
    asked = _asked(agent)
    while len(left) > 1 and left[1][1] < asked:
        left.pop(0)
    serving = False
    for steps, start in left:
        _do(agent, steps, start)
        if not serving:
            if not scenario.journal_first:
                for account in agent.context.accounts.values():
                    account.sync()  # waits there already when the line comes up
            agent.serve(fill=True)
            serving = True
        _drain(agent, journal_first=scenario.journal_first)


def _do(agent: Agent, steps: Sequence[Step], before: int) -> None:
    asked = _asked(agent)
    for step in steps:
        if before >= asked:
            step.act(agent)
            asked = _asked(agent)
        before += step.jobs
        if asked != before and asked < before:
            raise AssertionError(f"a step made {asked - before + step.jobs} jobs, not {step.jobs}")


def _asked(agent: Agent) -> int:
    return int(agent.context.store.read(_ASKED)[0][0])


def _drain(agent: Agent, *, journal_first: bool) -> None:
    """Return when there is nothing left to do: the last sync has heard of all that was done before it."""
    if journal_first:
        _settle(agent)
    for _ in range(5):
        before = _operations(agent)
        _sync(agent)
        _settle(agent)
        if not agent.wait_filled(_PATIENCE_S):
            raise TimeoutError("bodies are still not here")
        if _operations(agent) == before and all(a.online for a in agent.context.accounts.values()):
            break


def _operations(agent: Agent) -> list[tuple[int, str]]:
    return [tuple(row) for row in agent.context.store.read("SELECT id, state FROM op ORDER BY id")]


def _settle(agent: Agent) -> None:
    """Return when all that was asked for is done, also when the line is cut meanwhile."""
    accounts, store = agent.context.accounts.values(), agent.context.store
    while True:
        # Mail that is to be tried again is not waited for by the agent itself.
        if not store.wait_until(lambda: not store.read(_ON_ITS_WAY), _PATIENCE_S):
            raise TimeoutError("mail is still not sent")
        if not agent.wait_idle(_PATIENCE_S):
            raise TimeoutError(f"still at work: {agent.pending()}")
        if not any(account.status.startswith("offline:") for account in accounts):
            return
        store.wait_until(lambda: all(account.online for account in accounts), _PATIENCE_S)


def _sync(agent: Agent) -> None:
    for account in agent.context.accounts.values():
        for attempt in range(4):
            try:
                account.sync().wait(_PATIENCE_S)
                break
            except CommandError:  # the line was cut
                if attempt == 3:
                    raise
