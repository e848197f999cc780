from __future__ import annotations

from agent.errors import CommandError
from agent.repl.printer import LONGEST, show_error, show_value


def text(fragments: list[tuple[str, str]]) -> str:
    return "".join(part for _, part in fragments)


class Live:
    def __repr__(self) -> str:
        return "<Live: 3 messages>"


class Rich:
    def __pt_repr__(self) -> list[tuple[str, str]]:
        return [("bold", "rich")]


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_values_show_their_repr_and_python_ones_in_colour() -> None:
    assert text(show_value([1, "a"])) == "[1, 'a']"
    assert any("pygments" in style for style, _ in show_value([1, "a"]))
    assert show_value(Live()) == [("", "<Live: 3 messages>")]


def test_an_object_may_bring_its_own_fragments() -> None:
    assert show_value(Rich()) == [("bold", "rich")]


def test_a_huge_repr_is_cut() -> None:
    shown = text(show_value("x" * 1_000_000))
    assert len(shown) < LONGEST + 50
    assert shown.endswith("… 980002 more characters")


def test_a_repr_that_raises_is_told() -> None:
    assert text(show_value(Broken())) == "<Broken: its repr raised RuntimeError: no repr>"


def raised(source: str, name: str) -> BaseException:
    try:
        exec(compile(source, name, "exec"), {})
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_a_traceback_begins_at_the_statement() -> None:
    shown = text(show_error(raised("def f():\n    1 / 0\nf()", "<repl 7>")))
    assert shown.startswith('Traceback (most recent call last):\n  File "<repl 7>", line 3')
    assert "test_printer" not in shown
    assert shown.endswith("ZeroDivisionError: division by zero")


def test_an_expected_error_is_one_line() -> None:
    assert text(show_error(CommandError("there is no folder 'x'"))) == "CommandError: there is no folder 'x'"
    assert text(show_error(KeyboardInterrupt())) == "KeyboardInterrupt"
