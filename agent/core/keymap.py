"""Keys: sequences, and which command line each runs in which context. Pure; the ui thread walks it.

`g g`, `gg`, `C-x C-c`, `M-<`, `Z Z`, `<Enter>`: spaces join keys, and a run of plain letters is a run of
keys. A key is one character, or one of NAMES, with `C-`, `M-`, `S-` before it. Digits before a sequence
are a count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agent.core.commands import Commands
from agent.errors import CommandError, did_you_mean

CONTEXTS = ("global", "index", "view", "text", "review", "folders", "repl", "prompt")

NAMES = (
    *("Enter", "Escape", "Space", "Tab", "Backspace", "Delete", "Insert", "Up", "Down", "Left", "Right"),
    *("Home", "End", "PageUp", "PageDown", *(f"F{n}" for n in range(1, 25))),
)
_BY_WORD = {name.lower(): name for name in NAMES} | {
    "ret": "Enter",
    "return": "Enter",
    "cr": "Enter",
    "esc": "Escape",
    "spc": "Space",
    "del": "Delete",
    "bs": "Backspace",
    "pgup": "PageUp",
    "pgdn": "PageDown",
    "ins": "Insert",
    "lt": "<",
    "gt": ">",
}
# What a terminal cannot tell apart is one key.
_SAME = {"C-i": "Tab", "C-m": "Enter", "C-[": "Escape", "C-h": "Backspace", "C-Space": "C-@", " ": "Space"}
_MODIFIED = re.compile(r"((?:[CMS]-)+)(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class KeySequence:
    """Keys pressed one after the other, in their canonical spelling."""

    keys: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> KeySequence:
        """Read a sequence; raises CommandError for a key that does not exist."""
        keys = [key for token in text.split() for key in _keys(token, text)]
        if not keys:
            raise CommandError(f"no key in {text!r}; write for example 'g i', 'C-o' or 'Enter'")
        return cls(tuple(keys))

    def __str__(self) -> str:
        plain = all(len(key) == 1 for key in self.keys)
        return ("" if plain else " ").join(self.keys)


def _keys(token: str, text: str) -> Iterator[str]:
    if token.startswith("<") and token.endswith(">") and len(token) > 2:
        token = token[1:-1]
    elif len(token) > 1 and "<" in token and ">" in token[token.index("<") :]:  # g<Enter>
        for part in re.findall(r"<[^<>]+>|.", token):
            yield from _keys(part, text)
        return
    if len(token) == 1:
        yield token
    elif token.lower() in _BY_WORD:
        yield _BY_WORD[token.lower()]
    elif match := _MODIFIED.fullmatch(token):
        yield _modified(match[1], match[2], text)
    elif re.search(r"[CMS]-|[A-Z][a-z]{3,}", token):
        raise CommandError(f"unknown key {token!r} in {text!r}{did_you_mean(token, NAMES)}")
    else:
        yield from token


def _modified(modifiers: str, base: str, text: str) -> str:
    name = _BY_WORD.get(base.lower(), base if len(base) == 1 else "")
    if not name:
        raise CommandError(f"unknown key {base!r} in {text!r}{did_you_mean(base, NAMES)}")
    plain = len(name) == 1
    if "S" in modifiers and plain and name.isalpha():  # the terminal sends the capital
        name, modifiers = name.upper(), modifiers.replace("S-", "")
    if "C" in modifiers and plain:
        name = name.lower()
    key = "".join(f"{m}-" for m in "CS" if m in modifiers) + name
    return ("M-" if "M" in modifiers else "") + _SAME.get(key, key)


@dataclass(frozen=True, slots=True)
class Binding:
    """A sequence that runs a command line in a context; an empty line hides a built-in binding."""

    sequence: KeySequence
    line: str
    context: str
    layer: str = "user"


@dataclass(frozen=True, slots=True)
class Found:
    """What the keys pressed so far lead to: a binding, or only longer sequences."""

    binding: Binding | None
    longer: tuple[Binding, ...] = ()


class Keymap:
    """The bindings of one agent; the user's shadow the built-in ones."""

    def __init__(self, commands: Commands) -> None:
        self.revision = 0  # grows with every change
        self._commands = commands
        self._layers: dict[str, dict[tuple[str, KeySequence], Binding]] = {"builtin": {}, "user": {}}
        self._tables: dict[str, dict[KeySequence, Binding]] = {}
        self._names: dict[tuple[str, ...], dict[str, tuple[Binding, ...]]] = {}  # what keys_of answers

    def bind(self, keys: str, line: str, context: str = "", *, layer: str = "user") -> tuple[Binding, ...]:
        """Bind keys to a command line in contexts joined by spaces; return the bindings this replaced.

        Without a context: in those of the command. Raises CommandError for an unknown key, context or
        command, and when the sequence would hide the beginning of another or be hidden by one.
        """
        sequence = KeySequence.parse(keys)
        if re.fullmatch("[1-9]", sequence.keys[0]):
            raise CommandError(f"cannot bind {keys!r}: digits before a key are a count")
        command = self._commands.check(line)
        contexts = tuple(context.split()) or command.contexts or ("global",)
        for one in contexts:
            self._check(sequence, line, one)
        replaced = [self._tables.get(one, {}).get(sequence) for one in contexts]
        made = {(one, sequence): Binding(sequence, line, one, layer) for one in contexts}
        self._replace(layer, self._layers[layer] | made)
        return tuple(binding for binding in replaced if binding)

    def unbind(self, keys: str, context: str = "", *, layer: str = "user") -> None:
        """Take away a sequence, in the given contexts or everywhere; raises when it is not bound."""
        sequence = KeySequence.parse(keys)
        contexts = context.split() or [one for one in CONTEXTS if sequence in self.table(one)]
        bound = [one for one in contexts if sequence in self.table(one)]
        if not bound:
            raise CommandError(f"{keys!r} is not bound{f' in {context}' if context else ''}")
        left = {key: binding for key, binding in self._layers[layer].items() if key[1] != sequence}
        for one in CONTEXTS:
            if one not in bound and (one, sequence) in self._layers[layer]:
                left[one, sequence] = self._layers[layer][one, sequence]
            elif one in bound and any(
                (one, sequence) in table for name, table in self._layers.items() if name != layer
            ):
                left[one, sequence] = Binding(sequence, "", one, layer)
        self._replace(layer, left)

    def reset(self, layer: str = "user") -> None:
        """Forget a layer, as before init.py ran."""
        self._replace(layer, {})

    def _replace(self, layer: str, table: dict[tuple[str, KeySequence], Binding]) -> None:
        """Put a new table in place: init.py binds on main while the ui thread looks keys up."""
        self._layers = {**self._layers, layer: table}
        self._tables, self._names = {}, {}
        self.revision += 1

    def table(self, context: str) -> dict[KeySequence, Binding]:
        """Return what is bound in exactly this context."""
        if context not in CONTEXTS:
            known = ", ".join(CONTEXTS)
            raise CommandError(
                f"unknown context {context!r}{did_you_mean(context, CONTEXTS)}; there are {known}"
            )
        tables = self._tables
        if context not in tables:
            table: dict[KeySequence, Binding] = {}
            for layer in self._layers.values():
                table.update({key: b for (where, key), b in layer.items() if where == context})
            tables[context] = {key: binding for key, binding in table.items() if binding.line}
        return tables[context]

    def bindings(self, contexts: Iterable[str]) -> tuple[Binding, ...]:
        """Return what the keys do where these contexts hold, the first one winning."""
        seen: dict[KeySequence, Binding] = {}
        for context in contexts:
            for sequence, binding in self.table(context).items():
                hidden = any(
                    _begins(sequence, other) or _begins(other, sequence)
                    for other in seen
                    if other != sequence
                )
                if not hidden:
                    seen.setdefault(sequence, binding)
        return tuple(seen.values())

    def find(self, keys: tuple[str, ...], contexts: Iterable[str]) -> Found:
        """Look up the keys pressed so far; the first context that knows them decides."""
        for context in contexts:
            table = self.table(context)
            if binding := table.get(KeySequence(keys)):
                return Found(binding)
            if longer := tuple(b for sequence, b in table.items() if sequence.keys[: len(keys)] == keys):
                return Found(None, longer)
        return Found(None)

    def keys_of(self, name: str, contexts: Iterable[str] = CONTEXTS) -> tuple[Binding, ...]:
        """Return the bindings that run a command, for help and hints."""
        contexts, answers = tuple(contexts), self._names
        if contexts not in answers:
            names: dict[str, list[Binding]] = {}
            for binding in self.bindings(contexts):
                names.setdefault(self._commands.parse(binding.line).command.name, []).append(binding)
            answers[contexts] = {each: tuple(found) for each, found in names.items()}
        return answers[contexts].get(name, ())

    def _check(self, sequence: KeySequence, line: str, context: str) -> None:
        for other, binding in self.table(context).items():
            if other == sequence:
                continue
            if _begins(sequence, other) or _begins(other, sequence):
                what = "begins with it" if _begins(sequence, other) else "is its beginning"
                raise CommandError(
                    f"cannot bind {sequence} to {line!r} in {context}: "
                    f"{other} ({binding.line}) {what}; unbind that first"
                )


