from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.commands import Commands, command
from agent.core.keymap import NAMES, Keymap, KeySequence, Step, Walker
from agent.errors import CommandError


@command(context="index")
def following(count: int = 1) -> None: ...


@command(context="index view")
def archive() -> None: ...


@command()
def search(query: str = "") -> None: ...


@pytest.fixture
def keymap() -> Keymap:
    commands = Commands()
    for one in (following, archive, search):
        commands.add(one, "builtin")
    return Keymap(commands)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("g", ("g",)),
        ("gg", ("g", "g")),
        ("g i", ("g", "i")),
        ("ZZ", ("Z", "Z")),
        ("C-x C-c", ("C-x", "C-c")),
        ("C-X", ("C-x",)),
        ("M-<", ("M-<",)),
        ("C-M-x", ("M-C-x",)),
        ("~", ("~",)),
        ("]u", ("]", "u")),
        ("<Enter>", ("Enter",)),
        ("RET", ("Enter",)),
        ("g<enter>", ("g", "Enter")),
        ("SPC", ("Space",)),
        ("S-Tab", ("S-Tab",)),
        ("S-a", ("A",)),
        ("C-m", ("Enter",)),
        ("C-i", ("Tab",)),
        ("pgdn", ("PageDown",)),
        ("F5", ("F5",)),
        ("<", ("<",)),
    ],
)
def test_a_sequence_is_read_in_the_ways_people_write_it(text: str, keys: tuple[str, ...]) -> None:
    assert KeySequence.parse(text).keys == keys


@pytest.mark.parametrize("text", ["C-foo", "Entre", "", "C-x Hyper-y"])
def test_a_key_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match=r"unknown key|no key in"):
        KeySequence.parse(text)


@given(
    st.lists(
        st.one_of(st.sampled_from(NAMES), st.characters(min_codepoint=33, max_codepoint=126)), min_size=1
    )
)
def test_a_sequence_that_is_written_out_reads_the_same(keys: list[str]) -> None:
    sequence = KeySequence.parse(" ".join(keys))
    assert KeySequence.parse(str(sequence)) == sequence


def test_a_binding_goes_where_the_command_works(keymap: Keymap) -> None:
    keymap.bind("a", "archive")
    keymap.bind("/", "search")
    assert [b.line for b in keymap.bindings(["index", "global"])] == ["archive", "search"]
    assert [b.line for b in keymap.bindings(["folders", "global"])] == ["search"]


@pytest.mark.parametrize(
    ("keys", "line", "context", "message"),
    [
        ("a", "arcive", "", "unknown command 'arcive'; did you mean 'archive'?"),
        ("a", "archive", "indx", "unknown context 'indx'; did you mean 'index'?"),
        ("a", "archive --now", "", "archive: unknown flag '--now'"),
        ("3x", "archive", "", "digits before a key are a count"),
        ("g", "archive", "index", "gg (search) begins with it"),
        ("ggx", "archive", "index", "gg (search) is its beginning"),
    ],
)
def test_a_binding_that_cannot_work_is_refused(
    keymap: Keymap, keys: str, line: str, context: str, message: str
) -> None:
    keymap.bind("gg", "search", "index")
    with pytest.raises(CommandError) as error:
        keymap.bind(keys, line, context)
    assert message in str(error.value)


def test_binding_again_replaces_and_tells_what_was_there(keymap: Keymap) -> None:
    assert keymap.bind("a", "archive", "index", layer="builtin") == ()
    replaced = keymap.bind("a", "search x", "index")
    assert [b.line for b in replaced] == ["archive"]
    assert [b.line for b in keymap.bindings(["index"])] == ["search x"]
    keymap.reset()
    assert [b.line for b in keymap.bindings(["index"])] == ["archive"]


def test_a_built_in_binding_can_be_hidden_and_comes_back(keymap: Keymap) -> None:
    keymap.bind("gg", "search", "index", layer="builtin")
    keymap.unbind("gg", "index")
    assert keymap.bindings(["index"]) == ()
    keymap.bind("g", "archive", "index")
    keymap.reset()
    assert [b.line for b in keymap.bindings(["index"])] == ["search"]


def test_what_is_not_bound_cannot_be_unbound(keymap: Keymap) -> None:
    keymap.bind("a", "archive", "index")
    keymap.unbind("a")
    assert keymap.bindings(["index"]) == ()
    with pytest.raises(CommandError, match="'a' is not bound"):
        keymap.unbind("a")


def test_the_keys_of_a_command_can_be_asked_for(keymap: Keymap) -> None:
    keymap.bind("a", "archive", "index")
    keymap.bind("C-x a", "archive", "index")
    assert [str(b.sequence) for b in keymap.keys_of("archive")] == ["a", "C-x a"]


def test_a_nearer_context_hides_what_its_keys_cover(keymap: Keymap) -> None:
    keymap.bind("g", "archive", "index")
    keymap.bind("gg", "search", "global")
    keymap.bind("x", "search", "global")
    assert [str(b.sequence) for b in keymap.bindings(["index", "global"])] == ["g", "x"]


@pytest.fixture
def walker(keymap: Keymap) -> Walker:
    keymap.bind("j", "following")
    keymap.bind("gg", "archive", "index")
    keymap.bind("gi", "search", "global")
    keymap.bind("0", "search", "index")
    return Walker(keymap)


def walk(walker: Walker, keys: str) -> list[Step]:
    return [walker.press(key, ["index", "global"]) for key in KeySequence.parse(keys).keys]


def last(walker: Walker, keys: str) -> tuple[str, int | None]:
    step = walk(walker, keys)[-1]
    return (step.binding.line if step.binding else step.unknown), step.count


def test_keys_lead_to_bindings(walker: Walker) -> None:
    assert last(walker, "j") == ("following", None)
    assert last(walker, "gg") == ("archive", None)


def test_digits_are_a_count_and_zero_is_a_key_unless_one_was_begun(walker: Walker) -> None:
    assert last(walker, "12j") == ("following", 12)
    assert last(walker, "10j") == ("following", 10)
    assert last(walker, "0") == ("search", None)
    assert last(walker, "j") == ("following", None)


def test_what_waits_can_be_shown_and_escape_forgets_it(walker: Walker) -> None:
    walk(walker, "3g")
    assert walker.pending == "3g"
    assert [b.line for b in walker.next_keys(["index", "global"])] == ["archive"]
    assert walk(walker, "Escape") == [Step()]
    assert walker.pending == ""
    assert last(walker, "j") == ("following", None)


def test_keys_that_mean_nothing_are_told_and_forgotten(walker: Walker) -> None:
    assert last(walker, "gx") == ("gx", None)
    assert last(walker, "Escape") == ("Escape", None)
    assert last(walker, "j") == ("following", None)
