from __future__ import annotations

import types
from pathlib import Path
from typing import Literal

import pytest

from agent.core.commands import Candidate, Commands, Line, Situation, command
from agent.errors import CommandError


class Message:
    """Something that comes from the situation."""


class Folder:
    """Something that is typed by its name."""

    def __init__(self, name: str) -> None:
        self.name = name


class Elsewhere:
    """Something that nobody provides."""


FOLDERS = ["INBOX", "Lists/py", "Old mail"]


@pytest.fixture
def commands() -> Commands:
    commands = Commands()
    commands.provide(Message, "message")
    commands.accept(Folder, Folder, lambda: FOLDERS)
    return commands


def run(commands: Commands, line: str, **situation: object) -> object:
    count = situation.pop("count", None)
    values = {type(value): value for value in situation.values()}
    return commands.parse(line).prepare(Situation(values, count))()  # type: ignore[arg-type]


@command()
def say(word: str, times: int = 1, loud: bool = False, *, end: str = ".") -> str:
    "Say a word"
    return " ".join([word.upper() if loud else word] * times) + end


@command("send-off", aliases="bye")
def leave(*words: str) -> tuple[str, ...]:
    return words


@command()
def search(query: Line) -> str:
    return query


@command("next")
def following(count: int = 1) -> int:
    return count


@command()
def file(msg: Message, folder: Folder, *why: str, keep: bool = True) -> tuple[object, ...]:
    return msg, folder.name, why, keep


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("say hello", "hello."),
        ("say hello 2", "hello hello."),
        ('say "hello world" --times 2', "hello world hello world."),
        ("say 'a b'", "a b."),
        (r"say a\ b", "a b."),
        ("say --loud hello --end=!", "HELLO!"),
        ("  say   hello  ", "hello."),
        ("say -- --loud", "--loud."),
        ("say hello --times=3", "hello hello hello."),
    ],
)
def test_a_line_is_read_as_the_signature_says(commands: Commands, line: str, result: str) -> None:
    commands.add(say)
    assert run(commands, line) == result


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "type the name of a command"),
        ("sya hello", "unknown command 'sya'; did you mean 'say'?"),
        ("say", "say: WORD is missing; usage: say WORD [TIMES] [--loud] [--end END]"),
        ("say hello many", "say: TIMES: expected a whole number, not 'many'"),
        ("say hello 2 x", "say: 'x' is one argument too many"),
        ("say hello --lout", "say: unknown flag '--lout'; did you mean '--loud'?"),
        ("say hello --loud=1", "say: --loud takes no value"),
        ("say hello --end", "say: --end needs a value"),
        ("say 'hello", """say: no closing quotation in "'hello\""""),
    ],
)
def test_a_line_that_cannot_be_read_says_what_is_wrong(commands: Commands, line: str, message: str) -> None:
    commands.add(say)
    with pytest.raises(CommandError) as error:
        run(commands, line)
    assert str(error.value) == message


def test_words_take_the_rest_and_a_line_takes_it_as_typed(commands: Commands) -> None:
    commands.add(leave)
    commands.add(search)
    assert run(commands, "send-off see 'you soon'") == ("see", "you soon")
    assert run(commands, "bye") == ()
    assert run(commands, 'search  from:bob "two words" --x ') == 'from:bob "two words" --x'
    with pytest.raises(CommandError, match="search: QUERY is missing"):
        run(commands, "search")


def test_a_line_stands_alone(commands: Commands) -> None:
    @command()
    def both(word: str, text: Line) -> None: ...

    with pytest.raises(CommandError, match="must be the only argument"):
        commands.add(both)


def test_the_situation_gives_what_is_not_typed(commands: Commands) -> None:
    commands.add(file)
    message = Message()
    assert run(commands, "file INBOX", msg=message) == (message, "INBOX", (), True)
    assert run(commands, "file INBOX a b --no-keep", msg=message) == (message, "INBOX", ("a", "b"), False)
    with pytest.raises(CommandError, match="file: there is no message here"):
        run(commands, "file INBOX")


def test_what_may_be_absent_is_none_when_it_is(commands: Commands) -> None:
    @command()
    def peek(msg: Message | None) -> object:
        return msg

    commands.add(peek)
    assert run(commands, "peek") is None


def test_a_count_comes_from_the_keys_or_stands_before_the_name(commands: Commands) -> None:
    @command("go-to")
    def go_to(count: int | None = None) -> object:
        return count

    commands.add(following)
    commands.add(go_to)
    assert run(commands, "next") == 1
    assert run(commands, "next", count=4) == 4
    assert run(commands, "3next") == 3
    assert run(commands, "12") == 12
    assert run(commands, "go-to") is None


