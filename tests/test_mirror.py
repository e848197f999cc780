"""tests/ mirrors agent/: every module with code is reached by a test module of its own folder."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.test_layers import ROOT, imports_of, modules, tree_of

# Modules without tests of their own, and what tests them instead.
ELSEWHERE = {
    "agent.__main__": "two lines; test_headless_imports.py runs it",
    "agent.errors": "the exceptions are raised by the tests of everything else",
    "agent.net.base": "protocols and plain values; the backends' tests use them all",
    # What a thread of a running agent does is tested through the whole agent on real servers.
    "agent.core.bell": "test_inbound.py",
    "agent.core.filing": "test_outbound.py",
    "agent.core.inbound": "test_inbound.py",
    "agent.core.outbound": "test_outbound.py",
    "agent.core.appends": "test_replay.py and test_exchange.py",
    "agent.core.carrying": "test_replay.py",
    "agent.core.recovery": "test_replay.py",
    "agent.core.replay": "test_replay.py",
    "agent.core.requests": "test_inbound.py",
    "agent.core.screen": "a protocol; tests/console runs what keeps it",
    "agent.demo.account": "test_cli.py runs every command with --demo",
    "agent.mail.query_json": "tests/core/test_messages.py, with the queries of server searches",
}


def modules_with_code() -> set[str]:
    """Return the modules that define a function or a class."""
    code = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {module for module in modules() if any(isinstance(node, code) for node in tree_of(module).body)}


def named_by_tests(folder: Path) -> set[str]:
    """Return every dotted name below `agent` that the test modules of a folder write."""
    words: set[str] = set()
    for path in folder.glob("*.py"):
        source = path.read_text()
        words.update(re.findall(r"\bagent(?:\.\w+)+", source))
        # Blanks only: a line break would take the next import for more names.
        for package, names, more in re.findall(
            r"from (agent[\w.]*) import (?:\(([\w\s,]+)\)|([\w ,]+))", source
        ):
            words.update(f"{package}.{name}" for name in re.findall(r"\w+", names + more))
    return words


def reached_by_tests() -> set[str]:
    """Return the modules that a test in the mirrored folder (or in tests/ itself) reaches.

    A test reaches what it imports and, within the same package, what that imports in turn: the
    tests of a package's front cover the modules behind it.
    """
    anywhere, reached = named_by_tests(ROOT / "tests"), set[str]()
    for module in modules():
        folder = ROOT / "tests" / Path(*module.split(".")[1:-1])
        if module in anywhere | named_by_tests(folder):
            reached |= _with_those_behind(module)
    return reached


def _with_those_behind(module: str) -> set[str]:
    package = module.rpartition(".")[0]
    found, waiting = set[str](), [module]
    while waiting:
        found.add(each := waiting.pop())
        targets = {one.target for one in imports_of(each)} & set(modules()) - found
        waiting += [target for target in targets if target.startswith(f"{package}.") and package != "agent"]
    return found


def test_every_module_with_code_is_tested_in_its_place() -> None:
    untested = sorted(modules_with_code() - reached_by_tests() - set(ELSEWHERE))
    assert not untested, "no test in the mirrored folder reaches:\n" + "\n".join(untested)


def test_the_list_of_exceptions_names_modules_that_exist() -> None:
    assert set(ELSEWHERE) <= set(modules())
