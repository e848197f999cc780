"""The SMTP side of the demo: takes mail, brings it to the demo's own users, keeps the rest.

Everything here runs in the demo's event loop.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

_HOST = "mail.demo.example"


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message handed over for delivery: what the wire said and the bytes that came."""

    sender: str  # empty for the null return path
    recipients: tuple[str, ...]
    raw: bytes


class Submission:
    """An SMTP service; `protocol` makes the protocol of one connection.

    AUTH PLAIN knows the demo's users and is not demanded. A recipient in a domain of the demo that
    has no mailbox is refused, every other is taken.
    """

    def __init__(
        self,
        passwords: Mapping[str, str],
        mailbox_of: Mapping[str, str],
        deliver: Callable[[Delivered], Awaitable[None]],
    ) -> None:
        self._passwords = passwords
        self._mailbox_of = mailbox_of
        self._domains = {address.partition("@")[2] for address in mailbox_of}
        self._deliver = deliver
        self._open: set[_Protocol] = set()

    def protocol(self) -> SMTP:
        """Return the protocol for a new connection."""
        return _Protocol(self, self._open)

    async def disconnect_all(self) -> None:
        """End all connections."""
        handlers = [protocol.abort() for protocol in list(self._open)]
        tasks = {handler for handler in handlers if handler is not None}
        if tasks:
            await asyncio.wait(tasks, timeout=2)

    # The hooks of aiosmtpd.

    async def handle_AUTH(
        self, server: SMTP, session: Session, envelope: Envelope, args: list[str]
    ) -> str | None:
        """Check AUTH PLAIN; an own hook, for the library's sets what it warns of itself."""
        answer = args[1] if len(args) > 1 else await server.challenge_auth("")
        if not isinstance(answer, str | bytes):
            return None  # given up, and answered already
        try:
            text = base64.b64decode(answer, validate=True) if isinstance(answer, str) else answer
            _, user, password = text.decode("utf-8").split("\0")
        except ValueError:  # base64, UTF-8 or the three fields
            return "501 5.5.2 Cannot decode the response"
        if self._passwords.get(user) != password:
            return "535 5.7.8 Authentication credentials invalid"
        session.authenticated = True
        return "235 2.7.0 Authentication successful"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuse addresses in our domains that nobody has."""
        folded = address.lower()
        if folded.partition("@")[2] in self._domains and folded not in self._mailbox_of:
            return f"550 5.1.1 <{address}>: there is no such mailbox"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Deliver a message with the trace fields that a real server adds."""
        sender = envelope.mail_from or ""
        trace = (
            f"Return-Path: <{sender}>\r\n"
            f"Received: from {session.host_name or 'unknown'} ([127.0.0.1])\r\n"
            f"\tby {_HOST} with ESMTP; {formatdate(time.time())}\r\n"
        )
        assert isinstance(envelope.content, bytes)  # decode_data is off
        raw = trace.encode("utf-8") + envelope.content
        await self._deliver(Delivered(sender, tuple(envelope.rcpt_tos), raw))
        return "250 2.0.0 OK: delivered"


class _Protocol(SMTP):
    """One connection, known to the service as long as it lasts."""

    def __init__(self, service: Submission, open_connections: set[_Protocol]) -> None:
        super().__init__(
            service,
            hostname=_HOST,
            ident="demo server",
            enable_SMTPUTF8=True,
            auth_require_tls=False,
            auth_exclude_mechanism=["LOGIN"],
            loop=asyncio.get_running_loop(),
        )
        self._open_connections = open_connections

    def connection_made(self, transport: Any) -> None:
        self._open_connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._open_connections.discard(self)
        super().connection_lost(error)

    def abort(self) -> asyncio.Task[None] | None:
        """Cut the connection; returns the task that served it and ends now."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()
        return self._handler_coroutine
