"""Logging in to an IMAP server: PLAIN or LOGIN with a password, XOAUTH2 or OAUTHBEARER with a token."""

from __future__ import annotations

import imaplib
import json
from collections.abc import Callable

from agent.errors import AuthError, NetworkError
from agent.net.base import Server
from agent.net.said import code_of, quoted, said
from agent.net.wire import Client, guard, quote

_PASSING = ("UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG")


def log_in(client: Client, server: Server, secret: Callable[[], str]) -> None:
    """Log in; raises AuthError when the server refuses, NetworkError when it may take us later."""
    if client.wire.state == "AUTH":
        if server.auth == "none":
            return
        client.shutdown()
        raise AuthError(
            f"{server}: the server takes us for logged in before we were asked (PREAUTH): refused"
        )
    if server.auth == "none":
        raise AuthError(f"{server}: the server wants a login; set auth to password or oauth2")
    offered = client.normalised_capabilities()
    if server.auth == "oauth2":
        _with_token(client, server, secret(), offered)
    elif "AUTH=PLAIN" in offered:
        _with_plain(client, server, secret())
    elif "LOGINDISABLED" in offered:
        raise AuthError(f"{server}: the server takes no password over this connection; use security: tls")
    else:
        _with_login(client, server, secret())


def _with_plain(client: Client, server: Server, password: str) -> None:
    guard(server.user)
    guard(password)
    response = f"\0{server.user}\0{password}".encode()
    try:
        client.sasl_login("PLAIN", lambda _: response)
    except imaplib.IMAP4.error as error:
        raise _refused(server, str(error)) from None


def _with_login(client: Client, server: Server, password: str) -> None:
    guard(server.user)
    guard(password)
    answer = client.wire.run("LOGIN", quote(server.user), quote(password))
    if answer.status != "OK":
        raise _refused(server, answer.text)
    client.wire.state = "AUTH"


def _with_token(client: Client, server: Server, token: str, offered: frozenset[str]) -> None:
    guard(server.user)
    guard(token)
    told: list[bytes] = []
    if "AUTH=XOAUTH2" in offered or "AUTH=OAUTHBEARER" not in offered:
        mechanism, form = "XOAUTH2", "user={user}\1auth=Bearer {token}\1\1"
    else:
        mechanism, form = "OAUTHBEARER", "n,a={user},\1auth=Bearer {token}\1\1"
    response = form.format(user=server.user, token=token).encode()

    def answer(challenge: bytes) -> bytes:
        if not challenge:
            return response
        told.append(challenge)  # the reason of the refusal; the exchange goes on with nothing
        return b"" if mechanism == "XOAUTH2" else b"\1"

    try:
        client.sasl_login(mechanism, answer)
    except imaplib.IMAP4.error as error:
        raise _refused(server, " ".join([str(error), *map(oauth_reason, told)])) from None


def oauth_reason(challenge: bytes) -> str:
    """Return the status and scope an OAuth2 challenge names (RFC 7628 section 3.2.2)."""
    try:
        told = json.loads(challenge)
    except ValueError:
        return said(challenge)
    return "; ".join(f"{k}: {v}" for k, v in told.items()) if isinstance(told, dict) else said(challenge)


def _refused(server: Server, text: bytes | str) -> NetworkError:
    if code_of(text) in _PASSING:
        return NetworkError(f"{server}: no login at the moment; {quoted(text)}")
    return AuthError(f"{server}: the login of {server.user!r} was refused; {quoted(text)}")
