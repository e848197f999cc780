"""Commands: named functions that keys, the `:` line and `agent --remote` run. Pure; any thread.

A command is declared by a decorated function. Its signature says how the line is read:

    @command("snooze-week", key="z", context="index")
    def snooze_week(sel: Messages, days: int = 7) -> Job:
        "Hide the selected messages for some days"

`:snooze-week 3`, `:snooze-week --days 3`. A bool is a flag (`--quote`, `--no-quote`), `*words: str` takes the
rest, `Line` the rest as it was typed, `count` what was typed before the key. Types that were provided
(`Messages`, `Message`, ...) are not typed: the situation in which the key was pressed has them.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeVar

from agent.core.arguments import (
    ABSENT,
    Argument,
    Line,
    Source,
    Types,
    arguments_of,
    last_word,
    read_arguments,
)
from agent.errors import CommandError, did_you_mean

__all__ = ["Call", "Candidate", "Command", "Commands", "Line", "Situation", "command"]

F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_HEAD = re.compile(r"\s*(?P<count>[1-9][0-9]*)?(?P<name>[^\s\d]\S*)?")


@dataclass(frozen=True, slots=True)
class Command:
    """A function with a name; `source` is the (module, qualname) that declared it."""

    name: str
    run: Callable[..., object]
    arguments: tuple[Argument, ...]
    help: str
    contexts: tuple[str, ...] = ()  # none: everywhere
    keys: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    ui: bool = False  # runs on the ui thread and so only touches the store and queues; else on main
    layer: str = "user"

    @property
    def source(self) -> Source:
        """Who declared it; declaring again replaces."""
        return Source.of(self.run)

    @property
    def usage(self) -> str:
        """The line as one types it: `move FOLDER [--copy]`."""
        return " ".join([self.name, *filter(None, (argument.usage for argument in self.arguments))])

    def works_in(self, context: str) -> bool:
        """Tell whether the command may be used in a context."""
        return not self.contexts or context in self.contexts or context == "global"


@dataclass(frozen=True, slots=True)
class Situation:
    """What was current when the key was pressed; frozen before the command runs."""

    values: Mapping[type, object] = field(default_factory=dict)
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A command with the arguments that were typed."""

    command: Command
    typed: Mapping[str, object]
    rest: tuple[object, ...] = ()
    count: int | None = None

    @property
    def missing(self) -> tuple[Argument, ...]:
        """Arguments that have to be typed and were not."""
        return tuple(a for a in self.command.arguments if a.required and a.name not in self.typed)

    def prepare(self, situation: Situation) -> Callable[[], object]:
        """Return a function without arguments that runs the command in that situation."""
        if self.missing:
            raise CommandError(
                f"{self.command.name}: {self.missing[0].word} is missing; usage: {self.command.usage}"
            )
        named: dict[str, object] = {}
        placed: list[object] = []
        for argument in self.command.arguments:
            if argument.rest:  # what stands before `*words` has to be passed by place
                placed = [*named.values(), *self.rest]
                named.clear()
            else:
                value = self._value(argument, situation)
                if value is not ABSENT:
                    named[argument.name] = value
        return functools.partial(self.command.run, *placed, **named)

    def _value(self, argument: Argument, situation: Situation) -> object:
        if argument.counts:
            count = self.count if self.count is not None else situation.count
            return argument.default if count is None else count
        if argument.provided is None:
            return self.typed.get(argument.name, argument.default)
        value = situation.values.get(argument.provided)
        if value is None and not argument.optional and argument.default is ABSENT:
            raise CommandError(f"{self.command.name}: there is no {argument.word} here")
        return argument.default if value is None and argument.default is not ABSENT else value


@dataclass(frozen=True, slots=True)
class Candidate:
    """A completion: the text to put in, and a short help to show beside it."""

    text: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class _Declaration:
    name: str
    contexts: tuple[str, ...]
    keys: tuple[str, ...]
    aliases: tuple[str, ...]
    ui: bool


def command(
    name: str = "", *, key: str = "", context: str = "", aliases: str = "", ui: bool = False
) -> Callable[[F], F]:
    """Declare a function as a command; `Commands.add` registers it.

    Without a name the function's own is taken, `_` as `-`. `key`, `context` and `aliases` may hold several:
    keys separated by a comma, contexts and aliases by a space.
    """

    def declare(function: F) -> F:
        function.__dict__["__command__"] = _Declaration(
            name or function.__name__.strip("_").replace("_", "-"),
            tuple(context.split()),
            tuple(part.strip() for part in key.split(", ") if part.strip()),
            tuple(aliases.split()),
            ui,
        )
        return function

    return declare


