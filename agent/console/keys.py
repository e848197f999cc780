"""From what prompt_toolkit calls a key to our keymap's spelling, and bindings that take every key.

One catch-all binding for the views: our own Walker follows sequences and counts, so keys can be
rebound at any time and what waits can be shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys

from agent.core.keymap import NAMES

_OURS = {
    Keys.ControlM: "Enter",
    Keys.ControlJ: "Enter",
    Keys.ControlI: "Tab",
    Keys.BackTab: "S-Tab",
    Keys.ControlH: "Backspace",
    Keys.Escape: "Escape",
}
# What is no key press: reports of the terminal, the mouse, pasted text.
_NO_KEYS = {
    *(
        Keys.Any,
        Keys.CPRResponse,
        Keys.Vt100MouseEvent,
        Keys.WindowsMouseEvent,
        Keys.ScrollUp,
        Keys.ScrollDown,
    ),
    *(Keys.BracketedPaste, Keys.SIGINT, Keys.Ignore),
}


def spell(key: Keys | str) -> str:
    """Return a key in our spelling: `C-o`, `S-Tab`, `j`."""
    if isinstance(key, Keys):
        return _OURS.get(key) or _spell_named(key.value)
    return "Space" if key == " " else key


def _spell_named(value: str) -> str:
    *modifiers, name = value.split("-") if not value.endswith("-") else [*value[:-2].split("-"), "-"]
    named = {known.lower(): known for known in NAMES}.get(name, name)
    prefix = "".join(f"{m}-" for m in "CS" if m.lower() in modifiers)
    return prefix + named


def every_key(press: Callable[[str], None], knows: Callable[[str], bool]) -> KeyBindings:
    """Return bindings that hand each key press to `press` in our spelling.

    Terminals send Alt as Escape and the key in one piece: they are one key where `knows` says so.
    Pasted text is dropped: in a list, its letters would run as commands.
    """
    bindings = KeyBindings()

    def handle(event: KeyPressEvent) -> None:
        key = spell(event.key_sequence[0].key)
        queue = event.app.key_processor.input_queue
        following = _sent_with_escape(queue) if key == "Escape" else None
        if following and knows(f"M-{spell(following)}"):
            queue.popleft()
            press(f"M-{spell(following)}")
        else:
            press(key)

    for key in (Keys.Any, *(key for key in Keys if key not in _NO_KEYS)):
        bindings.add(key, eager=True)(handle)
    bindings.add(Keys.BracketedPaste, eager=True)(lambda event: None)
    return bindings


def _sent_with_escape(queue: deque[KeyPress]) -> Keys | str | None:
    """Return the key that came in one piece with Escape."""
    if queue and queue[0].key not in _NO_KEYS and queue[0].data != "_Flush":
        return queue[0].key
    return None
