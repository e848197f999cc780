"""From a key or a `:` line to a command that runs: built-in ones here on `ui`, the user's on `main`.

What is current is frozen before the command runs: the cursor may move on while it waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.core.commands import Call, Situation
from agent.core.job import Job
from agent.core.keymap import Walker
from agent.core.message import Message
from agent.core.messages import Messages
from agent.core.screen import Screen
from agent.errors import AgentError, CommandError
from agent.mail import query

if TYPE_CHECKING:
    from agent.console.notices import Notices
    from agent.console.views.view import Stack
    from agent.core.context import Context
    from agent.repl import Runner

_log = logging.getLogger("agent.console")


@dataclass(frozen=True, slots=True)
class Now:
    """What is current at one moment."""

    msg: Message | None
    here: Messages | None
    marked: Messages

    def names(self) -> dict[str, object]:
        """Return the names a statement finds."""
        return {"msg": self.msg, "here": self.here, "marked": self.marked}


class Dispatcher:
    """Runs what keys and lines mean. The ui thread only."""

    def __init__(
        self,
        context: Context,
        stack: Stack,
        runner: Runner,
        notices: Notices,
        post: Callable[[Callable[[], None]], None],
    ) -> None:
        self.walker = Walker(context.keymap)
        self.screen: Screen | None = None
        self._context = context
        self._stack = stack
        self._runner = runner
        self._notices = notices
        self._post = post
        self._answers: Mapping[str, Callable[[], None]] | None = None
        self._watched: list[tuple[Job, Sequence[str]]] = []

    # -- keys --------------------------------------------------------------------------------

    @property
    def contexts(self) -> tuple[str, str]:
        """The contexts whose keys work now."""
        return self._stack.top.context, "global"

    def knows(self, key: str) -> bool:
        """Tell whether a key can come next."""
        found = self._context.keymap.find((*self.walker.keys, key), self.contexts)
        return bool(found.binding or found.longer)

    def press(self, key: str) -> None:
        """Take a key press."""
        self._notices.clear()
        if self._answers is not None:
            answers, self._answers = self._answers, None
            answers.get(key, lambda: None)()
        elif key == "C-c":
            self.walker.reset()
            if not self._runner.interrupt():
                self._notices.tell("nothing runs; :quit or ZZ ends the program")
        else:
            self._follow(key)

    def ask(self, question: str, answers: Mapping[str, Callable[[], None]]) -> None:
        """Ask for one key; any other means to go on as before."""
        self._notices.ask(question)
        self._answers = answers

    def _follow(self, key: str) -> None:
        step = self.walker.press(key, self.contexts)
        if step.binding:
            self.run(step.binding.line, step.count)
        elif step.unknown and step.unknown != "Escape":
            self._notices.tell(f"{step.unknown} is not bound here; ? shows the keys")

    # -- commands ----------------------------------------------------------------------------

    def run(self, line: str, count: int | None = None) -> None:
        """Run a command line; what is missing is asked for."""
        try:
            call = self._context.commands.parse(line)
            if call.missing and self.screen:
                self.screen.command_line(f"{line.strip()} ")
                return
            self._run(call, line, count)
        except CommandError as error:
            self._notices.tell(str(error), error=True)

    def _run(self, call: Call, line: str, count: int | None) -> None:
        now = self.freeze()
        work = call.prepare(self._situation(now, count))
        if call.command.ui:
            try:
                self._finished(work())
            except AgentError as error:
                self._notices.tell(str(error), error=True)
            except Exception as error:
                self._failed(line, error)
            return
        if self._runner.running:
            self._notices.tell(f"{call.command.name} waits for: {self._runner.running}  (C-c stops that)")
        self._runner.call(
            line,
            work,
            now.names(),
            lambda result: self._post(lambda: self._finished(result)),
            lambda error: self._post(lambda: self._failed(line, error)),
        )

    def tell_error(self, error: AgentError) -> None:
        """Show an expected error."""
        self._notices.tell(str(error), error=True)

    def freeze(self) -> Now:
        """Return what is current, fixed."""
        view = self._stack.top
        marked = [int(message.id) for message in view.marked()]
        return Now(view.message(), view.messages(), self._messages(marked))

    def _situation(self, now: Now, count: int | None) -> Situation:
        values: dict[type, object] = {Screen: self.screen}
        if now.msg is not None:
            values[Message] = now.msg
            values[Messages] = self._messages([int(now.msg.id)])
        if self._stack.top.marked():
            values[Messages] = now.marked
        return Situation(values, count)

    def _messages(self, numbers: Sequence[int]) -> Messages:
        return Messages(self._context, query.Ids(tuple(numbers)))

    # -- what came of it ---------------------------------------------------------------------

    def _finished(self, result: object) -> None:
        if isinstance(result, Job):
            self.watch(result)
            self._notices.tell(result.label)
        elif result is not None:
            self._notices.tell(str(result))

    def _failed(self, line: str, error: BaseException) -> None:
        if isinstance(error, AgentError):
            self._notices.tell(str(error), error=True)
        elif isinstance(error, KeyboardInterrupt):
            self._notices.tell(f"{line}: interrupted")
        else:
            self._notices.tell(f"{line}: {type(error).__name__}: {error}", error=True)
            _log.info("%s failed", line, exc_info=error)

    def watch(self, job: Job, names: Sequence[str] = ()) -> None:
        """Tell when the job fails."""
        self._watched.append((job, names))

    def look_after_jobs(self) -> list[str]:
        """Tell of jobs that failed; return the ids of messages that stay after all."""
        stay: list[str] = []
        for job, names in list(self._watched):
            if job.done:
                self._watched.remove((job, names))
                if job.error:
                    stay += names
                    self._notices.tell(f"{job.label}: {job.error}", error=True)
        return stay
