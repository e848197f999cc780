"""Hooks: functions called when something happens. `on.message_new(folder="INBOX")` registers one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from agent.core.events import EVENTS, Event
from agent.core.registry import Registry, key_of, source_of
from agent.errors import CommandError, did_you_mean

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Hook:
    """A function and the events it wants."""

    event: type[Event]
    function: Callable[[Any], Any]
    account: str | None
    folder: str | None
    match: str | Callable[[Any], bool] | None

    @property
    def name(self) -> str:
        """The name claims and logs use."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    @property
    def source(self) -> str:
        """Where it stands."""
        return source_of(self.function)


class Hooks:
    """All hooks. Attributes are event names, so that a wrong name fails when init.py is loaded."""

    def __init__(self) -> None:
        self._registry: Registry[Hook] = Registry()

    @property
    def registry(self) -> Registry[Hook]:
        """The registry behind it, for reloading."""
        return self._registry

    def of(self, event: Event) -> list[Hook]:
        """Return the hooks for an event, in the order of registration."""
        return [hook for hook in self._registry if isinstance(event, hook.event)]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        event = EVENTS.get(name)
        if event is None:
            raise CommandError(
                f"there is no event {name!r}{did_you_mean(name, EVENTS)}; known are {', '.join(EVENTS)}"
            )

        def register(
            function: F | None = None,
            *,
            account: str | None = None,
            folder: str | None = None,
            match: str | Callable[[Any], bool] | None = None,
        ) -> F | Callable[[F], F]:
            def decorate(function: F) -> F:
                self._registry.put(key_of(function), Hook(event, function, account, folder, match))
                return function

            return decorate if function is None else decorate(function)

        return register

    def __dir__(self) -> list[str]:
        return sorted(EVENTS)
