"""Commands that write mail. What is written is reviewed before it goes."""

from __future__ import annotations

from agent import api
from agent.core.commands import command
from agent.core.message import Message
from agent.core.screen import Screen


@command(ui=True)
def compose(screen: Screen, to: str = "") -> None:
    "Write a message"
    screen.write(lambda: api.compose(to=to))


@command(context="index view", ui=True)
def reply(screen: Screen, msg: Message) -> None:
    "Reply to the sender"
    screen.write(lambda: msg.reply())


@command("reply-all", context="index view", ui=True)
def reply_all(screen: Screen, msg: Message) -> None:
    "Reply to everybody"
    screen.write(lambda: msg.reply(all=True))


@command(context="index view", ui=True)
def forward(screen: Screen, msg: Message, to: str = "") -> None:
    "Forward with the attachments"
    screen.write(lambda: msg.forward(to), even_unchanged=True)


@command("edit-as-new", context="index view", ui=True)
def edit_as_new(screen: Screen, msg: Message) -> None:
    "Write a message like this one, or go on with a draft"
    screen.write(lambda: msg.edit_as_new(), even_unchanged=True)


@command("send", context="review", ui=True)
def send(screen: Screen) -> None:
    "Send it"
    screen.review("send")


@command("edit", context="review", ui=True)
def edit(screen: Screen) -> None:
    "Edit it again"
    screen.review("edit")


@command("postpone", context="review", ui=True)
def postpone(screen: Screen) -> None:
    "Keep it in Drafts"
    screen.review("keep")


@command("discard", context="review", ui=True)
def discard(screen: Screen) -> None:
    "Throw it away"
    screen.review("drop")


@command("abandon", context="review", ui=True)
def abandon(screen: Screen) -> None:
    "Leave it: keep it as a draft or throw it away"
    screen.review("ask")
