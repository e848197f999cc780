"""Commands about the program itself."""

from __future__ import annotations

from agent import api
from agent.core.commands import Line, command
from agent.core.job import Job
from agent.core.screen import Screen


@command("quit", aliases="q exit", ui=True)
def leave(screen: Screen) -> None:
    "End the program; what is queued goes on at the next start"
    screen.quit()


@command("command-line", ui=True)
def command_line(screen: Screen) -> None:
    "Type a command"
    screen.command_line()


@command("repl", ui=True)
def repl(screen: Screen) -> None:
    "Show the REPL and type Python there"
    screen.focus("repl")


@command("focus-views", ui=True)
def focus_views(screen: Screen) -> None:
    "Give the keys back to the views"
    screen.focus("views")


@command("py", ui=True)
def py(screen: Screen, statement: Line) -> None:
    "Run a Python statement in the REPL"
    screen.statement(statement)


@command(ui=True)
def sync() -> Job:
    "Fetch what is new in all accounts"
    return api.sync()


@command(ui=True)
def undo() -> Job:
    "Take back the last change"
    return api.undo()


@command(ui=True)
def redo() -> Job:
    "Do again what was undone"
    return api.redo()


@command("set", ui=True)
def set_option(screen: Screen, name: str, value: str = "") -> None:
    "Set an option; without a value, show it"
    options = api.active().options
    if value:
        options.set(name, value)
    screen.tell(f"{name} is {options[name]}")


@command(aliases="log", ui=True)
def messages(screen: Screen) -> None:
    "Show what was told and logged"
    screen.show_log()


@command("keys", aliases="help", ui=True)
def keys(screen: Screen) -> None:
    "Show the keys that work here"
    screen.show_keys()


@command(ui=True)
def redraw(screen: Screen) -> None:
    "Draw the screen anew"
    screen.redraw()


@command(ui=True)
def suspend(screen: Screen) -> None:
    "Stop the program; `fg` in the shell continues it"
    screen.suspend()
