from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.errors import TLSError
from agent.net.base import Server
from agent.net.tls import Handshakes, client_context, ensure_may_be_plain
from tests.harness.certificates import Authority
from tests.harness.conditions import eventually


class FarAway(socket.socket):
    """A socket that says it is connected to another machine."""

    def getpeername(self) -> tuple[str, int]:
        return ("192.0.2.7", 143)


def test_contexts_verify_chain_and_name() -> None:
    context = client_context(Server("mail.example.org", 993))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_ca_file_is_trusted_besides_the_system(authority: Authority) -> None:
    with_ca = client_context(Server("x", 1, ca=str(authority.ca_file)))
    assert len(with_ca.get_ca_certs()) == len(client_context(Server("x", 1)).get_ca_certs()) + 1


def test_ssl_cert_file_is_honoured(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")
    assert len(client_context(Server("x", 1)).get_ca_certs()) == 1


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_is_none_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(TLSError, match=r"x:1: the ca file '.*ca\.pem'"):
        client_context(Server("x", 1, ca=str(file)))


def test_another_machine_is_not_talked_to_in_the_clear_unless_it_is_wanted() -> None:
    with FarAway() as far:
        with pytest.raises(TLSError, match="another machine"):
            ensure_may_be_plain(Server("mail.example.org", 143, "none"), far)
        ensure_may_be_plain(Server("mail.example.org", 143, "none", insecure=True), far)


def test_this_machine_may_be_talked_to_in_the_clear() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as sock,
    ):
        ensure_may_be_plain(Server("localhost", 143, "none"), sock)


def test_accounts_share_a_context_until_the_certificates_to_trust_change(
    authority: Authority, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.ca_file.read_bytes())
    handshakes = Handshakes()
    one, other = Server("a", 1, ca=str(ca)), Server("b", 2, ca=str(ca))
    context = handshakes.context(one)
    assert handshakes.context(other) is context
    assert handshakes.context(Server("a", 1)) is not context
    os.utime(ca, (1, 1))
    assert handshakes.context(one) is not context


def shaken(handshakes: Handshakes, sock: socket.socket, server: Server) -> socket.socket:
    secured = handshakes.wrap(sock, server)
    handshakes.shake(secured, server)
    return secured


@contextlib.contextmanager
def shaking(authority: Authority, handshakes: Handshakes, clients: int) -> Iterator[list[socket.socket]]:
    """Let clients shake hands with a server that has not answered; give its ends of the connections."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server = Server("localhost", 1, ca=str(authority.ca_file))
        threads = stack.enter_context(ThreadPoolExecutor())
        accepted = []
        for _ in range(clients):
            sock = socket.create_connection(listener.getsockname(), 30)
            accepted.append(stack.enter_context(listener.accept()[0]))
            done = threads.submit(shaken, handshakes, sock, server)
            stack.callback(lambda done=done: done.exception() or done.result().close())
        yield accepted
        for connection in accepted:
            connection.close()


def begun(connections: list[socket.socket], timeout_s: float = 0) -> list[socket.socket]:
    return select.select(connections, [], [], timeout_s)[0]


def test_only_so_many_shake_hands_at_a_time(authority: Authority) -> None:
    with shaking(authority, Handshakes(at_once=2, turn_s=30), 3) as accepted:
        eventually(lambda: len(begun(accepted)) == 2)
        waiting = [connection for connection in accepted if connection not in begun(accepted)]
        assert not begun(waiting, 0.2)
        first = begun(accepted)[0]
        accepted[accepted.index(first)] = authority.server_context().wrap_socket(first, server_side=True)
        assert begun(waiting, 10) == waiting


def test_a_server_that_says_nothing_does_not_keep_the_others_waiting(authority: Authority) -> None:
    with shaking(authority, Handshakes(at_once=1, turn_s=0.05), 3) as accepted:
        eventually(lambda: len(begun(accepted)) == 3)
