"""Making backends for tests: to the real Dovecot, and to scripted servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agent.net.base import Server
from agent.net.imap import ImapBackend
from tests.harness.dovecot import Dovecot
from tests.harness.scripted import Script, Scripted, scripted

FIELDS = ("Date", "From", "To", "Subject", "Message-ID")
PASSWORD = "correct-horse"


def of_dovecot(dovecot: Dovecot, user: str, security: str = "tls", **options: Any) -> ImapBackend:
    """Return a backend for a user of Dovecot, not yet connected."""
    port = dovecot.ports["imaps" if security == "tls" else "imap"]
    server = Server(dovecot.host, port, security, user, str(dovecot.ca_file))
    return ImapBackend(server, lambda: dovecot.password, listing_fields=FIELDS, **options)


@contextmanager
def connected(dovecot: Dovecot, user: str, **options: Any) -> Iterator[ImapBackend]:
    """Give a backend that is connected to Dovecot."""
    backend = of_dovecot(dovecot, user, **options)
    backend.connect()
    try:
        yield backend
    finally:
        backend.close()


@contextmanager
def facing(
    script: Script, *, select: bool = True, read_s: float = 5.0
) -> Iterator[tuple[ImapBackend, Scripted]]:
    """Give a backend that is logged in to a scripted server, and the server."""
    with scripted(script) as server:
        backend = ImapBackend(
            Server("localhost", server.port, "none", "ann"),
            lambda: PASSWORD,
            listing_fields=FIELDS,
            read_s=read_s,
        )
        backend.connect()
        try:
            if select:
                backend.select("INBOX")
            yield backend, server
        finally:
            backend.close()
