"""Functions a user registered, keyed by (module, qualname): loading init.py again replaces, never doubles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Key = tuple[str, str]


def key_of(function: Callable[..., Any]) -> Key:
    """Return the key of a function."""
    return (function.__module__, getattr(function, "__qualname__", repr(function)))


def source_of(function: Callable[..., Any]) -> str:
    """Return where a function stands: `init.py:12`."""
    code = getattr(function, "__code__", None)
    if code is None:
        return function.__module__
    return f"{code.co_filename.rsplit('/', 1)[-1]}:{code.co_firstlineno}"


@dataclass(slots=True)
class _Entry(Generic[T]):
    value: T
    generation: int


class Registry(Generic[T]):
    """Registered things in the order of their registration."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry[T]] = {}
        self._generation = 0

    def put(self, key: Key, value: T) -> None:
        """Add or replace; a replaced one keeps its place."""
        self._entries[key] = _Entry(value, self._generation)

    def begin(self) -> None:
        """Begin a reload: what is not put again before `end` was removed from init.py."""
        self._generation += 1

    def end(self) -> None:
        """End a reload: drop what was not put again."""
        self._entries = {
            key: entry for key, entry in self._entries.items() if entry.generation == self._generation
        }

    def abort(self) -> None:
        """End a reload that failed: keep everything."""
        for entry in self._entries.values():
            entry.generation = self._generation

    def __iter__(self) -> Iterator[T]:
        return iter([entry.value for entry in self._entries.values()])

    def __len__(self) -> int:
        return len(self._entries)
