"""The API: what init.py, the REPL and scripts have in scope. `from agent.api import *`.

>>> inbox.search("from:bob is:unread").archive()
<archived 3 messages · syncing>

The active agent, set by `activate`, is the only global of the program that changes. Names that
depend on it (accounts, inbox, mail, ...) are looked up when they are imported.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from agent.core import undo as undoing
from agent.core.account import Account, Accounts
from agent.core.commands import command as declare_command
from agent.core.context import Context
from agent.core.current import Current
from agent.core.draft import Draft
from agent.core.folder import Folder
from agent.core.hooks import Hooks
from agent.core.job import Group, Job, Jobs
from agent.core.message import Message
from agent.core.messages import Everything, Messages
from agent.core.outbox import Outbox
from agent.core.rules import Rule
from agent.errors import NoAgentError
from agent.mail import query

F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "Account", "Draft", "Folder", "Job", "Message", "Messages", "accounts", "at", "bind", "command", "compose",
    "current", "every", "inbox", "jobs", "log", "mail", "on", "option", "outbox", "redo", "rule", "sync",
    "unbind", "undo", "vacation",
]  # fmt: skip

_active: Context | None = None

if TYPE_CHECKING:
    accounts: Accounts
    inbox: Messages
    mail: Messages
    outbox: Outbox
    jobs: Jobs
    on: Hooks
    current: Current
    log: list[str]


def activate(context: Context | None) -> None:
    """Make an agent the active one; None when it ends."""
    global _active
    _active = context


def active() -> Context:
    """Return the active agent's context; raises NoAgentError."""
    if _active is None:
        raise NoAgentError("no agent is running: use `agent run FILE`, the console, or init.py")
    return _active


def __getattr__(name: str) -> Any:
    look = _LIVE.get(name)
    if look is None:
        raise AttributeError(f"module 'agent.api' has no attribute {name!r}")
    return look(active())


_LIVE: Mapping[str, Callable[[Context], Any]] = {
    "accounts": lambda context: context.accounts,
    "inbox": lambda context: Messages(context, query.In("inbox")),
    "mail": lambda context: Everything(context),
    "outbox": lambda context: Outbox(context),
    "jobs": lambda context: Jobs(context),
    "on": lambda context: context.hooks,
    "current": lambda context: context.current,
    "log": lambda context: context.messages,
}


def namespace(context: Context) -> dict[str, Any]:
    """Return the names the REPL and scripts have in scope: the API, and the accounts by name."""
    activate(context)
    names = {name: globals()[name] if name in globals() else __getattr__(name) for name in __all__}
    for name, account in context.accounts.items():
        if _is_free(name) and name not in names:
            names[name] = account
        else:
            text = f"account {name!r} is only accounts[{name!r}]: the name is taken or no identifier"
            if text not in context.messages:
                context.tell(text)
    return names


def _is_free(name: str) -> bool:
    """Tell whether an account may be a variable of this name."""
    taken = keyword.iskeyword(name) or hasattr(builtins, name) or name in ("msg", "thread", "here", "marked")
    return name.isidentifier() and not taken


# -- doing ----------------------------------------------------------------------------------


def compose(
    to: str = "",
    subject: str = "",
    text: str = "",
    *,
    cc: str = "",
    bcc: str = "",
    account: Account | None = None,
) -> Draft:
    """Begin a message; nothing is sent before its send().

    >>> compose(to="bob@example.org", subject="Lunch?", text="At noon?").send()
    """
    from agent.core import drafting

    return drafting.compose(active(), to=to, subject=subject, text=text, cc=cc, bcc=bcc, account=account)


def sync() -> Job:
    """Fetch what is new in all accounts now."""
    context = active()
    return Group(context, "synced all accounts", [account.sync() for account in context.accounts.values()])


def undo() -> Job:
    """Take back your last change; what was changed again since is left out and told.

    >>> inbox.search("list:python").archive()
    <archived 12 messages · done>
    >>> undo()
    <undid: archived 12 messages · syncing>
    """
    return undoing.undo(active())


def redo() -> Job:
    """Do again what was undone last, unless you changed something since."""
    return undoing.redo(active())


# -- automation -----------------------------------------------------------------------------


def rule(
    match: str | Callable[[Message], bool], *, order: int = 50, stop: bool = False
) -> Callable[[F], Rule]:
    """Run a function once for each new message that matches; `stop` ends the chain for it.

    >>> @rule("from:billing@ has:attachment", stop=True)
    ... def bills(m): m.move("Bills")
    """
    return active().rules.rule(match, order=order, stop=stop)


def vacation(
    text: str, *, since: str = "", until: str = "", days: int = 7, subject: str = "", handle: str = "vacation",
    match: str = "",
) -> Rule:  # fmt: skip
    """Answer everybody who writes to one of our addresses, once in `days` days (RFC 5230)."""
    from agent.core import replies

    return replies.vacation(
        active(), text, since=since, until=until, days=days, subject=subject, handle=handle, match=match
    )


def every(period: str) -> Callable[[F], F]:
    """Call a function every `10m`, `2h`, `1d`."""
    return active().timers.every(period)


def at(time: str) -> Callable[[F], F]:
    """Call a function daily at a time such as `18:00`."""
    return active().timers.at(time)


# -- the console ----------------------------------------------------------------------------


def command(name: str = "", *, key: str = "", context: str = "", aliases: str = "") -> Callable[[F], F]:
    """Make a function a command of the `:` line, and bind keys to it.

    >>> @command("snooze-week", key="z", context="index")
    ... def snooze_week(sel: Messages, days: int = 7): "Hide the selected messages for some days"
    """
    agent = active()

    def register(function: F) -> F:
        added = agent.commands.add(declare_command(name, key=key, context=context, aliases=aliases)(function))
        for keys in added.keys:
            agent.keymap.bind(keys, added.name, context)
        return function

    return register


def bind(keys: str, line: str, context: str = "") -> None:
    """Bind keys to a command line: `bind("g i", "open-inbox")`; raises CommandError for a conflict."""
    active().keymap.bind(keys, line, context)


def unbind(keys: str, context: str = "") -> None:
    """Take a binding away."""
    active().keymap.unbind(keys, context)


def option(name: str, value: object) -> None:
    """Set an option: `option("keys", "emacs")`."""
    active().options.set(name, value)
