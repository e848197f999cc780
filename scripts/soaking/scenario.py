"""What a scenario is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.app import Agent
    from scripts.soaking.server import Mailbox

Act = Callable[["Agent"], object]
LETTER = "letter"  # in the subject of what is sent


@dataclass(frozen=True, slots=True)
class Step:
    """Something a person asks for, and how many jobs that leaves in the store."""

    act: Act
    jobs: int = 1


@dataclass(frozen=True, slots=True)
class Scenario:
    """A mailbox, what happened before, and what happens while the agent is killed.

    `fill` puts mail into each account's mailbox. With `synced` the agent has seen it. Then come the
    `offline` steps, which no line hears of yet, and what another client does (`elsewhere`). The
    faults hit what follows: the `phases`, each a row of steps that is brought to its end.
    """

    name: str
    about: str
    fill: Callable[[Mapping[str, Mailbox]], None]
    synced: bool = True
    offline: Sequence[Step] = ()
    elsewhere: Callable[[Mapping[str, Mailbox]], None] | None = None
    phases: Sequence[Sequence[Step]] = ()
    accounts: tuple[str, ...] = ("work",)
    lacking: tuple[str, ...] = ()  # capabilities the server shall not have
    journal_first: bool = True  # the journal before the sync, or after it
    bodies: str = "all"
    doubtful: bool = False  # it sends mail, which a fault may leave in doubt
    options: Mapping[str, Any] = field(default_factory=dict)


def steps(*acts: Act | Step) -> tuple[Step, ...]:
    """Return steps; a plain function leaves one job."""
    return tuple(act if isinstance(act, Step) else Step(act) for act in acts)
