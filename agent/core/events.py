"""What happens, as values. Hooks get them; each carries who caused it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.core.message import Message


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events: `origin` is server, user, rule, script or undo; `cause` a name."""

    origin: str
    cause: str


@dataclass(frozen=True, slots=True)
class MessageNew(Event):
    """A message came, in any folder but Sent and Drafts; once per message for ever, its content here."""

    message: Message


def name_of(event: type[Event]) -> str:
    """Return the name hooks use: MessageNew -> message_new."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", event.__name__).lower()


EVENTS: dict[str, type[Event]] = {name_of(event): event for event in (MessageNew,)}
