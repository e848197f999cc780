"""The command `agent`: reads the command line, builds an Agent, hands it to a front end.

Only what a command needs is imported, so that `agent --version` and scripts start at once and no
headless command ever loads the screen.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agent import __version__
from agent.errors import AgentError, ConfigError

if TYPE_CHECKING:
    from agent.app import Agent
    from agent.config.schema import Config
    from agent.core.account import Account

USAGE, FAILURE = 2, 1


class UsageError(AgentError):
    """The command line cannot be understood."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 2 for usage, 1 for failure."""
    if argv is None:
        _settle_process()
    args = parser().parse_args(argv)
    try:
        status = int(args.run(args))
        sys.stdout.flush()
    except UsageError as error:
        return _complain(error, USAGE)
    except ConfigError as error:
        return max([_complain(problem, FAILURE) for problem in error.problems], default=FAILURE)
    except AgentError as error:
        return _complain(error, FAILURE)
    except KeyboardInterrupt:
        sys.stderr.write("agent: interrupted\n")
        return 130
    except BrokenPipeError:
        # Who read our output has seen enough; Python must not complain about it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except OSError as error:
        sys.stderr.write(f"agent: {error.filename or 'system'}: {error.strerror or error}\n")
        return FAILURE
    return status


def _complain(error: object, status: int) -> int:
    """Print an error, which may hold what a server said, safe for a terminal; return the status."""
    from agent.mail.safe import safe_block

    sys.stderr.write(f"agent: {safe_block(str(error))}\n")
    return status


def _settle_process() -> None:
    """Make output of any text possible, and import nothing from where we happen to stand."""
    # What is loaded at the start stays: to look through it for garbage again and again is a tenth of it.
    gc.set_threshold(20_000, 20, 50)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]  # `python -m agent` puts it there; a message saved as email.py must not be run


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="agent", description="A mail client whose console is a Python REPL.")
    top.add_argument("--version", action="version", version=f"agent {__version__}")
    top.add_argument(
        "--demo", action="store_true", help="use a throw-away demo account; works with every command"
    )
    top.set_defaults(run=_console)
    commands = top.add_subparsers(metavar="COMMAND", title="commands")

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--demo", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        command.set_defaults(run=run)
        return command

    add("demo", _demo, "open the console on the demo account")
    run = add("run", _run, "run Python with accounts, folders and messages in scope")
    run.add_argument("-c", dest="code", metavar="CODE", help="the program as text")
    run.add_argument("file", nargs="?", metavar="FILE", help="the program as a file; - for standard input")
    run.add_argument("args", nargs=argparse.REMAINDER, help="what the program finds in sys.argv")
    rules = add("rules", _rules, "run hooks and rules without a screen")
    rules.add_argument("--once", action="store_true", help="sync, run over what is new, and end")
    sync = add("sync", _sync, "fetch what is new now")
    sync.add_argument("account", nargs="*", help="only these accounts")
    search = add("search", _search, "list the messages a query means, newest first")
    search.add_argument("query", nargs="*", metavar="QUERY", help="as typed at / in the console")
    search.add_argument("--json", action="store_true", help="one array of objects, for programs")
    search.add_argument("-n", dest="limit", type=_positive, default=50, metavar="N", help="at most N (50)")
    show = add("show", _show, "print one message")
    show.add_argument("id", metavar="ID", help="an id of `agent search`, or a Message-ID")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--raw", action="store_true", help="the bytes, as the server has them")
    form.add_argument("--json", action="store_true", help="one object, for programs")
    _add_send(add("send", _send, "send a message; the text is read from standard input"))
    _add_transfer(
        add("import", _import, "bring mbox files, Maildirs and .eml files into a folder"),
        add("export", _export, "write the messages a query means into files"),
    )
    init = add("init", _init, "write a commented config.yaml and init.py")
    init.add_argument("--force", action="store_true", help="overwrite what is there")
    doctor = add("doctor", _doctor, "say what is wrong with the configuration, secrets, login and init.py")
    doctor.add_argument("--offline", action="store_true", help="do not log in anywhere")
    doctor.add_argument("--reindex", action="store_true", help="make the index of words anew, nothing else")
    backup = add("backup", _backup, "copy the store, with all that no server has, into a new file")
    backup.add_argument("file", type=Path, metavar="FILE", help="a file that is not there yet")
    _add_account(add("account", _account_list, "list the accounts and what waits in them"))
    return top


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _add_send(send: argparse.ArgumentParser) -> None:
    send.add_argument("--to", required=True, metavar="ADDRESSES", help="with commas between")
    send.add_argument("--subject", default="", help="the subject")
    send.add_argument("--cc", default="", metavar="ADDRESSES", help="copies go to")
    send.add_argument("--bcc", default="", metavar="ADDRESSES", help="hidden copies go to")
    send.add_argument("--from", dest="sender", default="", metavar="ADDRESS", help="one of our own addresses")
    send.add_argument("--account", default="", metavar="NAME", help="the account that sends it")
    send.add_argument(
        "--attach", action="append", default=[], type=Path, metavar="FILE", help="attach a file"
    )


