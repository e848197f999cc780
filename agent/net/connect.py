"""From an account of config.yaml to a backend for its mail and a transport for what it sends.

The libraries of the wire are loaded when somebody connects: a script that only reads the store starts
in half the time without them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.config.schema import AccountConfig, ServerConfig
from agent.errors import ConfigError
from agent.net.base import Backend, Server, Transport
from agent.net.secrets import Secret

if TYPE_CHECKING:
    from agent.net.tls import Handshakes

Ask = Callable[[str], str | None]


class Shared:
    """What all connections of a program have in common, made with the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handshakes: Handshakes | None = None

    @property
    def handshakes(self) -> Handshakes:
        """The contexts, and the turns at the handshake."""
        from agent.net.tls import Handshakes

        with self._lock:
            self._handshakes = self._handshakes or Handshakes()
            return self._handshakes


def backend(
    account: AccountConfig, name: str, ask: Ask | None, shared: Shared | None = None
) -> Callable[[], Backend] | None:
    """Return a function that makes the backend of an account; None when its mail is not on a server.

    Raises ConfigError for a kind of account that cannot be served yet.
    """
    if account.pop3 is not None or account.maildir is not None:
        kind = "pop3" if account.pop3 is not None else "maildir"
        raise ConfigError(f"accounts.{name}.{kind}: this version reads mail by imap only; use imap")
    if account.imap is None:
        return None
    server, secret = _server(account.imap, name), _secret(account.imap, name, ask)
    shared = shared or Shared()

    def make() -> Backend:
        from agent.net.imap import ImapBackend

        return ImapBackend(server, secret, handshakes=shared.handshakes)

    return make


def transport(
    account: AccountConfig, name: str, ask: Ask | None, shared: Shared | None = None
) -> Callable[[], Transport] | None:
    """Return a function that makes the transport of an account; None when it cannot send."""
    if account.sendmail is not None:
        command = account.sendmail
        return lambda: _sendmail(command)
    if account.smtp is None:
        return None
    server, secret = _server(account.smtp, name), _secret(account.smtp, name, ask)
    shared = shared or Shared()

    def make() -> Transport:
        from agent.net.smtp import SmtpTransport

        return SmtpTransport(server, secret, handshakes=shared.handshakes)

    return make


def _sendmail(command: str | list[str]) -> Transport:
    from agent.net.sendmail import SendmailTransport

    return SendmailTransport(command)


def _server(config: ServerConfig, name: str) -> Server:
    auth = config.auth
    if not isinstance(auth, str):
        raise ConfigError(
            f"accounts.{name}.auth: this version cannot sign in by itself; set oauth_command to a program "
            "that prints a token"
        )
    how = {"oauth_command": "oauth2"}.get(auth, auth)
    ca = str(config.ca_path) if config.ca_path else ""
    return Server(config.host, config.port, config.security, config.user, ca, config.insecure, how)


def _secret(config: ServerConfig, name: str, ask: Ask | None) -> Secret:
    given = config.password.reveal if config.password else None
    token = config.oauth_command if config.auth == "oauth_command" else None
    return Secret(
        name, config.user, command=config.password_command, token_command=token, given=given, ask=ask
    )
