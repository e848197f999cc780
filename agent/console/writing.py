"""Writing mail: the draft is made and edited away from the ui thread, then reviewed.

The text stays in a private file until the draft is sent, kept or thrown away, so that no crash and
no mistake in a header costs what was written.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import in_terminal

from agent.builtin import settings
from agent.console import external
from agent.console.drafttext import from_text, to_text
from agent.console.terminal import Terminal
from agent.console.views.review import ReviewView
from agent.errors import AgentError, CommandError

if TYPE_CHECKING:
    from agent.console.notices import Notices
    from agent.console.views.view import View
    from agent.core.context import Context
    from agent.core.draft import Draft
    from agent.core.job import Job


_log = logging.getLogger("agent.console")


class Writing:
    """What is being written. The ui thread only, its waiting on threads of the loop."""

    def __init__(
        self,
        context: Context,
        folder: Path,
        notices: Notices,
        terminal: Terminal,
        start: Callable[[Coroutine[Any, Any, None]], object],
        push: Callable[[View], None],
        close: Callable[[View], None],
        watch: Callable[[Job], None],
    ) -> None:
        self._context = context
        self._folder = folder
        self._notices = notices
        self._terminal = terminal
        self._start = start
        self._push = push
        self._close = close
        self._watch = watch
        self._files: dict[int, Path] = {}

    def begin(self, make: Callable[[], Draft], *, even_unchanged: bool) -> None:
        """Make a draft, edit it, review it."""
        self._start(self._guarded(self._begin(make, even_unchanged)))

    def leftovers(self) -> list[Path]:
        """Return the files of drafts that were neither sent, kept nor thrown away."""
        return sorted(self._folder.glob("draft-*/message.eml"))

    def answer(self, view: ReviewView, how: str) -> None:
        """Do with a reviewed draft what the user said."""
        what = {"send": self._send, "edit": self._edit_again, "keep": self._keep, "drop": self._drop}
        self._start(self._guarded(what[how](view)))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except AgentError as error:
            self._notices.tell(str(error), error=True)
        except Exception as error:
            self._notices.tell(f"{type(error).__name__}: {error}", error=True)
            _log.exception("could not go on with a draft")

    async def _begin(self, make: Callable[[], Draft], even_unchanged: bool) -> None:
        command = external.editor_command(os.environ, self._context.options.value(settings.EDITOR))
        draft = await asyncio.to_thread(make)
        path = await asyncio.to_thread(external.private_file, self._folder, to_text(draft))
        before = path.read_text(encoding="utf-8")
        view = ReviewView(draft)
        self._files[id(view)] = path
        if not await self._edit(view, command):
            return
        if not even_unchanged and path.read_text(encoding="utf-8", errors="replace") == before:
            self._forget(view)
            self._notices.tell("nothing was written")
            return
        self._push(view)

    async def _edit(self, view: ReviewView, command: list[str]) -> bool:
        """Let the user edit until it can be read; return False when the editor failed."""
        path = self._files[id(view)]
        try:
            async with in_terminal():
                await asyncio.to_thread(self._run_editor, command, path)
        except CommandError as error:
            self._notices.tell(f"{error}; the text is in {path}", error=True)
            return False
        try:
            from_text(view.draft, path.read_text(encoding="utf-8", errors="replace"))
        except CommandError as error:
            view.problem = f"{error}; press e to edit again"
        else:
            view.problem = ""
        view.changed()
        return True

    def _run_editor(self, command: list[str], path: Path) -> None:
        with self._terminal.lent():
            external.run_editor(command, path, (self._terminal.reading, self._terminal.writing))

    async def _edit_again(self, view: ReviewView) -> None:
        command = external.editor_command(os.environ, self._context.options.value(settings.EDITOR))
        await self._edit(view, command)

    async def _send(self, view: ReviewView) -> None:
        if view.problem:
            raise CommandError(view.problem)
        job = await asyncio.to_thread(view.draft.send)
        self._watch(job)
        self._done(view, f"on its way: {view.draft.subject}")

    async def _keep(self, view: ReviewView) -> None:
        if view.problem:
            raise CommandError(view.problem)
        job = await asyncio.to_thread(view.draft.save)
        self._watch(job)
        self._done(view, job.label)

    async def _drop(self, view: ReviewView) -> None:
        self._done(view, "thrown away")

    def _done(self, view: ReviewView, text: str) -> None:
        self._close(view)
        self._forget(view)
        self._notices.tell(text)

    def _forget(self, view: ReviewView) -> None:
        path = self._files.pop(id(view), None)
        if path:
            external.remove(path)
