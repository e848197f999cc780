"""init.py: found, checked, run on the main thread, statement by statement.

An error is collected with its line and stops only its own statement; the program still starts.
Loading it again replaces what it registered, keyed by (module, qualname), and drops what is gone;
a file that cannot be read as Python leaves everything as it was.
"""

from __future__ import annotations
import __future__

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from agent import api
from agent.config.paths import check_private_code
from agent.core.context import Context
from agent.core.supervisor import trimmed
from agent.errors import AgentError, ConfigError, did_you_mean

_MODULE = "init"


def load(context: Context, path: Path) -> list[str]:
    """Run init.py; return what went wrong, one text for each problem. Without a file nothing is done."""
    try:
        check_private_code(path)
        tree = ast.parse(path.read_bytes(), str(path))
    except FileNotFoundError:
        return []
    except ConfigError as error:
        return list(error.problems)
    except (SyntaxError, ValueError, OSError) as error:
        where = f"{path}:{error.lineno}" if isinstance(error, SyntaxError) else str(path)
        return [f"{where}: {error.msg if isinstance(error, SyntaxError) else error}"]
    return _run(context, path, tree)


def _run(context: Context, path: Path, tree: ast.Module) -> list[str]:
    module = ModuleType(_MODULE)
    module.__file__ = str(path)
    module.__dict__.update(api.namespace(context))
    # Functions find their module by name, for instance when dataclasses or pickles are made.
    sys.modules[_MODULE] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last: what lies there cannot hide a module of Python's
    registries = (context.hooks.registry, context.rules.registry, context.timers.registry)
    for registry in registries:
        registry.begin()
    context.commands.reset("user")
    context.keymap.reset("user")
    context.options.reset()
    try:
        flags = _future_flags(tree)
        problems = [
            problem for node in tree.body if (problem := _statement(path, node, module.__dict__, flags))
        ]
    finally:
        for registry in registries:
            registry.end()
    context.bus.supervisor.release()
    return [*problems, *_unknown_accounts(context)]


def _future_flags(tree: ast.Module) -> int:
    """Return what `from __future__ import ...` asks of the compiler: statements are compiled one by one."""
    names = [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    ]
    flags = 0
    for name in names:
        flags |= getattr(__future__, name).compiler_flag if name in __future__.all_feature_names else 0
    return flags


def _statement(path: Path, node: ast.stmt, names: dict[str, Any], flags: int) -> str:
    try:
        exec(compile(ast.Module([node], []), str(path), "exec", flags, dont_inherit=True), names)
    except AgentError as error:
        return f"{path}:{_line(error, path, node)}: {error}"
    except (Exception, SystemExit) as error:
        if isinstance(error, SyntaxError) and error.filename == str(path):
            return f"{path}:{error.lineno or node.lineno}: {error.msg}"
        return f"{path}:{_line(error, path, node)}: {type(error).__name__}: {error}\n{trimmed(error)}"
    return ""


def _line(error: BaseException, path: Path, node: ast.stmt) -> int:
    """Return the innermost line of the file that is in the traceback."""
    line, trace = node.lineno, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _unknown_accounts(context: Context) -> Iterator[str]:
    """Tell of hooks that can never be called."""
    known = context.accounts
    for hook in context.hooks.registry:
        if hook.account is not None and hook.account not in known:
            hint = did_you_mean(hook.account, known)
            yield f"{hook.source}: {hook.name} wants the account {hook.account!r}; there is none{hint}"