def _begins(short: KeySequence, long: KeySequence) -> bool:
    return long.keys[: len(short.keys)] == short.keys


@dataclass(frozen=True, slots=True)
class Step:
    """What a key press led to: a binding to run, keys that mean nothing, or neither yet."""

    binding: Binding | None = None
    count: int | None = None
    unknown: str = ""


class Walker:
    """Follows the keys as they are pressed: counts, sequences, and Escape, which forgets both."""

    def __init__(self, keymap: Keymap) -> None:
        self._keymap = keymap
        self._digits = ""
        self.keys: tuple[str, ...] = ()

    @property
    def pending(self) -> str:
        """What was typed and still waits for more, such as `3g`."""
        return self._digits + str(KeySequence(self.keys)) if self.keys else self._digits

    def next_keys(self, contexts: Iterable[str]) -> tuple[Binding, ...]:
        """Return the bindings that the pending keys may still lead to."""
        return self._keymap.find(self.keys, contexts).longer if self.keys else ()

    def reset(self) -> None:
        """Forget what was typed."""
        self._digits, self.keys = "", ()

    def press(self, key: str, contexts: Iterable[str]) -> Step:
        """Take one key."""
        contexts = tuple(contexts)
        if not self.keys and re.fullmatch("[1-9]" if not self._digits else "[0-9]", key):
            self._digits = (self._digits + key)[:9]
            return Step()
        waiting = self.pending
        if key == "Escape" and waiting:
            self.reset()
            return Step()
        found = self._keymap.find((*self.keys, key), contexts)
        if not found.binding and found.longer:
            self.keys = (*self.keys, key)
            return Step()
        count = int(self._digits) if self._digits else None
        typed = (*self.keys, key)
        self.reset()
        return Step(found.binding, count) if found.binding else Step(unknown=str(KeySequence(typed)))
