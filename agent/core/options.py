"""Options: typed settings with a default, a help line and listeners; any thread may read them.

WRAP = Option("wrap", 100, "Wrap text at this column")
options.define(WRAP)
options.set("wrap", "80")       # text is converted, a wrong value is refused
options.value(WRAP)             # 80, an int for the type checker too
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from agent.errors import CommandError, did_you_mean

Value = str | int | float | bool
T = TypeVar("T", bound=Value)
Listener = Callable[[Value], None]

_TRUE, _FALSE = ("yes", "on", "true", "1"), ("no", "off", "false", "0")


@dataclass(frozen=True, slots=True)
class Option(Generic[T]):
    """A setting; the type of the default is its type. `choices`, when given, are all it may be."""

    name: str
    default: T
    help: str
    choices: tuple[T, ...] = ()

    def convert(self, value: object) -> T:
        """Return the value, or text that spells it, as this option's type."""
        result = self._convert(value)
        if self.choices and result not in self.choices:
            known = ", ".join(map(str, self.choices))
            hint = did_you_mean(str(value), map(str, self.choices))
            raise CommandError(f"option {self.name}: {value!r} is not one of {known}{hint}")
        return result

    def _convert(self, value: object) -> T:
        kind = type(self.default)
        if type(value) is kind:
            return value
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return cast(T, float(value))
        if isinstance(value, str):
            if kind is bool and value.lower() in _TRUE + _FALSE:
                return cast(T, value.lower() in _TRUE)
            if kind in (int, float):
                try:
                    return kind(value)
                except ValueError:
                    pass
        wanted = {bool: "yes or no", int: "a whole number", float: "a number", str: "text"}[kind]
        raise CommandError(f"option {self.name}: expected {wanted}, not {value!r}")


class Options:
    """The options of one agent."""

    def __init__(self) -> None:
        self._known: dict[str, Option[Any]] = {}
        self._values: dict[str, Value] = {}
        self._listeners: dict[str, list[Listener]] = {}

    def define(self, option: Option[T]) -> None:
        """Make an option known; raises ValueError when the name is taken by another one."""
        known = self._known.setdefault(option.name, option)
        if known != option:
            raise ValueError(f"option {option.name!r} is already defined")

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._known))

    def __getitem__(self, name: str) -> Value:
        default: Value = self.describe(name).default
        return self._values.get(name, default)

    def value(self, option: Option[T]) -> T:
        """Return the value of an option with its type."""
        return cast(T, self._values.get(option.name, option.default))

    def describe(self, name: str) -> Option[Any]:
        """Return the declaration of an option; an unknown name raises CommandError."""
        if name not in self._known:
            raise CommandError(f"unknown option {name!r}{did_you_mean(name, self._known)}")
        return self._known[name]

    def set(self, name: str, value: object) -> None:
        """Set an option; when a listener refuses, the old value is put back and the error raised."""
        old = self[name]
        new = self.describe(name).convert(value)
        if new != old:
            self._change(name, old, new)

    def reset(self) -> None:
        """Go back to the defaults, as before init.py ran."""
        for name in list(self._values):
            self._change(name, self[name], self._known[name].default)
        self._values.clear()

    def on_change(self, name: str, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each new value, on the thread that sets it; call the result to stop."""
        self.describe(name)
        listeners = self._listeners.setdefault(name, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def _change(self, name: str, old: Value, new: Value) -> None:
        self._values[name] = new
        told: list[Listener] = []
        try:
            for listener in list(self._listeners.get(name, ())):
                listener(new)
                told.append(listener)
        except BaseException:
            self._values[name] = old
            for listener in told:
                listener(old)
            raise
