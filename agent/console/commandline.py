"""The line at the bottom: `:` commands and `/` queries, with history and completion. The ui thread only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from prompt_toolkit.buffer import Buffer, CompletionState
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, has_completions
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import BufferControl, Window
from prompt_toolkit.layout.processors import BeforeInput

from agent.core.commands import Candidate
from agent.mail.safe import safe

Complete = Callable[[str, str], tuple[int, Iterable[Candidate]]]


class CommandLine:
    """One input line; what is entered goes to `accept(prompt, text)`, and `leave` gives the focus back."""

    def __init__(
        self,
        history: dict[str, Path],
        complete: Complete,
        accept: Callable[[str, str], None],
        leave: Callable[[], None],
    ) -> None:
        self.prompt = ":"
        self._accept = accept
        self._leave = leave
        self._buffers = {
            prompt: self._make_buffer(prompt, history.get(prompt), complete) for prompt in (":", "/")
        }
        self.windows = {prompt: self._make_window(prompt) for prompt in self._buffers}

    @property
    def window(self) -> Window:
        """The window of the prompt in use."""
        return self.windows[self.prompt]

    def open(self, prompt: str, text: str) -> Window:
        """Begin a line; return the window to focus."""
        self.prompt = prompt
        self._buffers[prompt].reset(Document(text, len(text)))
        return self.window

    def _make_buffer(self, prompt: str, history: Path | None, complete: Complete) -> Buffer:
        kept: History = InMemoryHistory()
        if history:
            os.close(os.open(history, os.O_CREAT | os.O_WRONLY, 0o600))
            kept = FileHistory(str(history))

        def accept(buffer: Buffer) -> bool:
            self._leave()
            self._accept(prompt, buffer.text)
            return False

        return Buffer(
            name=f"line {prompt}",
            multiline=False,
            history=kept,
            completer=_LineCompleter(lambda text: complete(prompt, text)),
            complete_while_typing=prompt == ":",
            enable_history_search=True,
            accept_handler=accept,
        )

    def _make_window(self, prompt: str) -> Window:
        control = BufferControl(
            self._buffers[prompt],
            input_processors=[BeforeInput(prompt, style="class:pending")],
            key_bindings=self._keys(self._buffers[prompt]),
        )
        return Window(control, height=1)

    def _keys(self, buffer: Buffer) -> KeyBindings:
        keys = KeyBindings()
        empty = Condition(lambda: not buffer.text)
        completer = buffer.completer

        @keys.add("escape", eager=True)
        @keys.add("c-c")
        @keys.add("c-g")
        @keys.add("c-h", filter=empty)
        def _(event: KeyPressEvent) -> None:
            buffer.reset()
            self._leave()

        @keys.add("tab", filter=has_completions)
        def _(event: KeyPressEvent) -> None:
            buffer.complete_next()

        @keys.add("tab", filter=~has_completions)
        def _(event: KeyPressEvent) -> None:
            # At once: what is typed behind it must find the line completed.
            found = list(completer.get_completions(buffer.document, CompleteEvent(completion_requested=True)))
            if found:
                buffer.complete_state = CompletionState(buffer.document, found)
                buffer.go_to_completion(0)

        @keys.add("s-tab")
        def _(event: KeyPressEvent) -> None:
            buffer.complete_previous()

        return keys


class _LineCompleter(Completer):
    def __init__(self, complete: Callable[[str], tuple[int, Iterable[Candidate]]]) -> None:
        self._complete = complete

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        start, candidates = self._complete(text)
        for candidate in candidates:
            yield Completion(
                candidate.text,
                start - len(text),
                display=str(safe(candidate.text)),
                display_meta=str(safe(candidate.help)),
            )
