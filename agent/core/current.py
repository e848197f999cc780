"""What is current in the console: the message, the folder or view, the marked messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.core.message import Message
    from agent.core.messages import Messages


@dataclass(slots=True)
class Current:
    """Frozen by the console when Enter or a key is pressed; empty without a console."""

    msg: Message | None = None
    here: Messages | None = None
    marked: Messages | None = None
