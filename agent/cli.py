"""The command `agent`: reads the command line, builds an Agent, hands it to a front end.

Only what a command needs is imported, so that `agent --version` and scripts start at once and no
headless command ever loads the screen.
"""

from __future__ import annotations

import argparse
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

USAGE, FAILURE = 2, 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 2 for usage, 1 for failure."""
    args = parser().parse_args(argv)
    try:
        return int(args.run(args))
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"agent: {problem}\n")
        return USAGE
    except AgentError as error:
        sys.stderr.write(f"agent: {error}\n")
        return FAILURE
    except KeyboardInterrupt:
        sys.stderr.write("agent: interrupted\n")
        return 130
    except BrokenPipeError:
        return FAILURE


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
    search.add_argument("-n", dest="limit", type=int, default=50, metavar="N", help="at most N (50)")
    show = add("show", _show, "print one message")
    show.add_argument("id", metavar="ID", help="an id of `agent search`, or a Message-ID")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--raw", action="store_true", help="the bytes, as the server has them")
    form.add_argument("--json", action="store_true", help="one object, for programs")
    _add_send(add("send", _send, "send a message; the text is read from standard input"))
    init = add("init", _init, "write a commented config.yaml and init.py")
    init.add_argument("--force", action="store_true", help="overwrite what is there")
    doctor = add("doctor", _doctor, "say what is wrong with the configuration, secrets, login and init.py")
    doctor.add_argument("--offline", action="store_true", help="do not log in anywhere")
    return top


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


# -- building an agent -----------------------------------------------------------------------


@contextmanager
def _agent(args: argparse.Namespace, *, automation: bool = False, may_own: bool = True) -> Iterator[Agent]:
    """Build and start an agent on the user's data, or on the demo account; stop it in the end."""
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
                    agent.serve(lazy=not automation)
                    _first_sync(agent)
                yield agent
        return
    paths = Paths.from_environment()
    config = _config(paths.config_file)
    agent = Agent(config, paths, ask=_ask, may_own=may_own, automation=automation)
    paths.ensure()
    with log_to(paths.log_file), _started(agent):
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
    """Ask the person at the terminal for a secret."""
    import getpass

    if not sys.stdin.isatty():
        raise AgentError(f"{prompt} cannot be asked for without a terminal; set password_command")
    return getpass.getpass(prompt)


def _load_init(agent: Agent, args: argparse.Namespace) -> bool:
    """Load init.py; tell its problems on standard error and return whether there were none."""
    from agent import builtin, userconf

    builtin.install(agent.context)
    if args.demo:
        return True
    problems = userconf.load(agent.context, agent.paths.init_file)
    for problem in problems:
        sys.stderr.write(f"agent: {problem}\n")
        agent.context.tell(problem.splitlines()[0])
    return not problems


def _first_sync(agent: Agent) -> None:
    """Wait for the headers of every INBOX that was never synced; raises when a server is out of reach."""
    for account in agent.context.accounts.values():
        inbox = account["INBOX"] if "INBOX" in account else None
        if inbox is None or inbox.synced is None:
            account.sync().wait()


def _serve_if_new(agent: Agent) -> None:
    """Connect when an account has never been synced; else everything is answered from the store."""
    new = any(
        "INBOX" not in account or account["INBOX"].synced is None
        for account in agent.context.accounts.values()
    )
    if new:
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
        _load_init(agent, args)
        agent.serve()
        return console.run()


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
    from agent.headless import run_code, run_file

    if (args.code is None) == (args.file is None):
        raise ConfigError("run: give a FILE or -c CODE")
    with _agent(args) as agent:
        if not args.demo:
            _serve_if_new(agent)
            agent.serve(lazy=True)
        if args.code is not None:
            return run_code(agent, args.code, "<code>", args.args)
        if args.file == "-":
            return run_code(agent, sys.stdin.read(), "<stdin>", args.args)
        return run_file(agent, Path(args.file), args.args)


def _rules(args: argparse.Namespace) -> int:
    from agent.headless import run_rules

    with _agent(args, automation=True) as agent:
        loaded = _load_init(agent, args)
        agent.serve(lazy=args.once)
        status = run_rules(agent, once=args.once, out=sys.stdout)
        return status if loaded else FAILURE


def _sync(args: argparse.Namespace) -> int:
    from agent.headless import run_sync

    with _agent(args) as agent:
        agent.serve(lazy=True, fill=True)
        return run_sync(agent, args.account, sys.stdout)


def _search(args: argparse.Namespace) -> int:
    from agent import output
    from agent.core.messages import Messages
    from agent.mail import query

    with _agent(args) as agent:
        if not args.demo:
            _serve_if_new(agent)
        found = Messages(agent.context, query.All()).search(" ".join(args.query))
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
    from agent.headless import send

    with _agent(args) as agent:
        return send(agent, args, sys.stdin.read(), sys.stdout)


def _init(args: argparse.Namespace) -> int:
    from agent.config.paths import Paths
    from agent.starter import write_starters

    for line in write_starters(Paths.from_environment(), force=args.force):
        sys.stdout.write(line + "\n")
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from agent.config.paths import Paths
    from agent.doctor import examine

    return examine(Paths.from_environment(), sys.stdout, _ask, online=not args.offline)


if __name__ == "__main__":
    raise SystemExit(main())
