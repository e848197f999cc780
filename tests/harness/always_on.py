"""A pytest plugin: what holds for every test, whatever it is about.

No home folder, configuration or keyring of the person who runs the tests; no connection off
loopback; no thread left behind; no unexpected warning in the log.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import itertools
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# How long threads may take to end after the test's fixtures are gone.
GRACE_S = 2.0
FOREIGN = ("AGENT_", "XDG_", "LC_", "SSL_CERT_", "DBUS_", "PYTHON_KEYRING")
FOREIGN_NAMES = ("EDITOR", "VISUAL", "PAGER", "BROWSER", "MAIL", "MAILCAPS", "NO_COLOR", "COLUMNS", "LINES")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "logs(pattern): a warning that matches the regular expression is expected"
    )


@pytest.fixture(scope="session")
def home_numbers() -> Iterator[int]:
    """Numbers for the homes of this process's tests."""
    return itertools.count()


@pytest.fixture(autouse=True)
def always_on(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    home_numbers: Iterator[int],
) -> Iterator[None]:
    """Hold the rules of this module for one test; it is set up first and torn down last."""
    patterns = [str(mark.args[0]) for mark in request.node.iter_markers("logs")]
    clean_environment(monkeypatch, _make_home(tmp_path_factory.getbasetemp(), next(home_numbers)))
    with contextlib.ExitStack() as rules:
        rules.enter_context(no_unexpected_warning(patterns))
        rules.enter_context(no_leaked_thread())
        rules.enter_context(no_connection_off_loopback(monkeypatch))
        yield


def clean_environment(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Give the test a home of its own and none of the caller's settings."""
    for name in list(os.environ):
        if name.startswith(FOREIGN) or name in FOREIGN_NAMES or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    # A desktop's real keyring must never be asked by a test.
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")


@contextlib.contextmanager
def no_unexpected_warning(patterns: list[str]) -> Iterator[None]:
    """Fail when `agent.*` logs a warning or worse that no pattern declares."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append  # type: ignore[assignment]
    logger = logging.getLogger("agent")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    show = logging.Formatter("%(levelname)s %(name)s: %(message)s").format
    unexpected = [
        show(record)
        for record in records
        if not any(re.search(each, record.getMessage()) for each in patterns)
    ]
    if unexpected:
        pytest.fail("unexpected in the log:\n" + "\n".join(unexpected), pytrace=False)


@contextlib.contextmanager
def no_leaked_thread() -> Iterator[None]:
    """Fail when a thread that began in the test is still there at its end."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + GRACE_S
    for thread in set(threading.enumerate()) - before:
        thread.join(max(0, deadline - time.monotonic()))
    if leaked := sorted(thread.name for thread in set(threading.enumerate()) - before):
        pytest.fail(f"threads left behind: {', '.join(leaked)}", pytrace=False)


@contextlib.contextmanager
def no_connection_off_loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let connections and look-ups leave this machine for nowhere, and fail when one was tried.

    Code under test sees an ordinary network error, so that it cannot swallow the failure. Names
    below `.invalid` may be asked for: they never exist.
    """
    attempts: list[str] = []
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if not _is_local(self, address):
            attempts.append(f"connect to {address!r}")
            raise OSError(errno.ENETUNREACH, f"tests stay on loopback: {address!r}")
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        if not _is_local(self, address):
            attempts.append(f"connect to {address!r}")
            return errno.ENETUNREACH
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if not _is_loopback_name(name) and not _is_number(name):
            if not str(name).rstrip(".").endswith(".invalid"):
                attempts.append(f"look-up of {name!r}")
            raise socket.gaierror(socket.EAI_NONAME, f"tests stay on loopback: {name!r}")
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
    yield
    if attempts:
        pytest.fail("tests stay on loopback: " + "; ".join(attempts), pytrace=False)


def _is_local(connection: socket.socket, address: Any) -> bool:
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return True
    return _is_loopback_name(address[0])


def _is_loopback_name(name: str | None) -> bool:
    if name is None or name in ("", "localhost"):
        return True
    return _is_number(name) and ipaddress.ip_address(name).is_loopback


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _make_home(base: Path, number: int) -> Path:
    # A short name: a unix socket below it may have 107 bytes. Not in tmp_path, which tests list.
    home = base / f"h{number}"
    (home / "run").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    return home
