"""The REPL: statements on the main thread, their output in a transcript, ptpython as one pane.

What the console uses; ptpython and Jedi are loaded when the pane is made, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.repl.runner import Runner, refuse_to_hang
from agent.repl.stdio import Stdio
from agent.repl.transcript import Fragment, Line, Transcript

if TYPE_CHECKING:
    from agent.repl.pane import Pane as Pane

__all__ = ["Fragment", "Line", "Runner", "Stdio", "Transcript", "make_pane", "refuse_to_hang", "warm_up"]


def warm_up() -> None:
    """Load ptpython, and what reads messages; takes about 0.3 s."""
    import agent.mail.html
    import agent.mail.parse
    import agent.repl.pane  # noqa: F401


def make_pane(*arguments: Any) -> Pane:
    """Make the pane; on the ui thread."""
    from agent.repl.pane import Pane as Pane

    return Pane(*arguments)
