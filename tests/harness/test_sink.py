"""The SMTP sink keeps what it accepts and fails as it is told."""

from __future__ import annotations

import smtplib
import ssl
import threading
from collections.abc import Callable

import pytest

from tests.harness.certificates import Authority
from tests.harness.sink import Sink

MESSAGE = b"Subject: hi\r\n\r\n.a line with a dot\r\n"


def client_of(sink: Sink) -> smtplib.SMTP:
    return smtplib.SMTP(sink.host, sink.port, local_hostname="client.example.org", timeout=5)


def send(sink: Sink, recipients: list[str] | None = None) -> None:
    with client_of(sink) as client:
        client.sendmail("ann@example.org", recipients or ["bob@example.org"], MESSAGE)


def test_the_sink_keeps_envelope_and_bytes(sink: Sink) -> None:
    send(sink, ["bob@example.org", "eve@example.org"])
    (stored,) = sink.wait_for(1)
    assert stored.sender == "ann@example.org"
    assert stored.recipients == ("bob@example.org", "eve@example.org")
    assert stored.data == MESSAGE
    assert not stored.tls


def test_waiting_for_more_than_comes_fails(sink: Sink) -> None:
    with pytest.raises(AssertionError, match="0 of 1 messages"):
        sink.wait_for(1, timeout_s=0.05)


def test_a_refused_recipient_leaves_the_others(sink: Sink) -> None:
    sink.refuse("rcpt", "550 5.1.1 no such user", when="bob@")
    send(sink, ["bob@example.org", "eve@example.org"])
    assert sink.wait_for(1)[0].recipients == ("eve@example.org",)


@pytest.mark.parametrize("phase", ["connect", "mail", "rcpt", "data", "end"])
def test_each_phase_can_be_refused_once(sink: Sink, phase: str) -> None:
    sink.refuse(phase, "451 4.3.0 later", times=1)
    with pytest.raises(smtplib.SMTPException):
        send(sink)
    assert sink.messages == []
    send(sink)
    assert len(sink.messages) == 1


def test_a_fault_lasts_until_the_sink_is_healed(sink: Sink) -> None:
    fault = sink.refuse("ehlo", "451 4.3.0 later")
    with client_of(sink) as client:
        assert [client.ehlo()[0], client.ehlo()[0]] == [451, 451]
        sink.heal()
        assert client.ehlo()[0] == 250
    assert fault.hits == 2


@pytest.mark.parametrize(("phase", "kept"), [("mail", 0), ("data", 0), ("end", 1)])
def test_a_cut_at_the_end_loses_the_reply_but_not_the_message(sink: Sink, phase: str, kept: int) -> None:
    sink.cut(phase)
    with pytest.raises((smtplib.SMTPException, OSError)):
        send(sink)
    assert len(sink.messages) == kept


def test_a_server_that_hangs_lets_the_client_wait(sink: Sink) -> None:
    sink.hang("mail")
    client = smtplib.SMTP(sink.host, sink.port, local_hostname="client", timeout=0.2)
    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
        client.sendmail("ann@example.org", ["bob@example.org"], MESSAGE)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_tls_comes_at_once_or_by_starttls(
    start_sink: Callable[..., Sink], authority: Authority, security: str
) -> None:
    sink = start_sink(security=security, context=authority.server_context(), accounts={"ann": "secret"})
    trust = authority.client_context
    if security == "tls":
        client: smtplib.SMTP = smtplib.SMTP_SSL(sink.host, sink.port, "client", context=trust)
    else:
        client = client_of(sink)
        client.starttls(context=trust)
    with client:
        client.login("ann", "secret")
        client.sendmail("ann@example.org", ["bob@example.org"], MESSAGE)
    (stored,) = sink.wait_for(1)
    assert stored.tls
    assert stored.user == "ann"


def test_a_wrong_password_and_no_password_are_refused(start_sink: Callable[..., Sink]) -> None:
    sink = start_sink(accounts={"ann": "secret"})
    with client_of(sink) as client, pytest.raises(smtplib.SMTPAuthenticationError):
        client.login("ann", "wrong")
    with pytest.raises(smtplib.SMTPSenderRefused, match="Authentication required"):
        send(sink)


def test_a_token_logs_in_by_xoauth2(start_sink: Callable[..., Sink]) -> None:
    sink = start_sink(accounts={"ann": "token-1"})
    with client_of(sink) as client:
        client.ehlo()
        assert client.auth("XOAUTH2", lambda _=None: "user=ann\1auth=Bearer token-1\1\1")[0] == 235


@pytest.mark.parametrize(("names", "expired"), [(("other.example.org",), False), ((), True)])
def test_wrong_and_expired_certificates_are_not_trusted(
    start_sink: Callable[..., Sink], authority: Authority, names: tuple[str, ...], expired: bool
) -> None:
    sink = start_sink(security="tls", context=authority.server_context(*names, expired=expired))
    with pytest.raises(ssl.SSLCertVerificationError):
        smtplib.SMTP_SSL(sink.host, sink.port, "client", context=authority.client_context)


def test_the_sink_leaves_no_thread(sink: Sink) -> None:
    assert "smtp sink" in {thread.name for thread in threading.enumerate()}
