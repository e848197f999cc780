"""Encryption: verified always, mandatory when configured, absent only where nobody can listen.

Accounts share their contexts, since reading the trust store takes 20 ms and a megabyte, and take
turns at the handshake: a start with a hundred accounts is no attack on anybody.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import threading

from agent.errors import NetworkError, TLSError
from agent.net.base import Server


def client_context(server: Server) -> ssl.SSLContext:
    """Return a context that verifies chain and host name.

    The system's trust store is used (OpenSSL honours SSL_CERT_FILE), and the server's `ca` file.
    """
    context = ssl.create_default_context()
    try:
        if server.ca:
            context.load_verify_locations(cafile=server.ca)
    except (OSError, ssl.SSLError) as error:
        raise TLSError(f"{server}: the ca file {server.ca!r} cannot be used: {error}") from error
    return context


class Handshakes:
    """The contexts of a program, and the turns of its threads at the handshake."""

    def __init__(self, at_once: int = 5, turn_s: float = 2.0) -> None:
        """Let so many shake hands at a time; who takes longer than a turn goes on beside the others."""
        self._turns = threading.BoundedSemaphore(at_once)
        self._turn_s = turn_s
        self._lock = threading.Lock()
        self._contexts: dict[tuple[object, ...], ssl.SSLContext] = {}

    def context(self, server: Server) -> ssl.SSLContext:
        """Return the context for a server; a new one when the certificates to trust have changed."""
        trusted = (server.ca, *map(_stamp, (server.ca, *_system_files())))
        with self._lock:
            if trusted not in self._contexts:
                stale = [known for known in self._contexts if known[0] == server.ca]
                self._contexts[trusted] = client_context(server)
                for known in stale:
                    del self._contexts[known]
            return self._contexts[trusted]

    def wrap(self, sock: socket.socket, server: Server) -> ssl.SSLSocket:
        """Return a connected socket ready for `shake`; raises TLSError, NetworkError and closes it."""
        try:
            return self.context(server).wrap_socket(
                sock, server_hostname=server.host, do_handshake_on_connect=False
            )
        except OSError as error:
            sock.close()
            raise NetworkError(f"{server}: the connection broke: {error}") from error
        except BaseException:
            sock.close()
            raise

    def shake(self, secured: ssl.SSLSocket, server: Server) -> None:
        """Do the handshake, within the timeout of the socket.

        Raises TLSError, or NetworkError for a line that broke, and closes the socket.
        """
        try:
            self._take_turn(secured)
        except ssl.SSLCertVerificationError as error:
            secured.close()
            raise TLSError(
                f"{server}: the certificate is not trusted: {error.verify_message}; nothing was sent. "
                "Check the host name, or name the issuer's file as `ca`"
            ) from error
        except ssl.SSLError as error:
            secured.close()
            reason = error.reason or error
            raise TLSError(f"{server}: no TLS here ({reason}); check port and security") from error
        except OSError as error:
            secured.close()
            raise NetworkError(
                f"{server}: the connection failed during the TLS handshake: {error}"
            ) from error

    def _take_turn(self, sock: ssl.SSLSocket) -> None:
        timeout = sock.gettimeout()
        with self._turns:
            sock.settimeout(self._turn_s if timeout is None else min(timeout, self._turn_s))
            try:
                sock.do_handshake()
                return
            except TimeoutError:
                if timeout is not None and timeout <= self._turn_s:
                    raise
            finally:
                sock.settimeout(timeout)
        # A server that says nothing must not keep the others waiting.
        sock.do_handshake()


def _system_files() -> tuple[str, str]:
    paths = ssl.get_default_verify_paths()
    return paths.cafile or "", paths.capath or ""


def _stamp(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns if path else None
    except OSError:
        return None


def ensure_may_be_plain(server: Server, sock: socket.socket) -> None:
    """Raise TLSError unless the peer is this machine or the configuration says `insecure: true`."""
    if server.insecure:
        return
    peer = sock.getpeername()
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        address = ipaddress.ip_address(peer[0].partition("%")[0])
        if address.is_loopback:
            return
    raise TLSError(f"{server}: another machine, and no encryption: refused; set security to tls or starttls")
