"""Asking for a secret at the bottom of the screen: typed unseen, kept in no history. The ui thread only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.history import DummyHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import BufferControl, Window
from prompt_toolkit.layout.processors import BeforeInput, PasswordProcessor

from agent.mail.safe import safe

Answer = Callable[[str | None], None]


class SecretLine:
    """Questions that wait for an answer, one shown at a time; None is the answer of who will not tell."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave = leave
        self._questions: deque[tuple[str, Answer]] = deque()
        self._buffer = Buffer(
            name="secret", multiline=False, accept_handler=self._accept, history=DummyHistory()
        )
        control = BufferControl(
            self._buffer,
            input_processors=[PasswordProcessor(), BeforeInput(self._prompt, style="class:pending")],
            key_bindings=self._keys(),
        )
        self.window = Window(control, height=1)

    @property
    def waiting(self) -> bool:
        """Whether a question waits."""
        return bool(self._questions)

    def ask(self, prompt: str, answer: Answer) -> None:
        """Add a question."""
        self._questions.append((prompt, answer))

    def abandon(self) -> None:
        """Answer all questions with None: nobody is there any more."""
        while self._questions:
            self._questions.popleft()[1](None)

    def _prompt(self) -> str:
        return f"{safe(self._questions[0][0])}: " if self._questions else ""

    def _accept(self, buffer: Buffer) -> bool:
        self._answer(buffer.text)
        return False

    def _answer(self, text: str | None) -> None:
        self._buffer.reset()
        if self._questions:
            self._questions.popleft()[1](text)
        self._leave()

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("escape", eager=True)
        @keys.add("c-c")
        @keys.add("c-g")
        def _(event: KeyPressEvent) -> None:
            self._answer(None)

        return keys
