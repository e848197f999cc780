"""How the screen is divided: the view, the status bar, the REPL when it is open, one line at the bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prompt_toolkit.filters import FilterOrBool
from prompt_toolkit.layout import (
    AnyContainer,
    CompletionsMenu,
    ConditionalContainer,
    Dimension,
    DynamicContainer,
    Float,
    FloatContainer,
    HSplit,
    Window,
)
from prompt_toolkit.layout.controls import FormattedTextControl

from agent.console.fragments import Line


@dataclass(frozen=True, slots=True)
class Parts:
    """What the screen is made of; functions are asked at each drawing."""

    view: Callable[[], AnyContainer]
    status: Callable[[], Line]
    repl: Callable[[], AnyContainer]
    repl_shown: FilterOrBool
    repl_height: Callable[[], Dimension]
    bottom: Callable[[], Window]
    completing: FilterOrBool


def build(parts: Parts) -> FloatContainer:
    """Return the root container. Menus float on it, so that no pane clips them."""
    repl = ConditionalContainer(
        HSplit([DynamicContainer(parts.repl)], height=parts.repl_height), parts.repl_shown
    )
    body = HSplit(
        [DynamicContainer(parts.view), line_window(parts.status), repl, DynamicContainer(parts.bottom)]
    )
    menu = ConditionalContainer(CompletionsMenu(max_height=10, scroll_offset=1), parts.completing)
    return FloatContainer(body, [Float(menu, xcursor=True, ycursor=True, transparent=True)])


def line_window(text: Callable[[], Line]) -> Window:
    """Return a window of one line that is asked for at each drawing."""
    return Window(FormattedTextControl(lambda: list(text())), height=1)
