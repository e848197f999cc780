"""Encryption: verified always, mandatory when configured, absent only where nobody can listen."""

from __future__ import annotations

import ipaddress
import socket
import ssl

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


def secure(sock: socket.socket, context: ssl.SSLContext, server: Server) -> ssl.SSLSocket:
    """Do the handshake on a connected socket; raises TLSError and closes the socket on doubt."""
    try:
        return context.wrap_socket(sock, server_hostname=server.host)
    except ssl.SSLCertVerificationError as error:
        sock.close()
        raise TLSError(
            f"{server}: the certificate is not trusted: {error.verify_message}; nothing was sent. "
            "Check the host name, or name the issuer's file as `ca`"
        ) from error
    except ssl.SSLError as error:
        sock.close()
        reason = error.reason or error
        raise TLSError(f"{server}: no TLS here ({reason}); check port and security") from error
    except OSError as error:
        sock.close()
        raise NetworkError(f"{server}: the connection failed during the TLS handshake: {error}") from error


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
