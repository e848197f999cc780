"""A hundred accounts on one server: what they cost while nothing happens, and how quick new mail is.

A server of its own with a small mailbox for each, TLS as at a provider. Some accounts may be
led to a host that takes connections and never answers.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from scripts.benchmarks import generated
from scripts.benchmarks.measure import Measured, Screen
from scripts.benchmarks.ours import AGENT
from scripts.benchmarks.rows import Bench, Row
from tests.harness.agents import mail
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot, Options, running

COUNT = 100
SILENT = 10  # of them, where some hosts do not answer
MESSAGES = 21  # the newest is unread, which shows on the screen
IDLE_S = 60.0
ROUNDS = 20  # new messages that are waited for
SETTLE_S = 10.0  # from the last login on, until the first sync is over

# A login process serves one TLS connection unless told otherwise.
MANY = "service imap-login {\n  service_count = 0\n}\nservice imap {\n  process_limit = 500\n}\n"
HOOK = """\
from pathlib import Path
from agent.api import *

@on.message_new()
def ring(event):
    with Path(__file__).with_name("seen").open("a") as seen:
        seen.write(event.message.subject + "\\n")
"""


@contextlib.contextmanager
def serving() -> Iterator[Dovecot]:
    """Serve the mailboxes for the time of a with block."""
    with running(Options(quota="0", more=MANY)) as server:
        for number in range(COUNT):
            generated.append(server, f"user{number}", MESSAGES, seed=number)
        yield server


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used and holds."""

    cpu_s: float
    rss_mb: float
    threads: int
    files: int

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Look at a running process."""
        status = Path(f"/proc/{pid}/status").read_text()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        found = {name: int(number) for name, number in re.findall(r"(VmRSS|Threads):\s+(\d+)", status)}
        ticks = int(fields[11]) + int(fields[12])
        files = len(os.listdir(f"/proc/{pid}/fd"))
        return cls(ticks / os.sysconf("SC_CLK_TCK"), found["VmRSS"] / 1024, found["Threads"], files)


class Setup:
    """The folder of an agent with all the accounts; `silent` of them lead to a host that never answers."""

    def __init__(self, server: Dovecot, folder: Path, silent: int, silent_port: int) -> None:
        self.server = server
        self.silent = silent
        self._config = folder / "config"
        self.env = {"AGENT_CONFIG": str(self._config), "AGENT_DATA": str(folder / "data")}
        self.env |= {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
        self._config.mkdir(parents=True, mode=0o700)
        accounts = {f"a{number}": self._account(number, silent_port) for number in range(COUNT)}
        for name, text in (("config.yaml", yaml.safe_dump({"accounts": accounts})), ("init.py", HOOK)):
            (self._config / name).write_text(text)
            (self._config / name).chmod(0o600)

    def _account(self, number: int, silent_port: int) -> dict[str, object]:
        port = silent_port if number < self.silent else self.server.ports["imaps"]
        imap = {
            "host": self.server.host, "port": port, "user": f"user{number}", "ca": str(self.server.ca_file),
            "password_command": f"echo {self.server.password}",
        }  # fmt: skip
        smtp = {"host": "127.0.0.1", "port": 9, "security": "none", "auth": "none"}
        return {"address": f"user{number}@example.org", "imap": imap, "smtp": smtp}

    def wait_connected(self) -> None:
        """Wait until every account whose host answers has logged in."""
        eventually(lambda: self._connected() >= COUNT - self.silent, 120, 0.2)

    def _connected(self) -> int:
        told = self.server.doveadm("who", "-1", "user*")
        return len({line.split()[0] for line in told.splitlines()[1:]})

    @contextlib.contextmanager
    def rules(self) -> Iterator[int]:
        """Run `agent rules` and yield its pid."""
        process = subprocess.Popen(
            [AGENT, "rules"], env=os.environ | self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(30)

    def latency_s(self, number: int) -> float:
        """Deliver a message to an account and return how long it took until a hook saw it."""
        seen, subject = self._config / "seen", f"news {time.time_ns()}"
        began = time.perf_counter()
        self.server.deliver(f"user{number}", mail(subject, Subject=subject))
        eventually(lambda: seen.exists() and subject in seen.read_text(), 60, 0.005)
        return time.perf_counter() - began


@contextlib.contextmanager
def setup(bench: Bench, name: str, silent: int = 0) -> Iterator[Setup]:
    """Configure an agent with all accounts."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as mute:
        yield Setup(bench.server, bench.scratch / name, silent, mute.getsockname()[1])


def idle(bench: Bench) -> Measured:
    """Time `agent rules` until all accounts are connected, then see what a quiet minute costs."""
    return _rules(bench, "idle")


def some_silent(bench: Bench) -> Measured:
    """The same with some hosts that take connections and say nothing."""
    return _rules(bench, "silent", SILENT)


def _rules(bench: Bench, name: str, silent: int = 0) -> Measured:
    with setup(bench, name, silent) as made:
        began = time.perf_counter()
        with made.rules() as pid:
            made.wait_connected()
            seconds = time.perf_counter() - began
            time.sleep(SETTLE_S)
            before = Usage.of(pid)
            time.sleep(IDLE_S)
            after = Usage.of(pid)
            slowest = max(made.latency_s(silent + number) for number in range(ROUNDS))
    share = (after.cpu_s - before.cpu_s) / IDLE_S
    detail = f"{share:.1%} CPU, {after.threads} threads, {after.files} files, new mail <= {slowest:.1f} s"
    return Measured(seconds, after.rss_mb, detail)


def console(bench: Bench) -> Measured:
    """Start the console on all accounts, all in the store, until the newest message shows."""
    with setup(bench, "console") as made:
        with made.rules():
            made.wait_connected()
            time.sleep(SETTLE_S)
        began = time.perf_counter()
        with Screen([AGENT], made.env) as screen:
            screen.until("●")
            seconds = time.perf_counter() - began
            made.wait_connected()
            connected = time.perf_counter() - began
            screen.until_quiet(2)
            rss_mb = Usage.of(screen.pid).rss_mb
            screen.leave(b"ZZ")
    return Measured(seconds, rss_mb, f"all connected after {connected:.1f} s")


ROWS = (
    Row("accounts", "ours", "agent rules, connected", idle),
    Row("accounts", "ours", f"the same, {SILENT} hosts silent", some_silent),
    Row("accounts", "ours", "agent, first screen", console),
)
