"""What the keys do here, as lines to read. Pure."""

from __future__ import annotations

from agent.console.fragments import Line
from agent.core.commands import Commands
from agent.core.keymap import Keymap
from agent.mail.safe import fit, safe

_NAMES = {
    "index": "In the message list",
    "view": "In a message",
    "text": "In a text",
    "review": "In the review of a draft",
    "global": "Everywhere",
}


def help_lines(commands: Commands, keymap: Keymap, context: str) -> list[Line]:
    """Return the keys of a context and those that work everywhere, then the commands without a key."""
    lines: list[Line] = []
    shown: set[str] = set()
    for place in (context, "global"):
        lines += [[("class:header.subject", _NAMES.get(place, place))], []]
        keys: dict[str, list[str]] = {}
        for binding in keymap.bindings([place]):
            keys.setdefault(binding.line, []).append(str(binding.sequence))
        for line, sequences in keys.items():
            command = commands.parse(line).command
            shown.add(command.name)
            text = command.help if line == command.name else f"{command.help}: {line}"
            lines.append(
                [
                    ("class:hint.key", f"  {fit(', '.join(sequences), 18)} "),
                    ("class:row.who", f"{fit(f':{command.name}', 20)} "),
                    ("", str(safe(text))),
                ]
            )
        lines.append([])
    rest = [command for command in commands if command.name not in shown and command.works_in(context)]
    lines += [[("class:header.subject", "Commands of the : line")], []]
    for command in rest:
        lines.append([("class:row.who", f"  :{fit(command.usage, 36)} "), ("", str(safe(command.help)))])
    lines += [
        [],
        [("", "Counts stand before the key: 3j. In the REPL: C-o gives the keys back, C-c interrupts.")],
    ]
    return lines
