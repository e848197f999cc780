"""Commands that file and flag: the verbs of the selection, which is what is marked or under the cursor."""

from __future__ import annotations

from agent.core.commands import command
from agent.core.folder import Folder
from agent.core.job import Job
from agent.core.messages import Messages
from agent.core.screen import Screen
from agent.errors import CommandError


@command(context="index view", ui=True)
def archive(screen: Screen, sel: Messages) -> Job:
    "Move to the archive"
    job = sel.archive()
    screen.advance(sel)
    return job


@command(context="index view", ui=True)
def trash(screen: Screen, sel: Messages) -> Job:
    "Move to the trash"
    job = sel.trash()
    screen.advance(sel)
    return job


@command(context="index view", ui=True)
def delete(screen: Screen, sel: Messages, *, confirm: bool = False) -> Job:
    "Remove for good, on the server too: this cannot be undone"
    if not confirm:
        raise CommandError("this removes the message for good: say :delete --confirm")
    job = sel.delete(confirm=True)
    screen.advance(sel)
    return job


@command(context="index view", ui=True)
def junk(screen: Screen, sel: Messages) -> Job:
    "Move to the junk folder"
    job = sel.junk()
    screen.advance(sel)
    return job


@command(context="index view", ui=True)
def move(screen: Screen, sel: Messages, folder: Folder) -> Job:
    "Move to a folder"
    job = sel.move(folder)
    screen.advance(sel)
    return job


@command(context="index view", ui=True)
def copy(sel: Messages, folder: Folder) -> Job:
    "Copy to a folder"
    return sel.copy(folder)


@command("toggle-read", context="index view", ui=True)
def toggle_read(sel: Messages) -> Job:
    "Mark as read, or as unread when all are read"
    return sel.mark_read() if sel.unread else sel.mark_unread()


@command("toggle-flag", context="index view", ui=True)
def toggle_flag(sel: Messages) -> Job:
    "Flag, or take the flag off when all have it"
    return sel.unflag() if sel.flagged.count() == sel.count() else sel.flag()


@command(context="index view", ui=True)
def tag(sel: Messages, *names: str) -> Job:
    "Add tags; those with a - before them are taken off"
    added = [name.removeprefix("+") for name in names if not name.startswith("-")]
    removed = [name[1:] for name in names if name.startswith("-")]
    if not names:
        raise CommandError("tag: name a tag, such as `tag todo` or `tag -todo`")
    job = sel.tag(*added) if added else sel.untag(*removed)
    if added and removed:
        job = sel.untag(*removed)
    return job
