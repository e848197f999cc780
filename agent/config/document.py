"""A YAML file as plain data that remembers where each key and value stood.

YAML 1.2 where it matters: only true and false are booleans (`no`, `on` and `yes` are text), 010 is
text and 0o10 a number, dates are text. All duplicate keys are found, not only the first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from agent.errors import ConfigError

Path = tuple[str | int, ...]

# Aliases (`*x`) may make a small file stand for a huge tree; nobody has that many accounts.
_MAX_VALUES = 200_000
_YAML_1_1 = ("bool", "int", "float", "timestamp")
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the file, counted from 1."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something wrong in the file; `key` is the dotted path, empty for the file as a whole."""

    place: Place
    key: str
    message: str

    def text(self, name: str) -> str:
        """Return `file:line:col: key: message`."""
        key = f"{self.key}: " if self.key else ""
        return f"{name}:{self.place.line}:{self.place.column}: {key}{self.message}"


@dataclass(slots=True)
class Document:
    """The data of a file; `keys` and `values` tell where each path has its key and its value."""

    data: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def dotted(path: Path) -> str:
    """Return a path as people read it: `accounts.work.aliases[1].name`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def read(text: str, name: str) -> Document:
    """Read YAML; raises ConfigError where it is not YAML at all, other problems are collected."""
    document = Document()
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            document.data = _Reader(loader, document).value(node, ())
    except yaml.YAMLError as error:
        raise ConfigError(_syntax_problem(error).text(name)) from None
    except RecursionError:
        raise ConfigError(Problem(Place(), "", "nested too deeply").text(name)) from None
    return document


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag.removeprefix(_TAG) not in _YAML_1_1]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _TAG + "bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    _TAG + "int", re.compile("^(?:[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)


class _Reader:
    """Turns nodes into data and notes the places."""

    def __init__(self, loader: _Loader, document: Document) -> None:
        self._loader = loader
        self._document = document
        self._open: set[int] = set()  # nodes being read: one inside itself has no end
        self._count = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        if self._count > _MAX_VALUES or id(node) in self._open:
            raise yaml.MarkedYAMLError(problem="too many values by aliases", problem_mark=node.start_mark)
        self._document.values.setdefault(path, _place(node.start_mark))
        self._document.keys.setdefault(path, _place(node.start_mark))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*path, n)) for n, item in enumerate(node.value)]
            assert isinstance(node, yaml.MappingNode)  # there is no fourth kind
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag == _TAG + "int" and node.value.startswith("0o"):
            return int(node.value, 8)
        return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merges = []
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                merges.append(value_node)
                continue
            key = self._key(key_node)
            at = (*path, key)
            if key in lines:
                message = f"duplicate key, first in line {lines[key]}"
                self._document.problems.append(Problem(_place(key_node.start_mark), dotted(at), message))
                continue
            lines[key] = key_node.start_mark.line + 1
            self._document.keys[at] = _place(key_node.start_mark)
            result[key] = self.value(value_node, at)
        for merged in merges:
            for source in merged.value if isinstance(merged, yaml.SequenceNode) else [merged]:
                result = self._merge_key(source, path) | result
        return result

    def _merge_key(self, source: yaml.Node, path: Path) -> dict[str, Any]:
        if not isinstance(source, yaml.MappingNode):
            message = "only a mapping can be merged by `<<`"
            self._document.problems.append(Problem(_place(source.start_mark), dotted(path), message))
            return {}
        return self.value(source, path)  # type: ignore[no-any-return]  # a mapping node gives a dict

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem="a key must be a single word", problem_mark=node.start_mark)
        return str(node.value)


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _syntax_problem(error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        return Problem(
            Place(), "", f"character U+{error.character:04X} at offset {error.position} is not allowed"
        )
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem(Place(), "", str(error))
    mark = error.problem_mark or error.context_mark
    message = f"not valid YAML: {error.problem or error.context}"
    if "'\\t'" in message:
        message += "; indent with spaces"
    elif "mapping values are not allowed" in message:
        message += "; put text that contains `: ` in quotes"
    return Problem(_place(mark) if mark else Place(), "", message)
