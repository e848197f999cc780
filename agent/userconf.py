"""init.py: found, checked, run on the main thread, statement by statement.

An error is collected with its line and stops only its own statement; the program still starts.
Loading it again replaces what it registered, keyed by (module, qualname), and drops what is gone;
a file that cannot be read as Python leaves everything as it was.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from agent import api
from agent.config.paths import check_private_code
from agent.core.bus import trimmed
from agent.core.context import Context
from agent.errors import AgentError, ConfigError

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
    registries = (context.hooks.registry, context.rules.registry, context.timers.registry)
    for registry in registries:
        registry.begin()
    context.commands.reset("user")
    context.keymap.reset("user")
    context.options.reset()
    problems = [problem for node in tree.body if (problem := _statement(path, node, module.__dict__))]
    for registry in registries:
        registry.end()
    return problems


def _statement(path: Path, node: ast.stmt, names: dict[str, Any]) -> str:
    try:
        exec(compile(ast.Module([node], []), str(path), "exec"), names)
    except AgentError as error:
        return f"{path}:{_line(error, path, node)}: {error}"
    except (Exception, SystemExit) as error:
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
