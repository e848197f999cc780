"""How the REPL shows values and errors: bounded, coloured, and our own frames left out."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import Literal

from prompt_toolkit.formatted_text import PygmentsTokens, to_formatted_text

from agent.errors import AgentError
from agent.repl.transcript import Fragment

# Highlighting holds the GIL: a repr of 5 MB would stop every thread for seconds.
LONGEST = 20_000
_HIGHLIGHTED = 4_000
_PLAIN = (str, bytes, int, float, complex, bool, list, tuple, dict, set, frozenset, type(None))


def show_value(value: object) -> list[Fragment]:
    """Return the fragments of a value: its `__pt_repr__`, else its repr."""
    try:
        own = getattr(type(value), "__pt_repr__", None)
        if own is not None:
            return [(style, text) for style, text, *_ in to_formatted_text(own(value))]
        text = repr(value)
    except Exception as error:
        kind = type(value).__name__
        return [("class:repl.error", f"<{kind}: its repr raised {type(error).__name__}: {error}>")]
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}… {len(text) - LONGEST} more characters"
    if type(value) in _PLAIN and len(text) <= _HIGHLIGHTED:
        return _highlight(text, "value")
    return [("", text)]


def show_error(error: BaseException) -> list[Fragment]:
    """Return the fragments of an error: one line for what is expected, else a traceback."""
    if isinstance(error, KeyboardInterrupt):
        return [("class:repl.error", "KeyboardInterrupt")]
    if isinstance(error, AgentError):
        return [("class:repl.error", f"{type(error).__name__}: {error}")]
    told = traceback.TracebackException.from_exception(error, limit=-50)
    told.stack = traceback.StackSummary.from_list(_without_ours(told.stack))
    return _highlight("".join(told.format()), "traceback")


def _without_ours(frames: Iterable[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """Leave out what called the statement."""
    known = list(frames)
    for place, frame in enumerate(known):
        if frame.filename.startswith("<repl"):
            return known[place:]
    return known


def _highlight(text: str, what: Literal["value", "traceback"]) -> list[Fragment]:
    # Loaded with the first value: the first screen has none to show.
    from pygments.lexers.python import PythonLexer, PythonTracebackLexer  # type: ignore[import-untyped]

    lexer = (PythonLexer if what == "value" else PythonTracebackLexer)(ensurenl=False, stripnl=False)
    tokens = list(lexer.get_tokens(text.rstrip("\n")))
    return [(style, part) for style, part, *_ in to_formatted_text(PygmentsTokens(tokens))]
