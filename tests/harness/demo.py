"""An agent on the demo account in this process, its mail here, and a screen that writes down what it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from agent import api, builtin
from agent.app import Agent
from agent.demo.account import demo


@contextmanager
def demo_agent() -> Iterator[Agent]:
    """Run an agent with the built-in commands on the demo account; the sample mail is there."""
    with demo() as (config, paths):
        agent = Agent(config, paths)
        agent.start()
        try:
            api.activate(agent.context)
            builtin.install(agent.context)
            agent.serve(lazy=True)
            for account in agent.context.accounts.values():
                account.sync().wait(30)
            yield agent
        finally:
            api.activate(None)
            agent.stop()


class Recorder:
    """A Screen that writes down what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        def record(*arguments: Any, **named: Any) -> None:
            self.calls.append((name, *arguments, *named.items()))

        return record
