"""Functions a user registered, keyed by (module, qualname): loading init.py again replaces, never doubles.

While init.py is loaded, what it registers is kept aside; `end` puts all of it in place at once, so
that the `events` thread never sees half a file.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from agent.errors import CommandError

T = TypeVar("T")
Key = tuple[str, str]
Function = Callable[..., Any]


def plain(function: Any) -> Function:
    """Return the function itself, out of a rule made of it before; raises CommandError for what has no name."""
    found = getattr(function, "function", function)
    if inspect.iscoroutinefunction(found):
        raise CommandError(f"{found.__qualname__}: write `def`, not `async def`; it may wait for jobs")
    if not callable(found) or not hasattr(found, "__qualname__"):
        raise CommandError(f"{found!r} cannot be registered: claims and logs want the name of a `def`")
    return found  # type: ignore[no-any-return]


def name_of(function: Function) -> str:
    """Return the name claims, handles and logs use."""
    return ".".join(key_of(function))


def key_of(function: Function) -> Key:
    """Return the key of a function."""
    return (function.__module__, function.__qualname__)


def source_of(function: Function) -> str:
    """Return where a function stands: `init.py:12`."""
    code = getattr(function, "__code__", None)
    if code is None:
        return function.__module__
    return f"{code.co_filename.rsplit('/', 1)[-1]}:{code.co_firstlineno}"


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    """What one function was registered for; decorators may be stacked."""

    function: Function
    values: tuple[T, ...]


class Registry(Generic[T]):
    """Registered things in the order of their registration. Readers on other threads see whole states."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry[T]] = {}
        self._aside: dict[Key, _Entry[T]] | None = None

    def put(self, function: Function, value: T) -> None:
        """Add what a function is registered for; another function of the same name is replaced.

        Raises CommandError when the other one stands in the same init.py: it would be lost silently.
        """
        key, entries = key_of(function), self._entries if self._aside is None else self._aside
        known = entries.get(key)
        if known is not None and known.function is function:
            new = _Entry(function, (*known.values, value))
        elif known is not None and self._aside is not None:
            raise CommandError(
                f"{key[1]} is registered already ({source_of(known.function)}); give one of them another name"
            )
        else:
            new = _Entry(function, (value,))
        changed = {**entries, key: new}
        if self._aside is None:
            self._entries = changed
        else:
            self._aside = changed

    def begin(self) -> None:
        """Begin a reload: what is put from now on will replace everything at `end`."""
        self._aside = {}

    def end(self) -> None:
        """End a reload: what was not put again is gone."""
        if self._aside is not None:
            self._entries, self._aside = self._aside, None

    def get(self, key: Key) -> tuple[T, ...]:
        """Return what stands under a key now, before the reload that may be going on."""
        entry = self._entries.get(key)
        return entry.values if entry else ()

    def __iter__(self) -> Iterator[T]:
        return iter([value for entry in self._entries.values() for value in entry.values])

    def __len__(self) -> int:
        return sum(len(entry.values) for entry in self._entries.values())
