from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from agent.errors import TLSError
from agent.net.base import Server
from agent.net.tls import client_context, ensure_may_be_plain
from tests.harness.certificates import Authority


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
