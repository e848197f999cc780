"""How much automatic mail an account sends in an hour and a day at the most: what stops a storm; its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.core.options import Option
from agent.store import outbox

if TYPE_CHECKING:
    from agent.core.account import Account
    from agent.core.context import Context
    from agent.store.db import Transaction

HOURLY = Option("automatic-per-hour", 20, "Automatic messages an account sends in an hour at the most")
DAILY = Option("automatic-per-day", 50, "Automatic messages an account sends in a day at the most")
MAX_AGE = Option("automatic-max-age", "3d", "Mail older than this is not answered automatically")
OPTIONS: tuple[Option[Any], ...] = (HOURLY, DAILY, MAX_AGE)
_SPANS = ((HOURLY, 3600.0, "an hour"), (DAILY, 86_400.0, "a day"))


class Caps:
    """The caps of one agent, and which of them the user knows to be reached."""

    def __init__(self) -> None:
        self._told: dict[tuple[int, str], float] = {}

    def over(self, tx: Transaction, context: Context, account: Account, now: float) -> str | None:
        """Return why no more automatic mail goes out now; None when it may. Tells the user once a span."""
        for option, span, words in _SPANS:
            limit = context.options.value(option)
            if outbox.automatic_since(tx, account.id, now - span) < limit:
                continue
            why = f"{account.name} has sent {limit} automatic messages within {words}"
            key = (account.id, option.name)
            if now - self._told.get(key, -span) >= span:
                self._told[key] = now
                context.tell(f"{why}: no more are sent for now; see option {option.name}")
            return why
        return None
