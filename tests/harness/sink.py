"""An SMTP server that keeps what it is sent and fails as it is told, phase by phase.

The phases are connect, ehlo, starttls, auth, mail, rcpt, data (the command) and end (the reply to
the final dot).
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.harness.loop import LoopThread

Phase = Literal["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "end"]
Security = Literal["none", "starttls", "tls"]


@dataclass(frozen=True, slots=True)
class Stored:
    """One accepted message; `data` is what stood between DATA and the final dot, unstuffed."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    options: tuple[str, ...]
    tls: bool
    user: str | None


@dataclass(slots=True)
class Fault:
    """What to do at a phase: answer `reply`, or `cut` the connection, or `hang`."""

    phase: Phase
    action: Literal["reply", "cut", "hang"]
    reply: str = ""
    when: str = ""
    times: int | None = None
    hits: int = 0

    def applies(self, phase: Phase, argument: str) -> bool:
        """Tell whether it is this fault's turn."""
        spent = self.times is not None and self.hits >= self.times
        return phase == self.phase and self.when in argument and not spent


class Sink:
    """The server; `accounts` maps login names to passwords or tokens and makes AUTH compulsory."""

    host = "localhost"

    def __init__(
        self,
        security: Security = "none",
        context: ssl.SSLContext | None = None,
        accounts: Mapping[str, str] | None = None,
        size_limit: int | None = None,
    ) -> None:
        if (security == "none") != (context is None):
            raise ValueError("starttls and tls need a context, none takes no context")
        self.security = security
        self.context = context
        self.accounts = dict(accounts or {})
        self.size_limit = size_limit
        self.port = 0
        self.connections = 0
        self._stored: list[Stored] = []
        self._faults: list[Fault] = []
        self._changed = threading.Condition()
        self._loop = LoopThread("smtp sink")

    def start(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        self._loop.start()
        self._loop.run(self._listen())

    def stop(self) -> None:
        """Close every connection and the port."""
        self._loop.run(self._close())
        self._loop.stop()

    @property
    def messages(self) -> list[Stored]:
        """What was accepted so far, in order."""
        with self._changed:
            return list(self._stored)

    def wait_for(self, count: int, timeout_s: float = 10) -> list[Stored]:
        """Wait until at least `count` messages were accepted, and return all of them."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._stored) >= count, timeout_s):
                raise AssertionError(f"{len(self._stored)} of {count} messages after {timeout_s:g} s")
            return list(self._stored)

    def refuse(self, phase: Phase, reply: str, *, when: str = "", times: int | None = None) -> Fault:
        """Answer `reply` at a phase, where the command's argument contains `when`."""
        return self._add(Fault(phase, "reply", reply, when, times))

    def cut(self, phase: Phase, *, when: str = "", times: int | None = None) -> Fault:
        """Drop the connection instead of answering; at `end` the message has been accepted."""
        return self._add(Fault(phase, "cut", "", when, times))

    def hang(self, phase: Phase, *, when: str = "", times: int | None = None) -> Fault:
        """Never answer; at `end` the message has been accepted."""
        return self._add(Fault(phase, "hang", "", when, times))

    def heal(self) -> None:
        """Forget all faults."""
        self._faults = []

    def fault_at(self, phase: Phase, argument: str) -> Fault | None:
        """Return the fault whose turn it is, counting it."""
        for fault in self._faults:
            if fault.applies(phase, argument):
                fault.hits += 1
                return fault
        return None

    def store(self, message: Stored) -> None:
        """Keep an accepted message and wake who waits for it."""
        with self._changed:
            self._stored.append(message)
            self._changed.notify_all()

    def _add(self, fault: Fault) -> Fault:
        self._faults = [*self._faults, fault]
        return fault

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        implicit = self.context if self.security == "tls" else None
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, ssl=implicit)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()


class _Connection(SMTP):
    """One client. Everything that is not scripted is aiosmtpd's own behaviour."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        super().__init__(
            _Handler(sink),
            data_size_limit=sink.size_limit,
            enable_SMTPUTF8=True,
            hostname="sink.example.org",
            tls_context=sink.context if sink.security == "starttls" else None,
            auth_require_tls=False,
            auth_exclude_mechanism=() if sink.accounts else ("LOGIN", "PLAIN", "XOAUTH2"),
            authenticator=self._check,
            loop=asyncio.get_running_loop(),
        )

    async def _handle_client(self) -> None:
        self.sink.connections += 1
        if await self._scripted("connect", ""):
            self.transport.close()
            return
        await super()._handle_client()

    async def smtp_EHLO(self, hostname: str) -> None:
        if not await self._scripted("ehlo", hostname):
            await super().smtp_EHLO(hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:
        if not await self._scripted("starttls", arg):
            await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: str) -> None:
        if not await self._scripted("auth", arg):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str) -> None:
        if self.sink.accounts and not self.session.authenticated:
            await self.push("530 5.7.0 Authentication required")
        elif not await self._scripted("mail", arg):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str) -> None:
        if not await self._scripted("rcpt", arg):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:
        if not await self._scripted("data", arg):
            await super().smtp_DATA(arg)

    async def _scripted(self, phase: Phase, argument: str) -> bool:
        """Play the fault of this phase, if there is one."""
        fault = self.sink.fault_at(phase, argument or "")
        if fault is None:
            return False
        if fault.action == "reply":
            await self.push(fault.reply)
            return True
        await self.go_away(fault)
        return True

    async def go_away(self, fault: Fault) -> None:
        """Cut or hang; ends when the connection does."""
        if fault.action == "cut":
            self.transport.abort()
        await asyncio.Event().wait()

    def _check(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        name, password = data.login.decode(), data.password.decode()
        known = self.sink.accounts.get(name) == password
        return AuthResult(success=known, handled=False, auth_data=name if known else None)


class _Handler:
    """aiosmtpd's hooks: what happens at the end of a message, and XOAUTH2."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:
        answer = args[1].encode() if len(args) > 1 else await server.challenge_auth("")
        fields = dict(
            field.split("=", 1) for field in base64.b64decode(answer).decode().split("\1") if "=" in field
        )
        name, token = fields.get("user", ""), fields.get("auth", "").removeprefix("Bearer ")
        known = self._sink.accounts.get(name) == token
        return AuthResult(success=known, handled=False, auth_data=name if known else None)

    async def handle_DATA(self, server: _Connection, session: Session, envelope: Envelope) -> str:
        fault = self._sink.fault_at("end", " ".join(envelope.rcpt_tos))
        if fault is not None and fault.action == "reply":
            return fault.reply
        self._sink.store(
            Stored(
                sender=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                data=bytes(envelope.original_content or b""),
                options=tuple(envelope.mail_options),
                tls=server.transport.get_extra_info("ssl_object") is not None,
                user=session.auth_data if session.authenticated else None,
            )
        )
        if fault is not None:
            await server.go_away(fault)
        return "250 2.0.0 kept"
