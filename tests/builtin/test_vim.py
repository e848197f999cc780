"""The vim keymap: agent.builtin.vim, settings and what installs them."""

from __future__ import annotations

import pytest

from agent import builtin
from agent.app import Agent
from agent.builtin import settings, vim
from agent.core.keymap import KeySequence
from agent.errors import CommandError

# Number in notes, context, key, command: what people coming from vim, aerc and mutt press.
ACTIONS = [
    ("index", "j", "next"), ("index", "k", "previous"), ("index", "gg", "go-to"), ("index", "G", "go-to-last"),
    ("index", "C-d", "half-page-down"), ("index", "C-u", "half-page-up"), ("view", "Space", "page-down"),
    ("view", "C-b", "page-up"), ("index", "Tab", "next-unread"), ("index", "S-Tab", "previous-unread"),
    ("view", "J", "next-message"), ("view", "K", "previous-message"), ("index", "Enter", "open"),
    ("view", "q", "back"), ("index", "q", "back"), ("global", "ZZ", "quit"), ("global", "m", "compose"),
    ("index", "r", "reply"), ("index", "R", "reply-all"), ("view", "f", "forward"), ("index", "E", "edit-as-new"),
    ("index", "d", "trash"), ("view", "a", "archive"), ("index", "s", "move"), ("index", "C", "copy"),
    ("global", "c", "open-folder"), ("index", "Space", "mark"), ("index", "S", "toggle-read"),
    ("index", "F", "toggle-flag"), ("index", "t", "tag"), ("index", "/", "search-line"),
    ("index", "Escape", "unmark-all"), ("view", "H", "toggle-headers"), ("view", "gf", "show-source"),
    ("global", "$", "sync"), ("global", ":", "command-line"), ("global", "?", "keys"), ("global", "~", "repl"),
    ("global", "C-o", "focus-views"), ("review", "y", "send"), ("review", "e", "edit"),
    ("review", "p", "postpone"), ("review", "q", "abandon"),
]  # fmt: skip


@pytest.mark.parametrize(("context", "keys", "command"), ACTIONS)
def test_a_key_does_what_people_expect(idle: Agent, context: str, keys: str, command: str) -> None:
    found = idle.context.keymap.find(KeySequence.parse(keys).keys, [context, "global"])
    assert found.binding is not None
    assert found.binding.line == command


def test_every_key_runs_a_command_that_works_there(idle: Agent) -> None:
    for contexts, keys, line in vim.KEYS:
        command = idle.context.commands.check(line)
        assert all(command.works_in(context) for context in contexts.split()), (keys, line)


def test_the_users_leader_is_free_and_nothing_destroys_by_one_key(idle: Agent) -> None:
    bindings = idle.context.keymap.bindings(["index", "view", "text", "review", "global"])
    assert not any(binding.sequence.keys[0] == "," for binding in bindings)
    assert not any(binding.line.startswith(("delete", "discard")) for binding in bindings)


def test_the_hints_name_commands_that_have_a_key(idle: Agent) -> None:
    for context, hints in vim.HINTS.items():
        for hint in hints.split():
            name, _, word = hint.partition(":")
            assert word
            assert idle.context.keymap.keys_of(name, [context, "global"]), (context, name)


def test_a_user_binding_survives_a_change_of_flavour(idle: Agent) -> None:
    idle.context.keymap.bind("x", "archive", "index")
    idle.context.options.set("keys", "vim")
    builtin.KEYMAPS["vim"](idle.context.keymap)
    assert idle.context.keymap.keys_of("archive")[-1].sequence.keys == ("x",)


def test_every_option_is_known_and_described(idle: Agent) -> None:
    for option in settings.ALL:
        assert option.name in idle.context.options
        assert option.help
    with pytest.raises(CommandError, match="'emcas' is not one of"):
        idle.context.options.set("keys", "emcas")
