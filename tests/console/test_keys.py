from __future__ import annotations

import asyncio

import pytest
from prompt_toolkit.application import Application, create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import Layout, UIContent, UIControl, Window
from prompt_toolkit.output import DummyOutput

from agent.console.keys import every_key, spell
from agent.core.keymap import KeySequence


@pytest.mark.parametrize(
    ("key", "spelled"),
    [
        ("j", "j"), (" ", "Space"), ("~", "~"), (Keys.ControlO, "C-o"), (Keys.ControlM, "Enter"),
        (Keys.ControlI, "Tab"), (Keys.BackTab, "S-Tab"), (Keys.Escape, "Escape"), (Keys.ControlH, "Backspace"),
        (Keys.PageDown, "PageDown"), (Keys.F5, "F5"), (Keys.ControlAt, "C-@"), (Keys.ControlLeft, "C-Left"),
        (Keys.ShiftUp, "S-Up"), (Keys.ControlShiftHome, "C-S-Home"), (Keys.ControlBackslash, "C-\\"),
    ],
)  # fmt: skip
def test_keys_are_spelled_as_the_keymap_does(key: Keys | str, spelled: str) -> None:
    assert spell(key) == spelled
    assert KeySequence.parse(spelled).keys == (spelled,)


def test_every_key_a_terminal_can_send_has_a_spelling() -> None:
    for key in Keys:
        if not key.value.startswith("<"):
            assert KeySequence.parse(spell(key)).keys == (spell(key),)


class Blank(UIControl):
    """Takes keys, shows nothing."""

    def __init__(self, keys: object) -> None:
        self._keys = keys

    def is_focusable(self) -> bool:
        return True

    def get_key_bindings(self) -> object:  # type: ignore[override]
        return self._keys

    def create_content(self, width: int, height: int | None) -> UIContent:
        return UIContent(lambda n: [], line_count=1)


def pressed(sent: str, *known: str) -> list[str]:
    """Send what a terminal sends; return the keys that were pressed, up to q."""
    keys: list[str] = []

    async def main() -> None:
        app: Application[None] = Application(Layout(Window(Blank(bindings))))
        app.ttimeoutlen = 0.01
        apps.append(app)
        piped.send_text(sent + "q")
        await app.run_async()

    def press(key: str) -> None:
        keys.append(key)
        if key == "q":
            apps[0].exit()

    apps: list[Application[None]] = []
    bindings = every_key(press, lambda key: key in known)
    with create_pipe_input() as piped, create_app_session(input=piped, output=DummyOutput()):
        asyncio.run(main())
    return keys[:-1]


def test_every_key_arrives_even_those_with_a_default_meaning() -> None:
    assert pressed("jG\x01\x0f\x18\x03\x1b[A\x1b[5~\r\t\x7f") == [
        "j", "G", "C-a", "C-o", "C-x", "C-c", "Up", "PageUp", "Enter", "Tab", "Backspace",
    ]  # fmt: skip


def test_pasted_text_is_no_key_press() -> None:
    assert pressed("a\x1b[200~dddZZ\x1b[201~b") == ["a", "b"]


def test_escape_and_a_key_in_one_piece_are_alt_only_where_that_is_known() -> None:
    assert pressed("\x1bv", "M-v") == ["M-v"]
    assert pressed("\x1bv") == ["Escape", "v"]
