"""The REPL pane: ptpython's input below the transcript, as one container. The ui thread owns it.

The only importer of ptpython. What is private there and used here: `_accept_handler`,
`_input_buffer_height`, `_current_style`; tests/repl/test_pane.py holds a contract test for each.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.data_structures import Point
from prompt_toolkit.filters import Condition, has_completions, has_focus, vi_navigation_mode
from prompt_toolkit.key_binding import KeyBindings, KeyBindingsBase, KeyPressEvent, merge_key_bindings
from prompt_toolkit.key_binding.bindings.auto_suggest import load_auto_suggest_bindings
from prompt_toolkit.layout import (
    Container,
    Dimension,
    HSplit,
    Layout,
    UIContent,
    UIControl,
    VerticalAlign,
    Window,
)
from prompt_toolkit.layout.controls import GetLinePrefixCallable
from prompt_toolkit.styles import BaseStyle
from ptpython.completer import PythonCompleter
from ptpython.key_bindings import load_python_bindings
from ptpython.layout import CompletionVisualisation
from ptpython.python_input import PythonInput

from agent.repl.completion import FirstCompleter, KeyCompleter
from agent.repl.transcript import Fragment, Transcript

_LONGEST_INPUT = 8


class Prompt(PythonInput):
    """ptpython's input without an Application of its own: accepted text goes to `submit`."""

    def __init__(
        self, namespace: Callable[[], dict[str, object]], history: Path, submit: Callable[[str], None]
    ) -> None:
        self._submit = submit
        python = PythonCompleter(namespace, namespace, lambda: False)
        super().__init__(
            create_app=False,
            get_globals=namespace,
            history_filename=str(history),
            _completer=FirstCompleter(KeyCompleter(namespace), python),
            _input_buffer_height=Dimension(min=1, max=_LONGEST_INPUT),
        )
        self.show_status_bar = False
        self.confirm_exit = False
        # The menu is a float of the whole screen: in here it would be clipped.
        self.completion_visualisation = CompletionVisualisation.NONE
        # It evaluates expressions and reads every property while one types.
        self.enable_dictionary_completion = False
        self.enable_auto_suggest = True
        self.enable_history_search = True
        self.highlight_matching_parenthesis = True
        self.show_signature = True

    def get_compiler_flags(self) -> int:
        return super().get_compiler_flags() | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    def _accept_handler(self, buff: Buffer) -> bool:
        if buff.text.strip():
            self._submit(buff.text)
        self.signatures = []
        return False  # clears the buffer; the text has gone to the history


class TranscriptControl(UIControl):
    """Shows the end of the transcript, or what the user scrolled back to."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self.back = 0  # lines scrolled back from the end

    def create_content(self, width: int, height: int) -> UIContent:
        lines = self._transcript.lines()
        self.back = max(0, min(self.back, len(lines) - 1))
        last = max(0, len(lines) - 1 - self.back)

        def line(number: int) -> list[Fragment]:
            return list(lines[number]) if number < len(lines) else []

        return UIContent(line, line_count=max(1, last + 1), cursor_position=Point(0, last), show_cursor=False)  # type: ignore[arg-type]  # a list of fragments is what it wants

    def preferred_height(
        self,
        width: int,
        max_available_height: int,
        wrap_lines: bool,
        get_line_prefix: GetLinePrefixCallable | None,
    ) -> int | None:
        # As high as its lines, so that they stand right above the input.
        content = self.create_content(width, max_available_height)
        height = 0
        for number in range(content.line_count - 1, -1, -1):
            height += content.get_height_for_line(number, width, get_line_prefix)
            if height >= max_available_height:
                return max_available_height
        return height


class Pane:
    """The container, its keys and its style."""

    def __init__(
        self,
        transcript: Transcript,
        namespace: Callable[[], dict[str, object]],
        history: Path,
        submit: Callable[[str], None],
        interrupt: Callable[[], bool],
        leave: Callable[[], None],
        close: Callable[[], None],
    ) -> None:
        _make_private(history)
        self._transcript = transcript
        self._interrupt = interrupt
        self._leave = leave
        self._close = close
        self._output = TranscriptControl(transcript)
        self.prompt = Prompt(namespace, history, self._accept(submit))
        self.focused = has_focus(self.prompt.default_buffer)
        self.completing = self.focused & has_completions
        self.container: Container = HSplit(
            [
                Window(self._output, wrap_lines=True, dont_extend_height=True, style="class:repl"),
                HSplit(
                    [self.prompt.ptpython_layout.root_container],
                    height=self._height,
                    key_bindings=self._keys(),
                ),
            ],
            align=VerticalAlign.BOTTOM,
        )

    @property
    def style(self) -> BaseStyle:
        """The colours of code and prompt."""
        return self.prompt._current_style

    def focus(self, layout: Layout) -> None:
        """Put the cursor into the input, ready to type."""
        layout.focus(self.prompt.default_buffer)
        get_app().vi_state.reset()

    def scroll(self, lines: int) -> None:
        """Scroll the transcript back (positive) or forth."""
        self._output.back = max(0, self._output.back + lines)

    def _accept(self, submit: Callable[[str], None]) -> Callable[[str], None]:
        def accept(source: str) -> None:
            self._output.back = 0
            first, *rest = source.split("\n")
            self._transcript.show([("class:repl.prompt", ">>> "), ("class:repl.input", first)])
            for line in rest:
                self._transcript.show([("class:repl.prompt", "... "), ("class:repl.input", line)])
            submit(source)

        return accept

    def _height(self) -> Dimension:
        buffer = self.prompt.default_buffer
        lines = buffer.document.line_count + bool(buffer.validation_error)
        return Dimension.exact(min(_LONGEST_INPUT, lines))

    def _keys(self) -> KeyBindingsBase:
        """ptpython's keys, with ours last: the last match wins."""
        keys = KeyBindings()
        buffer = self.prompt.default_buffer
        empty = Condition(lambda: not buffer.text)

        @keys.add("c-c")
        def _(event: KeyPressEvent) -> None:
            if not self._interrupt():
                buffer.reset()

        @keys.add("c-d", filter=empty)
        def _(event: KeyPressEvent) -> None:
            self._close()

        @keys.add("c-o")
        @keys.add("escape", filter=vi_navigation_mode, eager=True)
        def _(event: KeyPressEvent) -> None:
            self._leave()

        @keys.add("pageup")
        def _(event: KeyPressEvent) -> None:
            self.scroll(5)

        @keys.add("pagedown")
        def _(event: KeyPressEvent) -> None:
            self.scroll(-5)

        # F2 wants a tall pane, F3 starts an Application of its own, F4 and F6 change modes unseen.
        for name in ("f2", "f3", "f4", "f6"):
            keys.add(name)(lambda event: None)
        return merge_key_bindings([load_python_bindings(self.prompt), load_auto_suggest_bindings(), keys])


def _make_private(history: Path) -> None:
    os.close(os.open(history, os.O_CREAT | os.O_WRONLY, 0o600))
    history.chmod(0o600)
