"""Gathers what the status bar tells from the agent. The ui thread only; asked once per change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.console.statusbar import Status
from agent.console.views.list import ListView
from agent.core.messages import Messages
from agent.store import job_rows, outbox

if TYPE_CHECKING:
    from agent.console.views.view import View
    from agent.core.context import Context
    from agent.repl import Runner

_SLOW_S = 2.0


class Bar:
    """The status of the agent, counted again when the store changes."""

    def __init__(self, context: Context, runner: Runner, revision: Callable[[], int]) -> None:
        self._context = context
        self._revision = revision
        self._runner = runner
        self._seen: tuple[int, object] = (-1, None)
        self._detail = ""
        self._jobs = self._outbox = 0

    def status(self, view: View) -> Status:
        """Return what to show beside a view."""
        seen = (self._revision(), view.messages())
        if seen != self._seen:
            self._seen = seen
            self._count(view)
        accounts = [
            (account.name, account.status)
            for account in self._context.accounts.values()
            if account.status not in ("online", "")
        ]
        return Status(
            title=view.title,
            detail=self._detail if isinstance(view, ListView) else "",
            marked=len(view.marked()),
            accounts=accounts,
            jobs=self._jobs,
            outbox=self._outbox,
            running=self._runner.running,
            waiting=self._runner.waiting,
            handler=self._handler(),
            where=view.where,
        )

    def _count(self, view: View) -> None:
        messages = view.messages()
        if isinstance(messages, Messages) and isinstance(view, ListView):
            unread = messages.unread.count()
            self._detail = f"{unread} unread of {view.count()}" if unread else f"{view.count()} messages"
        self._jobs = len(self._context.read(job_rows.open_jobs))
        self._outbox = len(self._context.read(outbox.unfinished))

    def _handler(self) -> str:
        running = self._context.bus.running
        if running is None or self._context.clock.monotonic() - running[1] < _SLOW_S:
            return ""
        return running[0]
