"""Hooks: functions called when something happens. `on.message_new(folder="INBOX")` registers one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from agent.core.events import EVENTS, Event
from agent.core.matching import Match, checked, matches
from agent.core.registry import Registry, name_of, plain, source_of
from agent.errors import CommandError, did_you_mean

if TYPE_CHECKING:
    from agent.core.message import Message

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Hook:
    """A function and the events it wants."""

    event: type[Event]
    function: Callable[[Any], Any]
    account: str | None
    folder: str | None
    match: Match | None

    @property
    def name(self) -> str:
        """The name claims and logs use."""
        return name_of(self.function)

    @property
    def source(self) -> str:
        """Where it stands."""
        return source_of(self.function)

    def wants(self, message: Message) -> bool:
        """Tell whether the hook is meant for a message, where it lies now."""
        account, folder = message.account, message.folder
        if self.account is not None and (account is None or account.name != self.account):
            return False
        if self.folder is not None:
            names = (folder.name.casefold(), folder.role) if folder is not None else ()
            if self.folder.casefold() not in names:
                return False
        return matches(self.match, message)


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
            match: Match | None = None,
        ) -> F | Callable[[F], F]:
            checked(match, "a hook")

            def decorate(function: F) -> F:
                found = plain(function)
                self._registry.put(found, Hook(event, found, account, folder, match))
                return function

            return decorate if function is None else decorate(function)

        return register

    def __dir__(self) -> list[str]:
        return sorted(EVENTS)
