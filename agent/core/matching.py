"""What rules and hooks match: a query of the query language, or a function of the message."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from agent.errors import CommandError
from agent.mail.query_parse import parse

if TYPE_CHECKING:
    from agent.core.message import Message

Match: TypeAlias = "str | Callable[[Message], bool]"


def checked(match: Match | None, who: str) -> Match | None:
    """Return a match that can be asked; raises QueryError or CommandError, best while init.py is loaded."""
    if isinstance(match, str):
        parse(match, 0.0)  # words such as `today` are read anew for each message
    elif match is not None and not callable(match):
        raise CommandError(f"{who} matches a query or a function, not {match!r}")
    return match


def matches(match: Match | None, message: Message) -> bool:
    """Tell whether a message is what a query or function asks for; None asks for every one."""
    if match is None:
        return True
    if isinstance(match, str):
        return message._in(match)
    return bool(match(message))
