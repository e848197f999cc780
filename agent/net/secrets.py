"""Passwords and tokens: from a command, else the system's keyring, else asked. Never written anywhere.

Runs on the thread that connects; a command may take a minute (a dialog), the keyring five seconds.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from agent.errors import AuthError
from agent.net.said import said
from agent.threads import spawn

KEYRING_S = 5.0
COMMAND_S = 60.0
SERVICE = "mail-agent"

Command = str | Sequence[str]


@runtime_checkable
class Forgetting(Protocol):
    """A secret that can be told that the server refused it."""

    def forget(self) -> None:
        """Do not give the same answer from memory again."""


class Closing(Protocol):
    """A connection."""

    def close(self) -> None:
        """Close it; never raises."""


@contextlib.contextmanager
def logging_in(connection: Closing, secret: Callable[[], str]) -> Iterator[None]:
    """Close a connection that cannot be made, and have a secret that was refused forgotten."""
    try:
        yield
    except BaseException as error:
        connection.close()
        if isinstance(error, AuthError) and isinstance(secret, Forgetting):
            secret.forget()
        raise


class Secret:
    """The secret of one login; call it to get it. Its repr shows nothing.

    The order: `command` (a list without a shell, a string by the shell; the first line it prints),
    the keyring under `account` and `user`, `ask`. What was asked stays in memory until `forget`.
    """

    def __init__(
        self,
        account: str,
        user: str,
        *,
        command: Command | None = None,
        token_command: Command | None = None,
        given: Callable[[], str] | None = None,
        ask: Callable[[str], str | None] | None = None,
        use_keyring: bool = True,
    ) -> None:
        self._account = account
        self._user = user
        self._command = token_command or command
        self._key = "oauth_command" if token_command else "password_command"
        self._given = given
        self._ask = ask
        self._use_keyring = use_keyring
        self._kept: str | None = None

    def __repr__(self) -> str:
        return f"<secret of {self._user!r} for account {self._account!r}>"

    def __call__(self) -> str:
        """Return the secret; raises AuthError, saying what to do, when there is none."""
        if self._command:
            return run_command(self._command, f"{self._key} of account {self._account!r}")
        if self._given is not None:
            return self._given()
        if self._kept is not None:
            return self._kept
        reason = "the keyring is not used"
        if self._use_keyring:
            found, reason = from_keyring(self._account, self._user)
            if found is not None:
                return found
        answer = self._ask(f"Password of {self._user} (account {self._account})") if self._ask else None
        if not answer:
            raise AuthError(
                f"account {self._account!r}: no password for {self._user!r} ({reason}); "
                f"set password_command, or run: agent account login {self._account}"
            )
        self._kept = answer
        return answer

    def forget(self) -> None:
        """Forget what was asked, because the server refused it."""
        self._kept = None


def run_command(command: Command, what: str, limit_s: float = COMMAND_S) -> str:
    """Return the first line a command prints; raises AuthError with its words when it fails."""
    try:
        process = subprocess.Popen(
            command if isinstance(command, str) else list(command),
            shell=isinstance(command, str),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that all of it can be stopped
        )
    except (OSError, ValueError) as error:
        raise AuthError(f"{what}: cannot be started: {error}") from error
    with process:
        try:
            printed, told = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            # The exception holds what was printed so far: not for the log.
            raise AuthError(f"{what}: no end within {limit_s:.0f} s; stopped") from None
    if process.returncode:
        raise AuthError(f"{what}: failed with status {process.returncode}: {said(told) or 'no reason given'}")
    line = printed.partition(b"\n")[0].rstrip(b"\r")
    if not line:
        raise AuthError(f"{what}: printed nothing")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise AuthError(f"{what}: printed something that is not UTF-8") from None


def from_keyring(account: str, user: str, limit_s: float = KEYRING_S) -> tuple[str | None, str]:
    """Return (secret, "") or (None, why not); waits for the keyring at most `limit_s`."""

    def get() -> str | None:
        found: str | None = _keyring().get_password(f"{SERVICE}:{account}", user)
        return found

    value, reason = _limited(get, limit_s)
    return (value, "") if value else (None, reason or "the keyring has none")


def to_keyring(account: str, user: str, secret: str, limit_s: float = 60.0) -> None:
    """Keep a secret in the system's keyring; raises AuthError where there is no trustworthy one."""
    _, reason = _limited(lambda: _keyring().set_password(f"{SERVICE}:{account}", user, secret), limit_s)
    if reason:
        raise AuthError(f"account {account!r}: the password was not stored: {reason}; set password_command")


def remove_from_keyring(account: str, user: str, limit_s: float = 60.0) -> bool:
    """Remove a secret from the keyring; tell whether one was there and is gone."""
    _, reason = _limited(lambda: _keyring().delete_password(f"{SERVICE}:{account}", user), limit_s)
    return not reason


def keyring_problem(limit_s: float = KEYRING_S) -> str:
    """Return why the keyring cannot be used, or nothing."""
    return _limited(_keyring, limit_s)[1]


class _Unusable(Exception):
    """There is no keyring that keeps secrets secret."""


def _keyring() -> Any:
    """Return a backend that encrypts; plain-text and improvised ones are refused.

    Imported here, as it costs 70 ms and is needed rarely.
    """
    import keyring

    backend = keyring.get_keyring()
    for candidate in getattr(backend, "backends", None) or [backend]:
        kind = type(candidate)
        name = f"{kind.__module__}.{kind.__name__}"
        if candidate.priority >= 1 and "plaintext" not in name.lower() and ".fail." not in f".{name}.":
            return candidate
    kind = type(backend)
    if kind.__module__ in ("keyring.backends.fail", "keyring.backends.null"):
        raise _Unusable("there is no keyring on this machine")
    raise _Unusable(f"the keyring {kind.__module__}.{kind.__name__} does not keep secrets safe")


def _limited(work: Callable[[], Any], limit_s: float) -> tuple[Any, str]:
    """Run `work` on a thread of its own: a locked keyring may wait for a dialog that nobody sees."""
    result: queue.SimpleQueue[tuple[Any, str]] = queue.SimpleQueue()

    def run() -> None:
        try:
            result.put((work(), ""))
        except _Unusable as error:
            result.put((None, str(error)))
        except Exception as error:  # a boundary: backends raise what they like
            result.put((None, f"the keyring failed: {type(error).__name__}"))

    spawn("keyring", run)
    try:
        return result.get(timeout=limit_s)
    except queue.Empty:
        return None, f"the keyring did not answer within {limit_s:.0f} s"
