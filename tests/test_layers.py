"""Who may import whom, read from the source: layers, cycles, owners of libraries, sizes, threads.

Only the standard library and no import of `agent`, so that `scripts/check` can run it anywhere.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_MODULE = 500
# Files that are handed to the user, not part of the program.
DATA = ROOT / "agent" / "starters"

GROUND = {"errors", "threads", "clock"}
VALUES = GROUND | {"mail"}
ENGINE = VALUES | {"config", "store", "net", "core"}
FACADE = ENGINE | {"api", "userconf"}
FRONT = FACADE | {"app", "builtin"}

# Each part of the package and what it may import besides itself.
LAYERS = {
    "__init__": set(),
    "__main__": {"cli"},
    "errors": set(),
    "threads": {"errors"},
    "clock": {"errors"},
    "mail": {"errors"},
    "config": {"errors"},
    "store": VALUES,
    "net": VALUES | {"config"},
    "archive": {"errors", "mail"},
    "core": VALUES | {"config", "store", "net", "archive"},
    "api": ENGINE - {"config"},
    "userconf": (ENGINE - {"store", "net"}) | {"api"},
    "builtin": VALUES | {"core", "api"},
    "demo": VALUES | {"config", "store", "net"},
    "app": ENGINE,
    "repl": FRONT,
    "console": FRONT | {"repl"},
    "logs": VALUES,
    "output": VALUES | {"core", "api"},
    "starter": VALUES | {"config"},
    "doctor": FRONT | {"progress"},
    "progress": VALUES | {"core", "store"},
    "upkeep": FRONT | {"progress"},
    "transfer": FRONT | {"archive", "headless", "progress"},
    "headless": FRONT | {"output", "progress"},
    "cli": FRONT
    | {"console", "repl", "headless", "demo", "doctor", "logs", "output", "starter", "transfer", "upkeep"},
}

# Libraries that only some parts may import; an empty set is nobody.
OWNERS = {
    "sqlite3": {"store"},
    "imapclient": {"net"},
    "imaplib": {"net"},
    "smtplib": {"net"},
    "poplib": {"net"},
    "keyring": {"net"},
    "prompt_toolkit": {"console", "repl"},
    "ptpython": {"repl"},
    "jedi": {"repl"},
    "pymap": {"demo"},
    "aiosmtpd": {"demo"},
    "yaml": {"config"},
    "fast_mail_parser": {"mail"},
    "selectolax": {"mail"},
    "chardet": {"mail"},
}

# mail is pure: nothing that reads a file, a clock or a socket.
IMPURE = {
    "asyncio",
    "http",
    "io",
    "select",
    "shutil",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
}

MAKERS_OF_THREADS = {
    "threading.Thread",
    "threading.Timer",
    "concurrent.futures.ThreadPoolExecutor",
    "_thread.start_new_thread",
}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module or name, dotted, and where it stands."""

    importer: str
    target: str
    line: int
    lazy: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line}: {self.target}"


@cache
def modules() -> dict[str, Path]:
    """Return dotted name -> file of every module of the package."""
    found = {}
    for path in sorted((ROOT / "agent").rglob("*.py")):
        if DATA in path.parents:
            continue
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)] = path
    return found


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(), str(modules()[module]))


def part_of(module: str) -> str:
    """Return the part of the package: `mail` for agent.mail.query, `app` for agent.app."""
    return module.split(".")[1] if "." in module else "__init__"


@cache
def imports_of(module: str) -> tuple[Import, ...]:
    """Return every import of a module; those inside functions or for type checkers are lazy."""
    tree = tree_of(module)
    eager = {id(node) for node in _at_module_level(tree.body)}
    return tuple(
        Import(module, target, node.lineno, id(node) not in eager)
        for node in ast.walk(tree)
        for target in _targets(module, node)
    )


def _at_module_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _at_module_level(node.orelse)
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.ClassDef)):
            yield from _at_module_level(node.body)
            yield from _at_module_level(getattr(node, "orelse", []))
            for handler in getattr(node, "handlers", []):
                yield from _at_module_level(handler.body)


def _targets(module: str, node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    if node.level:
        is_package = modules()[module].name == "__init__.py"
        base = module.split(".")[: len(module.split(".")) - node.level + is_package]
        source = ".".join([*base, node.module] if node.module else base)
    else:
        source = node.module or ""
    names = [f"{source}.{alias.name}" for alias in node.names]
    return [name if name in modules() else source for name in names]


def illegal(each: Import) -> bool:
    """Tell whether the layers forbid this import, wherever it stands."""
    own, (top, *rest) = part_of(each.importer), each.target.split(".")
    if top in OWNERS:
        return own not in OWNERS[top]
    if top != "agent":
        return own == "mail" and top in IMPURE
    target = rest[0] if rest else "__init__"
    if own == "console" and target == "repl":
        return len(rest) > 1  # what the package repl offers, not its insides
    return target not in (own, "__init__") and target not in LAYERS.get(own, set())


def all_imports() -> list[Import]:
    return [each for module in modules() for each in imports_of(module)]


def test_every_part_of_the_package_has_a_layer() -> None:
    assert {part_of(module) for module in modules()} <= set(LAYERS)


def test_no_import_breaks_a_layer() -> None:
    broken = [str(each) for each in all_imports() if illegal(each)]
    assert not broken, "\n" + "\n".join(broken)


def test_no_import_cycle() -> None:
    edges = {
        module: {each.target for each in imports_of(module) if each.target in modules() and not each.lazy}
        for module in modules()
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, "cycle: " + " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for target in sorted(edges[module]):
                visit(target, (*path, module))
            done.add(module)

    for module in edges:
        visit(module, ())


def test_no_module_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in modules().values()}
    assert not {path: length for path, length in lengths.items() if length > LONGEST_MODULE}


def test_only_one_module_makes_threads() -> None:
    broken = [
        f"{module}:{line}: {name}"
        for module in modules()
        if module != "agent.threads"
        for name, line in _called(module)
        if name in MAKERS_OF_THREADS
    ]
    assert not broken, "\n" + "\n".join(broken)


def _called(module: str) -> Iterator[tuple[str, int]]:
    """Yield the dotted names of what a module calls, through its import aliases."""
    names: dict[str, str] = {}
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            first, *rest = ast.unparse(node.func).split(".")
            yield ".".join([names.get(first, first), *rest]), node.lineno


@pytest.mark.parametrize(
    ("importer", "target", "verdict"),
    [
        ("agent.mail.query", "agent.errors", False),
        ("agent.mail.query", "agent.clock", True),
        ("agent.mail.query", "time", True),
        ("agent.store.db", "agent.net.base", True),
        ("agent.net.imap", "agent.store.db", True),
        ("agent.net.imap", "imapclient.exceptions", False),
        ("agent.core.sync", "imapclient", True),
        ("agent.core.context", "agent.api", True),
        ("agent.core.context", "agent.app", True),
        ("agent.core.context", "prompt_toolkit", True),
        ("agent.builtin.vim", "agent.api", False),
        ("agent.builtin.vim", "agent.store.db", True),
        ("agent.demo.server", "agent.core.context", True),
        ("agent.console.app", "agent.repl", False),
        ("agent.console.app", "agent.repl.runner", True),
        ("agent.headless", "agent.console.app", True),
        ("agent.cli", "agent.console.app", False),
    ],
)
def test_the_rules_are_those_of_the_design(importer: str, target: str, verdict: bool) -> None:
    assert illegal(Import(importer, target, 1, lazy=False)) is verdict