class Commands:
    """The commands of one agent; the user's shadow the built-in ones of the same name."""

    def __init__(self) -> None:
        self.types = Types()
        self._layers: dict[str, dict[Source, Command]] = {"builtin": {}, "user": {}}
        self._names: dict[str, Command] = {}

    def provide(self, kind: type, word: str) -> None:
        """Let parameters of type `kind` come from the situation; `word` names it in errors."""
        self.types.provide(kind, word)

    def accept(
        self, kind: type, parse: Callable[[str], object], complete: Callable[[], Iterable[str]] = tuple
    ) -> None:
        """Let parameters of type `kind` be typed: `parse` turns the word into the value."""
        self.types.accept(kind, parse, complete)

    def add(self, function: Callable[..., object], layer: str = "user") -> Command:
        """Register a declared function; the same (module, qualname) replaces what it registered before."""
        declaration: _Declaration = function.__dict__["__command__"]
        for name in (declaration.name, *declaration.aliases):
            if not _NAME.fullmatch(name):
                raise CommandError(f"command name {name!r}: use lower case words joined by '-'")
        added = Command(
            declaration.name,
            function,
            arguments_of(function, declaration.name, self.types),
            (function.__doc__ or "").strip().partition("\n")[0].rstrip("."),
            declaration.contexts,
            declaration.keys,
            declaration.aliases,
            declaration.ui,
            layer,
        )
        self._replace(layer, self._layers[layer] | {added.source: added})
        return added

    def add_module(self, module: ModuleType, layer: str = "builtin") -> tuple[Command, ...]:
        """Register every declared function of a module, in the order of the file."""
        declared = [
            f for f in vars(module).values() if callable(f) and "__command__" in getattr(f, "__dict__", ())
        ]
        return tuple(
            self.add(function, layer) for function in declared if function.__module__ == module.__name__
        )

    def reset(self, layer: str = "user") -> None:
        """Forget a layer, as before init.py ran."""
        self._replace(layer, {})

    def _replace(self, name: str, table: dict[Source, Command]) -> None:
        """Put new tables in place: init.py declares on main while the ui thread looks names up."""
        self._layers = {**self._layers, name: table}
        names: dict[str, Command] = {}
        for layer in self._layers.values():
            for one in layer.values():
                names.update(dict.fromkeys(one.aliases, one))
        for layer in self._layers.values():
            names.update({one.name: one for one in layer.values()})
        self._names = names

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> Command:
        if name not in self._names:
            raise CommandError(f"unknown command {name!r}{did_you_mean(name, self._names)}")
        return self._names[name]

    def __iter__(self) -> Iterator[Command]:
        return iter(sorted(set(self._names.values()), key=lambda one: one.name))

    def parse(self, line: str) -> Call:
        """Read a line such as `3next` or `move "Lists/py" --copy`; a bare number goes to that line."""
        head = _HEAD.match(line)
        count, name = (head["count"], head["name"]) if head else (None, None)
        if count and not name and "go-to" in self:
            name = "go-to"
        if not head or not name:
            raise CommandError("type the name of a command")
        found = self[name]
        typed, rest = read_arguments(found.name, found.arguments, line[head.end() :])
        return Call(found, typed, rest, int(count) if count else None)

    def check(self, line: str) -> Command:
        """Return the command of a line that a key is bound to; raise when the line cannot be right."""
        return self.parse(line).command

    def complete(self, line: str, context: str) -> tuple[int, list[Candidate]]:
        """Return where the word at the end of the line begins and what it may become."""
        head = _HEAD.match(line)
        assert head is not None
        if head.end() == len(line):
            start, word = (head.start("name") if head["name"] else len(line)), head["name"] or ""
            return start, [
                Candidate(c.name, c.help) for c in self if c.works_in(context) and c.name.startswith(word)
            ]
        if head["name"] not in self._names:
            return len(line), []
        start, word, before = last_word(line, head.end())
        return start, list(self._complete(self._names[head["name"]], before, word))

    def _complete(self, one: Command, before: int, word: str) -> Iterator[Candidate]:
        if word.startswith("-"):
            for argument in one.arguments:
                yield from (
                    Candidate(flag, argument.help) for flag in argument.flags if flag.startswith(word)
                )
            return
        typed = [a for a in one.arguments if a.positional]
        if not typed or (before >= len(typed) and not typed[-1].rest):
            return
        known = [
            text for text in typed[min(before, len(typed) - 1)].complete() if word.lower() in text.lower()
        ]
        for text in sorted(known, key=lambda text: not text.lower().startswith(word.lower())):
            yield Candidate(shlex.quote(text))
