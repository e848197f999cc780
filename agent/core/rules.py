"""Rules: a query and a function, run once for each new message that matches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.core.acting import Actor, acting
from agent.core.registry import Registry, key_of, source_of
from agent.errors import CommandError

if TYPE_CHECKING:
    from agent.core.message import Message


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule matches and does; `stop` ends the chain for a message it handled."""

    match: str | Callable[[Message], bool]
    function: Callable[[Message], Any]
    order: int
    stop: bool

    @property
    def name(self) -> str:
        """The name claims, handles and logs use."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    @property
    def source(self) -> str:
        """Where it stands."""
        return source_of(self.function)

    def matches(self, message: Message) -> bool:
        """Tell whether the rule wants a message."""
        return matches(self.match, message)

    def run(self, messages: Iterable[Message]) -> int:
        """Run the rule now over messages, without regard to what it did before; return how many matched."""
        count = 0
        for message in messages:
            if self.matches(message):
                count += 1
                with acting(Actor("rule", self.name, message._key())):
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
        self, match: str | Callable[[Message], bool], *, order: int = 50, stop: bool = False
    ) -> Callable[[Callable[[Message], Any]], Rule]:
        """Return the decorator that makes a rule of a function."""
        if not isinstance(match, str) and not callable(match):
            raise CommandError(f"a rule matches a query or a function, not {match!r}")

        def decorate(function: Callable[[Message], Any]) -> Rule:
            made = Rule(match, function, order, stop)
            self.registry.put(key_of(function), made)
            return made

        return decorate

    def __iter__(self) -> Any:
        return iter(sorted(self.registry, key=lambda rule: rule.order))

    def __len__(self) -> int:
        return len(self.registry)


def matches(match: str | Callable[[Message], bool] | None, message: Message) -> bool:
    """Tell whether a message is what a query or function asks for; None asks for every one."""
    if match is None:
        return True
    if isinstance(match, str):
        return message._in(match)
    return bool(match(message))