def _add_account(account: argparse.ArgumentParser) -> None:
    actions = account.add_subparsers(metavar="ACTION", title="actions")
    actions.add_parser("list", help="list the accounts and what waits in them").set_defaults(
        run=_account_list
    )
    login = actions.add_parser("login", help="ask for the password of an account and keep it in the keyring")
    login.add_argument("name", help="the account")
    login.set_defaults(run=_account_login)
    rename = actions.add_parser("rename", help="let the mail of an account go on under another name")
    rename.add_argument("old", metavar="OLD", help="the name it had in config.yaml")
    rename.add_argument("new", metavar="NEW", help="the name it has there now")
    rename.set_defaults(run=_account_rename)


def _add_transfer(bring: argparse.ArgumentParser, take: argparse.ArgumentParser) -> None:
    bring.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a file or a folder with mail")
    bring.add_argument("--account", default="", metavar="NAME", help="the account, when there are several")
    bring.add_argument("--folder", default="INBOX", metavar="NAME", help="where it goes (INBOX)")
    take.add_argument(
        "query", nargs="*", metavar="QUERY", help="as typed at / in the console; all mail without"
    )
    take.add_argument("--to", required=True, type=Path, metavar="PATH", help="a new file, or a folder")
    take.add_argument("--format", default="mbox", metavar="FORMAT", help="mbox (the default), maildir or eml")


# -- building an agent -----------------------------------------------------------------------


@contextmanager
def _agent(
    args: argparse.Namespace, *, automation: bool = False, may_own: bool = True, fill: bool = False,
    wait: bool = True,
) -> Iterator[Agent]:  # fmt: skip
    """Build and start an agent on the user's data, or on the demo account; stop it in the end.

    With `wait` the demo's sample mail is there when it begins.
    """
    from agent.app import Agent
    from agent.config.paths import Paths
    from agent.logs import log_to

    if args.demo:
        from agent.demo.account import demo

        with demo() as (config, paths):
            agent = Agent(config, paths, may_own=may_own, automation=automation)
            paths.ensure()
            with log_to(paths.log_file), _started(agent):
                if agent.owner:
                    agent.serve(lazy=not automation, fill=fill or automation)
                    if wait:
                        _first_sync(agent)
                yield agent
        return
    paths = Paths.from_environment()
    config = _config(paths.config_file)
    agent = Agent(config, paths, ask=_ask, may_own=may_own, automation=automation)
    paths.ensure()
    with log_to(paths.log_file), _started(agent):
        # What the start had to tell: a store that was rebuilt, mail of accounts that are not configured.
        for text in agent.context.messages:
            sys.stderr.write(f"agent: {text}\n")
        yield agent


@contextmanager
def _started(agent: Agent) -> Iterator[None]:
    from agent import api

    try:
        agent.start()
        api.activate(agent.context)
        yield
    finally:
        agent.stop()
        api.activate(None)


def _config(path: Path) -> Config:
    from agent.config.load import load

    if not path.exists():
        raise ConfigError(f"there is no {path}; write one with `agent init`, or try `agent demo`")
    config = load(path)
    for warning in config.warnings:
        sys.stderr.write(f"agent: warning: {warning}\n")
    return config


def _ask(prompt: str) -> str:
    """Ask the person at the terminal for a secret; return nothing where there is no terminal."""
    import getpass

    return getpass.getpass(f"{prompt}: ") if sys.stdin.isatty() else ""


def _load_init(agent: Agent, args: argparse.Namespace) -> bool:
    """Load init.py; tell its problems on standard error and return whether there were none."""
    from agent import builtin, userconf
    from agent.mail.safe import safe_block

    builtin.install(agent.context)
    if args.demo:
        return True
    problems = userconf.load(agent.context, agent.paths.init_file)
    for problem in problems:
        sys.stderr.write(f"agent: {safe_block(problem)}\n")
        agent.context.tell(problem.splitlines()[0])
    return not problems


def _first_sync(agent: Agent) -> None:
    """Wait for the headers of every INBOX that was never synced; raises when a server is out of reach."""
    for account in _never_synced(agent):
        account.sync().wait()


def _never_synced(agent: Agent) -> list[Account]:
    """Return the accounts on servers whose INBOX was never listed."""
    return [
        account
        for account in agent.context.accounts.values()
        if not account.config.local and ("INBOX" not in account or account["INBOX"].synced is None)
    ]


def _serve_if_new(agent: Agent) -> None:
    """Connect when an account has never been synced; else everything is answered from the store."""
    if _never_synced(agent):
        agent.serve(lazy=True)
        _first_sync(agent)


# -- commands --------------------------------------------------------------------------------


def _console(args: argparse.Namespace) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        if args.demo:
            return _tour(args)
        raise AgentError("the console needs a terminal; try `agent run`, `agent search` or `agent rules`")
    from agent.console.app import Console

    with _agent(args, automation=True) as agent:
        console = Console(agent)
        agent.ask = console.ask
        _load_init(agent, args)
        return console.run(agent.serve)


def _demo(args: argparse.Namespace) -> int:
    args.demo = True
    return _console(args)


