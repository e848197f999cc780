from __future__ import annotations

import pytest
from prompt_toolkit.completion import CompleteEvent, Completer
from prompt_toolkit.document import Document

from agent.repl.completion import FirstCompleter, KeyCompleter

read: list[str] = []


class Foreign:
    """Not ours: reading its property would run somebody's code."""

    @property
    def folders(self) -> dict[str, int]:
        read.append("folders")
        return {"INBOX": 1}

    def __init__(self) -> None:
        self.plain = {"a": 1}


NAMES: dict[str, object] = {
    "folders": {
        "INBOX": 1,
        "[Gmail]/All Mail": 2,
        "Lists/py": {"deep": 1},
        "it's": 3,
        "bad\x1b[31m": 4,
        7: 5,
    },
    "foreign": Foreign(),
    "number": 3,
}


def complete(text: str, completer: Completer | None = None) -> list[str]:
    completer = completer or KeyCompleter(lambda: NAMES)
    return [found.text for found in completer.get_completions(Document(text, len(text)), CompleteEvent())]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('folders["IN', ['INBOX"]']),
        ("folders['in", ["INBOX']"]),
        ('x = folders["[Gm', ['[Gmail]/All Mail"]']),
        ('folders["Lists/py"]["', ['deep"]']),
        ("folders['it", ["it\\'s']"]),
        ('folders["x', []),
        ("number['", []),
        ("nothing['", []),
        ("folders.", []),
        ('foreign.plain["', ['a"]']),
    ],
)
def test_keys_of_a_mapping_are_offered(text: str, found: list[str]) -> None:
    assert complete(text) == found


def test_a_property_of_a_foreign_object_is_not_read() -> None:
    assert complete('foreign.folders["') == []
    assert read == []


def test_a_closing_quote_that_is_there_is_not_doubled() -> None:
    document = Document('folders["IN"]', len('folders["IN'))
    found = KeyCompleter(lambda: NAMES).get_completions(document, CompleteEvent())
    assert [one.text for one in found] == ["INBOX"]


def test_a_hostile_key_is_harmless_in_the_menu_and_in_the_line() -> None:
    (found,) = KeyCompleter(lambda: NAMES).get_completions(Document('folders["bad'), CompleteEvent())
    assert found.text == 'bad\\x1b[31m"]'
    assert "\x1b" not in found.display_text


def test_the_first_completer_with_an_answer_wins() -> None:
    keys, other = (
        KeyCompleter(lambda: NAMES),
        KeyCompleter(lambda: {"folders": {"INDEX": 1}, "f": {"INDEX": 1}}),
    )
    assert complete('folders["IN', FirstCompleter(keys, other)) == ['INBOX"]']
    assert complete('f["IN', FirstCompleter(keys, other)) == ['INDEX"]']
