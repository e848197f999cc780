"""What the program can do by itself, written as a user would write it: commands, options and keys.

install(context)    # before init.py is loaded, in every front end: init.py may bind to these commands
"""

from __future__ import annotations

from agent.builtin import filing, moving, program, reading, settings, vim, writing
from agent.core.context import Context
from agent.core.draft import Draft
from agent.core.folder import Folder
from agent.core.message import Message
from agent.core.messages import Messages
from agent.core.screen import Screen
from agent.errors import CommandError, did_you_mean

MODULES = (moving, reading, filing, writing, program)
KEYMAPS = {"vim": vim.install}


def install(context: Context) -> None:
    """Register the built-in options, commands and keys."""
    commands, keymap = context.commands, context.keymap
    settings.define(context.options)
    for kind, word in ((Message, "message"), (Messages, "message"), (Draft, "draft"), (Screen, "console")):
        commands.provide(kind, word)
    commands.accept(Folder, lambda name: find_folder(context, name), lambda: folder_names(context))
    for module in MODULES:
        commands.add_module(module)

    def change(flavour: object) -> None:
        keymap.reset("builtin")
        KEYMAPS[str(flavour)](keymap)

    change(context.options.value(settings.KEYS))
    context.options.on_change(settings.KEYS.name, change)


def folder_names(context: Context) -> list[str]:
    """Return the names that `find_folder` takes; with one account only, the account is left out."""
    accounts = context.accounts.values()
    return [
        name if len(accounts) == 1 else f"{account.name}/{name}"
        for account in accounts
        for name in account.folders
    ]


def find_folder(context: Context, name: str) -> Folder:
    """Return a folder by `account/folder`, or by its name in the first account that has it."""
    for account in context.accounts.values():
        for candidate in account.folders:
            if name.casefold() in (candidate.casefold(), f"{account.name}/{candidate}".casefold()):
                return account[candidate]
    raise CommandError(f"there is no folder {name!r}{did_you_mean(name, folder_names(context))}")
