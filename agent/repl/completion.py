"""Completion of the keys of live mappings: `accounts["`, `work["Lists/`, `folders["[Gmail]/`.

Runs in ptpython's completion thread. Attributes are read of our own objects only, whose properties
never touch the network; anything else is left to Jedi, which runs no code for it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from agent.core.account import Account
from agent.mail.safe import safe

_SUBSCRIPT = re.compile(
    r"""(?P<path>[^\W\d]\w*(?:\.[^\W\d]\w*|\[(?:"[^"\\]*"|'[^'\\]*')\])*)\[(?P<quote>["'])(?P<word>[^"'\\]*)$"""
)
_STEP = re.compile(r"""\.(?P<name>\w+)|\[["'](?P<key>[^"']*)["']\]""")
_MOST = 200


class KeyCompleter(Completer):
    """Offers the keys of the mapping before the cursor."""

    def __init__(self, namespace: Callable[[], Mapping[str, object]]) -> None:
        self._namespace = namespace

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        match = _SUBSCRIPT.search(document.text_before_cursor)
        if not match:
            return
        quote, word = match["quote"], match["word"]
        closing = "" if document.text_after_cursor.startswith(quote) else f"{quote}]"
        found = [key for key in self._keys(match["path"]) if key.lower().startswith(word.lower())]
        for key in found[:_MOST]:
            written = key.encode("unicode_escape").decode("ascii") if not key.isprintable() else key
            written = written.replace(quote, f"\\{quote}")
            yield Completion(written + closing, -len(word), display=str(safe(key)))

    def _keys(self, path: str) -> list[str]:
        head = re.match(r"\w+", path)
        assert head is not None
        value: object = self._namespace().get(head[0])
        for step in _STEP.finditer(path, head.end()):
            value = _attribute(value, step["name"]) if step["name"] else _item(value, step["key"])
        if isinstance(value, Account):
            value = value.folders
        return [key for key in value if isinstance(key, str)] if isinstance(value, Mapping) else []


class FirstCompleter(Completer):
    """Asks one completer after the other until one has an answer."""

    def __init__(self, *completers: Completer) -> None:
        self._completers = completers

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        for completer in self._completers:
            found = list(completer.get_completions(document, complete_event))
            if found:
                yield from found
                return


def _attribute(value: object, name: str) -> object:
    if type(value).__module__.partition(".")[0] == "agent":
        return getattr(value, name, None)
    found = inspect.getattr_static(value, name, None)
    return None if hasattr(type(found), "__get__") else found


def _item(value: object, key: str) -> object:
    if isinstance(value, Account):
        value = value.folders
    return value.get(key) if isinstance(value, Mapping) else None