def _tour(args: argparse.Namespace) -> int:
    from importlib import resources

    from agent.headless import run_code

    tour = (resources.files("agent.demo") / "tour.txt").read_text(encoding="utf-8")
    with _agent(args) as agent:
        return run_code(agent, tour, "tour.py")


def _run(args: argparse.Namespace) -> int:
    from agent.headless import read_text, run_code, run_file

    if args.code is None and args.file is None:
        raise UsageError("run: give a FILE, - for standard input, or -c CODE")
    with _agent(args) as agent:
        if not args.demo:
            _serve_if_new(agent)
            agent.serve(lazy=True)
        if args.code is not None:
            return run_code(agent, args.code, "<code>", [*([args.file] if args.file else []), *args.args])
        if args.file == "-":
            return run_code(agent, read_text(sys.stdin), "<stdin>", args.args)
        return run_file(agent, Path(args.file), args.args)


def _rules(args: argparse.Namespace) -> int:
    from agent.headless import run_rules

    with _agent(args, automation=True, wait=False) as agent:
        loaded = _load_init(agent, args)
        agent.serve(lazy=args.once)
        status = run_rules(agent, once=args.once, out=sys.stdout)
        return status if loaded else FAILURE


def _sync(args: argparse.Namespace) -> int:
    from agent.headless import run_sync

    with _agent(args, fill=True) as agent:
        agent.serve(lazy=True, fill=True)
        return run_sync(agent, args.account, sys.stdout)


def _search(args: argparse.Namespace) -> int:
    from agent import output
    from agent.core.messages import Everything

    with _agent(args) as agent:
        if not args.demo:
            _serve_if_new(agent)
        found = Everything(agent.context).search(" ".join(args.query))
        output.write_list(found.page(0, args.limit), sys.stdout, as_json=args.json)
        return 0


def _show(args: argparse.Namespace) -> int:
    from agent import output
    from agent.core.messages import Messages
    from agent.errors import NotFound
    from agent.mail import query

    with _agent(args) as agent:
        agent.serve(lazy=True)
        message = Messages(agent.context, query.Id(args.id)).first()
        if message is None:
            raise NotFound(f"there is no message {args.id!r}; ids are listed by `agent search --json`")
        if not message.fetched:
            message.fetch().wait()
        output.write_message(message, sys.stdout, raw=args.raw, as_json=args.json)
        return 0


def _send(args: argparse.Namespace) -> int:
    from agent.headless import read_text, send

    with _agent(args) as agent:
        return send(agent, args, read_text(sys.stdin), sys.stdout)


def _import(args: argparse.Namespace) -> int:
    from agent.transfer import run_import

    with _agent(args) as agent:
        if not args.demo:
            _serve_if_new(agent)
            agent.serve(lazy=True)
        return run_import(agent, args, sys.stdout)


def _export(args: argparse.Namespace) -> int:
    from agent.transfer import run_export

    with _agent(args) as agent:
        if not args.demo:
            _serve_if_new(agent)
            agent.serve(lazy=True)
        return run_export(agent, args, sys.stdout)


def _init(args: argparse.Namespace) -> int:
    import tempfile

    from agent.config.paths import Paths
    from agent.starter import write_starters

    with contextlib.ExitStack() as stack:
        paths = Paths.from_environment()
        if args.demo:
            paths = Paths.under(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agent-demo."))))
        for line in write_starters(paths, force=args.force):
            sys.stdout.write(line + "\n")
    return 0


def _backup(args: argparse.Namespace) -> int:
    from agent.clock import SystemClock
    from agent.config.paths import Paths
    from agent.upkeep import run_backup

    if not args.demo:
        # Without the configuration: a backup is wanted most when something else is wrong.
        return run_backup(Paths.from_environment().database, args.file, SystemClock(), sys.stdout)
    with _agent(args) as agent:
        return run_backup(agent.paths.database, args.file, agent.clock, sys.stdout)


def _account_list(args: argparse.Namespace) -> int:
    from agent.upkeep import list_accounts

    with _agent(args, may_own=args.demo) as agent:
        return list_accounts(agent, sys.stdout)


def _account_login(args: argparse.Namespace) -> int:
    from agent.config.paths import Paths
    from agent.upkeep import keep_passwords

    config = _config(Paths.from_environment().config_file)
    return keep_passwords(config, args.name, _ask, sys.stdout)


def _account_rename(args: argparse.Namespace) -> int:
    from agent.upkeep import rename_account

    with _agent(args, may_own=False) as agent:
        return rename_account(agent, args.old, args.new, sys.stdout)


def _doctor(args: argparse.Namespace) -> int:
    from agent.config.paths import Paths
    from agent.doctor import examine
    from agent.upkeep import run_reindex

    if args.reindex:
        with _agent(args) as agent:
            return run_reindex(agent, sys.stdout)
    with contextlib.ExitStack() as stack:
        paths, config = Paths.from_environment(), None
        if args.demo:
            from agent.demo.account import demo

            config, paths = stack.enter_context(demo())
        return examine(paths, sys.stdout, _ask, online=not args.offline, config=config)


if __name__ == "__main__":
    raise SystemExit(main())
