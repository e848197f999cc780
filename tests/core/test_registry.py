"""Registered functions: replaced by name, put in place all at once, never lost silently."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.core.registry import Registry, name_of, plain, source_of
from agent.errors import CommandError


def made(name: str) -> Callable[[], None]:
    def function() -> None:
        """Stand for a user's function."""

    function.__module__, function.__qualname__ = "init", name
    return function


def test_a_function_of_the_same_name_replaces() -> None:
    registry: Registry[int] = Registry()
    registry.put(made("f"), 1)
    registry.put(made("g"), 2)
    registry.put(made("f"), 3)
    assert list(registry) == [3, 2]


def test_the_same_function_may_be_put_for_several_things() -> None:
    registry: Registry[int] = Registry()
    function = made("f")
    registry.put(function, 1)
    registry.put(function, 2)
    assert list(registry) == [1, 2]


def test_a_reload_is_seen_all_at_once_and_drops_what_is_gone() -> None:
    registry: Registry[int] = Registry()
    registry.put(made("f"), 1)
    registry.put(made("g"), 2)
    registry.begin()
    registry.put(made("g"), 20)
    assert list(registry) == [1, 2]
    registry.end()
    assert list(registry) == [20]


def test_two_functions_of_one_name_in_one_load_are_refused() -> None:
    registry: Registry[int] = Registry()
    registry.begin()
    registry.put(made("f"), 1)
    with pytest.raises(CommandError, match="f is registered already"):
        registry.put(made("f"), 2)
    registry.end()
    assert list(registry) == [1]


def test_names_and_places_are_those_of_the_function() -> None:
    assert name_of(made("Rules.bills")) == "init.Rules.bills"
    assert source_of(made("f")).startswith("test_registry.py:")
    assert source_of(print) == "builtins"


@pytest.mark.parametrize("wrong", [5, object(), None])
def test_what_is_no_function_is_refused(wrong: object) -> None:
    with pytest.raises(CommandError):
        plain(wrong)
