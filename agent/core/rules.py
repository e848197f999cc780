"""Rules: a query and a function, run once for each new message that matches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.core.acting import acting, working_on
from agent.core.matching import Match, checked, matches
from agent.core.registry import Registry, name_of, plain, source_of

if TYPE_CHECKING:
    from agent.core.message import Message


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule matches and does; `stop` ends the chain for a message it handled."""

    match: Match
    function: Callable[[Message], Any]
    order: int
    stop: bool

    @property
    def name(self) -> str:
        """The name claims, handles and logs use."""
        return name_of(self.function)

    @property
    def source(self) -> str:
        """Where it stands."""
        return source_of(self.function)

    def wants(self, message: Message) -> bool:
        """Tell whether the rule is meant for a message, as it is now."""
        return matches(self.match, message)

    def run(self, messages: Iterable[Message]) -> int:
        """Run the rule now over messages, also over those it had before; return how many matched.

        What it sent for a message before it does not send again.
        """
        count = 0
        for message in messages:
            if self.wants(message):
                count += 1
                with acting(working_on("rule", self.name, message)):
                    self.function(message)
        return count

    def __call__(self, message: Message) -> Any:
        return self.function(message)

    def __repr__(self) -> str:
        return f"<rule {self.function.__name__} {self.source}: {self.match}>"


class Rules:
    """All rules, by order and then as they were registered."""

    def __init__(self) -> None:
        self.registry: Registry[Rule] = Registry()

    def rule(
        self, match: Match, *, order: int = 50, stop: bool = False
    ) -> Callable[[Callable[[Message], Any]], Rule]:
        """Return the decorator that makes a rule of a function."""
        checked(match, "a rule")

        def decorate(function: Callable[[Message], Any]) -> Rule:
            found = plain(function)
            made = Rule(match, found, order, stop)
            self.registry.put(found, made)
            return made

        return decorate

    def __iter__(self) -> Iterator[Rule]:
        return iter(sorted(self.registry, key=lambda rule: rule.order))

    def __len__(self) -> int:
        return len(self.registry)
