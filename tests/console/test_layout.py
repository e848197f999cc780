from __future__ import annotations

from prompt_toolkit.filters import Condition
from prompt_toolkit.layout import Dimension, Window, walk
from prompt_toolkit.layout.menus import CompletionsMenu

from agent.console.layout import Parts, build, line_window


def parts(shown: bool) -> Parts:
    view, repl, bottom = Window(), Window(), line_window(lambda: [("", "bottom")])
    return Parts(
        view=lambda: view,
        status=lambda: [("", "status")],
        repl=lambda: repl,
        repl_shown=Condition(lambda: shown),
        repl_height=lambda: Dimension.exact(5),
        bottom=lambda: bottom,
        completing=False,
    )


def test_menus_float_on_the_root_so_that_no_pane_clips_them() -> None:
    root = build(parts(True))
    assert any(isinstance(found, CompletionsMenu) for found in walk(root.floats[0].content))  # type: ignore[arg-type]


def test_the_repl_takes_no_room_until_it_is_shown() -> None:
    for shown in (True, False):
        wanted = parts(shown)
        found = list(walk(build(wanted), skip_hidden=True))
        assert wanted.view() in found
        assert wanted.bottom() in found
        assert (wanted.repl() in found) is shown
