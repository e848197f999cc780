from __future__ import annotations

import pytest

from agent.core.options import Option, Options
from agent.errors import CommandError

WRAP = Option("wrap", 100, "Wrap text at this column")
KEYS = Option("keys", "vim", "Flavour of the keys", choices=("vim", "emacs"))
DELAY = Option("delay", 1.0, "Seconds to wait")
BELL = Option("bell", False, "Ring the bell")


@pytest.fixture
def options() -> Options:
    options = Options()
    for option in (WRAP, KEYS, DELAY, BELL):
        options.define(option)
    return options


def test_an_option_has_its_default_until_it_is_set(options: Options) -> None:
    assert options.value(WRAP) == options["wrap"] == 100
    options.set("wrap", 80)
    assert options.value(WRAP) == options["wrap"] == 80


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("wrap", "72", 72),
        ("delay", "0.5", 0.5),
        ("delay", 2, 2.0),
        ("bell", "on", True),
        ("bell", "No", False),
    ],
)
def test_text_is_converted_to_the_type_of_the_option(
    options: Options, name: str, text: object, value: object
) -> None:
    options.set(name, text)
    assert options[name] == value
    assert type(options[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("wrap", "wide", "option wrap: expected a whole number, not 'wide'"),
        ("wrap", True, "option wrap: expected a whole number, not True"),
        ("bell", "loud", "option bell: expected yes or no, not 'loud'"),
        ("keys", 3, "option keys: expected text, not 3"),
        ("keys", "emcas", "option keys: 'emcas' is not one of vim, emacs; did you mean 'emacs'?"),
        ("wrapp", 3, "unknown option 'wrapp'; did you mean 'wrap'?"),
    ],
)
def test_a_wrong_value_is_refused_and_named(options: Options, name: str, value: object, message: str) -> None:
    with pytest.raises(CommandError) as error:
        options.set(name, value)
    assert str(error.value) == message
    assert options.value(WRAP) == 100


def test_listeners_hear_of_changes_only(options: Options) -> None:
    heard: list[object] = []
    stop = options.on_change("wrap", heard.append)
    options.set("wrap", 100)
    options.set("wrap", 60)
    stop()
    options.set("wrap", 50)
    assert heard == [60]


def test_a_listener_that_refuses_puts_the_old_value_back(options: Options) -> None:
    heard: list[object] = []

    def refuse(value: object) -> None:
        raise CommandError("too narrow")

    options.on_change("wrap", heard.append)
    options.on_change("wrap", refuse)
    with pytest.raises(CommandError, match="too narrow"):
        options.set("wrap", 3)
    assert options.value(WRAP) == 100
    assert heard == [3, 100]


def test_reset_goes_back_to_the_defaults_and_tells(options: Options) -> None:
    heard: list[object] = []
    options.set("wrap", 60)
    options.on_change("wrap", heard.append)
    options.reset()
    assert options.value(WRAP) == 100
    assert heard == [100]


def test_a_name_can_be_defined_again_only_by_the_same_option(options: Options) -> None:
    options.define(WRAP)
    with pytest.raises(ValueError, match="already defined"):
        options.define(Option("wrap", 1, "Something else"))


def test_the_names_are_listed_in_order(options: Options) -> None:
    assert list(options) == ["bell", "delay", "keys", "wrap"]
    assert "wrap" in options
    assert options.describe("wrap") == WRAP
