"""The arguments of a command: found in a function's signature, read from a line. Pure; any thread."""

from __future__ import annotations

import inspect
import shlex
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from agent.errors import CommandError, did_you_mean

Parse = Callable[[str], object]
Complete = Callable[[], Iterable[str]]

ABSENT = inspect.Parameter.empty


class Line(str):
    """The rest of the command line, exactly as it was typed."""

    __slots__ = ()


class Source(NamedTuple):
    """Where a function was written; the key under which it is registered."""

    module: str
    qualname: str

    @classmethod
    def of(cls, function: Callable[..., object]) -> Source:
        """Return the source of a function."""
        return cls(function.__module__, function.__qualname__)


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter of a command."""

    name: str
    word: str  # what it is called in usage and errors
    parse: Parse
    complete: Complete = tuple
    provided: type | None = None  # comes from the situation
    counts: bool = False  # comes from what was typed before the key
    flag: bool = False  # --name, --no-name
    option: bool = False  # keyword only: --name VALUE
    rest: bool = False  # *words
    line: bool = False  # the rest as typed
    default: object = ABSENT
    optional: bool = False  # may be None

    @property
    def positional(self) -> bool:
        """Whether it is typed by its place."""
        return self.provided is None and not (self.counts or self.flag or self.option)

    @property
    def takes_rest(self) -> bool:
        """Whether it takes everything that follows."""
        return self.rest or self.line

    @property
    def required(self) -> bool:
        """Whether it has to be typed."""
        typed = self.positional or self.option
        return typed and not self.rest and self.default is ABSENT

    @property
    def flags(self) -> tuple[str, ...]:
        """The spellings that begin with `--`."""
        if self.provided is not None or self.counts or self.takes_rest:
            return ()
        name = self.name.strip("_").replace("_", "-")
        return (f"--{name}", f"--no-{name}") if self.flag and self.default is True else (f"--{name}",)

    @property
    def help(self) -> str:
        """A short description for completion."""
        return "" if self.default in (ABSENT, None, "") or self.flag else f"default {self.default}"

    @property
    def usage(self) -> str:
        """How it is written in a usage line; empty for what is not typed."""
        if self.provided is not None or self.counts:
            return ""
        if self.flag:
            return f"[{self.flags[-1]}]"
        text = f"{self.flags[0]} {self.word}" if self.option else self.word + ("..." if self.rest else "")
        return text if self.required else f"[{text}]"


class Types:
    """What annotations mean: typed as a word, or provided by the situation."""

    def __init__(self) -> None:
        self._provided: dict[type, str] = {}
        self._typed: dict[type, tuple[Parse, Complete]] = {
            str: (str, tuple),
            Line: (Line, tuple),
            int: (_number(int, "a whole number"), tuple),
            float: (_number(float, "a number"), tuple),
            Path: (lambda text: Path(text).expanduser(), tuple),
        }

    def provide(self, kind: type, word: str) -> None:
        """Let a type come from the situation."""
        self._provided[kind] = word

    def accept(self, kind: type, parse: Parse, complete: Complete) -> None:
        """Let a type be typed as a word."""
        self._typed[kind] = (parse, complete)

    def argument(self, parameter: inspect.Parameter, annotation: Any, command: str) -> Argument:
        """Describe a parameter; raises CommandError for a type nobody can read."""
        name, kind, optional = parameter.name, *_without_none(annotation)
        common: dict[str, Any] = {
            "name": name,
            "default": parameter.default,
            "optional": optional,
            "option": parameter.kind is parameter.KEYWORD_ONLY,
            "rest": parameter.kind is parameter.VAR_POSITIONAL,
        }
        if kind in self._provided:
            return Argument(word=self._provided[kind], parse=str, provided=kind, **common)
        if kind is bool:
            return Argument(word=name, parse=str, flag=True, **common)
        word = name.strip("_").replace("_", "-").upper()
        if typing.get_origin(kind) is typing.Literal:
            choices = typing.get_args(kind)
            return Argument(word=word, parse=_choice(choices), complete=lambda: map(str, choices), **common)
        if kind not in self._typed:
            known = ", ".join(sorted(k.__name__ for k in (*self._typed, *self._provided, bool)))
            raise CommandError(
                f"command {command}: parameter {name!r} has the type {_spell(annotation)}, "
                f"which cannot be typed; use {known}"
            )
        parse, complete = self._typed[kind]
        counts = name == "count" and kind is int
        return Argument(word=word, parse=parse, complete=complete, counts=counts, line=kind is Line, **common)


def arguments_of(function: Callable[..., object], command: str, types: Types) -> tuple[Argument, ...]:
    """Read the signature of a function."""
    parameters = inspect.signature(function).parameters
    try:
        annotations = typing.get_type_hints(function)
    except NameError as error:
        raise CommandError(
            f"command {command}: an annotation uses {error.name!r}, which is not defined"
        ) from error
    result = []
    for name, parameter in parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            raise CommandError(f"command {command}: **{name} cannot be typed; name the parameters")
        if name not in annotations:
            raise CommandError(f"command {command}: parameter {name!r} needs a type, such as {name}: int")
        result.append(types.argument(parameter, annotations[name], command))
    typed = [argument for argument in result if argument.positional or argument.option or argument.flag]
    if len(typed) > 1 and any(argument.line for argument in typed):
        raise CommandError(
            f"command {command}: a Line takes all that is typed, so it must be the only argument"
        )
    return tuple(result)


def read_arguments(
    command: str, arguments: tuple[Argument, ...], text: str
) -> tuple[Mapping[str, object], tuple[object, ...]]:
    """Read what follows the name of a command: values by name, and those for `*words`."""
    for argument in arguments:
        if argument.line:
            return ({argument.name: Line(text.strip())} if text.strip() else {}), ()
    reader = _Reader(command, arguments)
    for word in _words(command, text):
        reader.take(word)
    return reader.finish()


def last_word(line: str, start: int) -> tuple[int, str, int]:
    """Return where the last word begins, its text without quotes, and how many stand before it.

    Flags are not counted; `start` is where the arguments begin. An open quote is no error here.
    """
    begin, text, before, quote, inside = len(line), "", 0, "", False
    for position, char in enumerate(line[start:], start):
        if not quote and char.isspace():
            before += inside and not text.startswith("--")
            begin, text, inside = len(line), "", False
            continue
        if not inside:
            begin, inside = position, True
        if char in "\"'" and quote in ("", char):
            quote = "" if quote else char
        else:
            text += char
    return begin, text, before


class _Reader:
    """Takes the words of a line one by one."""

    def __init__(self, command: str, arguments: tuple[Argument, ...]) -> None:
        self._command = command
        self._places = [a for a in arguments if a.positional]
        self._flags = {flag: a for a in arguments for flag in a.flags}
        self._values: dict[str, object] = {}
        self._rest: list[object] = []
        self._waiting: Argument | None = None
        self._only_words = False

    def take(self, word: str) -> None:
        if self._waiting:
            argument, self._waiting = self._waiting, None
            self._put(argument, word)
        elif word == "--" and not self._only_words:
            self._only_words = True
        elif word.startswith("--") and not self._only_words:
            self._take_flag(word)
        else:
            self._take_word(word)

    def _take_flag(self, word: str) -> None:
        name, equals, value = word.partition("=")
        argument = self._flags.get(name)
        if argument is None:
            raise CommandError(f"{self._command}: unknown flag {name!r}{did_you_mean(name, self._flags)}")
        if argument.flag:
            if equals:
                raise CommandError(f"{self._command}: {name} takes no value")
            self._values[argument.name] = not name.startswith("--no-")
        elif equals:
            self._put(argument, value)
        else:
            self._waiting = argument

    def _take_word(self, word: str) -> None:
        while self._places and not self._places[0].rest and self._places[0].name in self._values:
            self._places.pop(0)
        if not self._places:
            raise CommandError(f"{self._command}: {word!r} is one argument too many")
        argument = self._places[0]
        if argument.rest:
            self._rest.append(argument.parse(word))
        else:
            self._put(argument, word)

    def _put(self, argument: Argument, word: str) -> None:
        try:
            self._values[argument.name] = argument.parse(word)
        except CommandError as error:
            raise CommandError(f"{self._command}: {argument.word}: {error}") from error

    def finish(self) -> tuple[Mapping[str, object], tuple[object, ...]]:
        if self._waiting:
            raise CommandError(f"{self._command}: {self._waiting.flags[0]} needs a value")
        return self._values, tuple(self._rest)


def _words(command: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise CommandError(f"{command}: {str(error).lower()} in {text.strip()!r}") from error


def _number(kind: type[int] | type[float], words: str) -> Parse:
    def parse(text: str) -> object:
        try:
            return kind(text)
        except ValueError:
            raise CommandError(f"expected {words}, not {text!r}") from None

    return parse


def _choice(choices: tuple[object, ...]) -> Parse:
    by_text = {str(choice): choice for choice in choices}

    def parse(text: str) -> object:
        if text not in by_text:
            raise CommandError(f"{text!r} is not one of {', '.join(by_text)}{did_you_mean(text, by_text)}")
        return by_text[text]

    return parse


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Split `X | None` into (X, True)."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        if len(kinds) == 1:
            return kinds[0], True
    return annotation, False


def _spell(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation)