def test_literals_paths_and_numbers_are_types(commands: Commands, tmp_path: Path) -> None:
    @command()
    def keep(where: Path, how: Literal["mbox", "eml"] = "eml", ratio: float = 0.5) -> tuple[object, ...]:
        return where, how, ratio

    commands.add(keep)
    assert run(commands, f"keep {tmp_path} mbox 0.25") == (tmp_path, "mbox", 0.25)
    with pytest.raises(
        CommandError, match=r"keep: HOW: 'mbx' is not one of mbox, eml; did you mean 'mbox'\?"
    ):
        run(commands, "keep x mbx")


def test_a_signature_nobody_can_read_is_refused_when_it_is_declared(commands: Commands) -> None:
    @command()
    def odd(thing: Elsewhere) -> None: ...

    @command()
    def bare(thing) -> None: ...  # type: ignore[no-untyped-def]

    @command()
    def wide(**things: str) -> None: ...

    with pytest.raises(CommandError, match="parameter 'thing' has the type Elsewhere, which cannot be typed"):
        commands.add(odd)
    with pytest.raises(CommandError, match="parameter 'thing' needs a type"):
        commands.add(bare)
    with pytest.raises(CommandError, match=r"\*\*things cannot be typed"):
        commands.add(wide)


def test_a_name_has_words_joined_by_dashes(commands: Commands) -> None:
    @command("Say_It")
    def shout() -> None: ...

    with pytest.raises(CommandError, match="command name 'Say_It'"):
        commands.add(shout)


def declared(text: str, name: str = "greet", key: str = "") -> types.FunctionType:
    """A function as init.py would define it, again at each reload."""

    @command(name, key=key)
    def greet() -> str:
        return text

    return greet  # type: ignore[return-value]


def test_declaring_again_replaces_and_never_doubles(commands: Commands) -> None:
    commands.add(declared("one"))
    commands.add(declared("two", name="hail"))
    assert [one.name for one in commands] == ["hail"]
    assert run(commands, "hail") == "two"


def test_the_users_command_shadows_the_built_in_one_until_reset(commands: Commands) -> None:
    @command("greet")
    def built_in() -> str:
        return "built in"

    commands.add(built_in, "builtin")
    commands.add(declared("mine"))
    assert run(commands, "greet") == "mine"
    commands.reset()
    assert run(commands, "greet") == "built in"


def test_a_name_wins_over_an_alias(commands: Commands) -> None:
    commands.add(leave)
    commands.add(declared("mine", name="bye"))
    assert run(commands, "bye") == "mine"


def test_a_module_gives_its_own_declared_functions(commands: Commands) -> None:
    module = types.ModuleType("features")
    module.say, module.leave, module.other = say, leave, run  # type: ignore[attr-defined]
    assert commands.add_module(module) == ()
    own = declared("x")
    own.__module__ = "features"
    module.own = own  # type: ignore[attr-defined]
    assert [one.name for one in commands.add_module(module)] == ["greet"]


def test_a_command_knows_its_usage_help_and_keys(commands: Commands) -> None:
    @command(key="z, g z", context="index view", ui=True)
    def snooze(msg: Message, days: int = 7, quiet: bool = True) -> None:
        """Hide the message for some days.

        More is not shown.
        """

    added = commands.add(snooze)
    assert added.usage == "snooze [DAYS] [--no-quiet]"
    assert added.help == "Hide the message for some days"
    assert added.keys == ("z", "g z")
    assert added.ui
    assert added.works_in("view")
    assert not added.works_in("folders")


@pytest.mark.parametrize(
    ("line", "start", "texts"),
    [
        ("", 0, ["file", "say", "send-off"]),
        ("s", 0, ["say", "send-off"]),
        ("file ", 5, ["INBOX", "Lists/py", "'Old mail'"]),
        ("file l", 5, ["Lists/py", "'Old mail'"]),
        ("file mail", 5, ["'Old mail'"]),
        ("file 'old m", 5, ["'Old mail'"]),
        ("file INBOX ", 11, []),
        ("file INBOX --", 11, ["--folder", "--keep", "--no-keep"]),
        ("say x --lo", 6, ["--loud"]),
        ("nothing x", 9, []),
    ],
)
def test_a_line_is_completed_at_its_last_word(
    commands: Commands, line: str, start: int, texts: list[str]
) -> None:
    for one in (say, leave, file):
        commands.add(one)
    where, candidates = commands.complete(line, "index")
    assert (where, [candidate.text for candidate in candidates]) == (start, texts)


def test_candidates_carry_help_and_only_those_of_the_context_are_offered(commands: Commands) -> None:
    @command(context="view")
    def scroll() -> None:
        "Scroll"

    commands.add(say)
    commands.add(scroll)
    assert commands.complete("s", "index")[1] == [Candidate("say", "Say a word")]
