from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import AuthError, NetworkError, Refused, TLSError
from agent.net.base import Envelope, SenderRefused, Server
from agent.net.smtp import SmtpTransport
from tests.harness.certificates import Authority
from tests.harness.scripted import Peer, Script, scripted, smtp
from tests.harness.sink import Sink

StartSink = Callable[..., Sink]
ENVELOPE = Envelope("ann@example.org", ("bob@example.org",))
MESSAGE = b"From: ann@example.org\r\nSubject: hi\r\n\r\nbody\r\n"


def nothing() -> None:
    """Commit nothing."""


def plain(sink: Any, **options: Any) -> SmtpTransport:
    """Return a transport to a server without encryption and login."""
    return SmtpTransport(Server("localhost", sink.port, "none", auth="none"), lambda: "unused", **options)


def send(transport: SmtpTransport, data: bytes = MESSAGE, envelope: Envelope = ENVELOPE) -> Any:
    transport.connect()
    try:
        return transport.send(envelope, data, nothing)
    finally:
        transport.close()


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_message_goes_out_encrypted_after_a_login(
    start_sink: StartSink, authority: Authority, security: str
) -> None:
    sink = start_sink(security=security, context=authority.server_context(), accounts={"ann": "pass wörd"})
    server = Server("localhost", sink.port, security, "ann", str(authority.ca_file))
    receipt = send(SmtpTransport(server, lambda: "pass wörd"))
    (stored,) = sink.messages
    assert (stored.data, stored.tls, stored.user) == (MESSAGE, True, "ann")
    assert (receipt.response, receipt.refused) == ("250 2.0.0 kept", {})


def test_a_token_logs_in(start_sink: StartSink, authority: Authority) -> None:
    sink = start_sink(security="tls", context=authority.server_context(), accounts={"ann": "token"})
    server = Server("localhost", sink.port, "tls", "ann", str(authority.ca_file), auth="oauth2")
    send(SmtpTransport(server, lambda: "token"))
    assert sink.messages[0].user == "ann"


def test_a_long_token_waits_for_its_turn_and_a_refusal_tells_why() -> None:
    def auth(peer: Peer, line: bytes) -> None:
        assert line == b"AUTH XOAUTH2"
        peer.send(b"334 ")
        assert b"Bearer " + b"t" * 3000 in base64.b64decode(peer.line())
        peer.send(b"334 " + base64.b64encode(b'{"status":"401","scope":"mail"}'))
        assert peer.line() == b""
        peer.send(b"535 5.7.8 no")

    with scripted(smtp({"AUTH": auth}, extensions="AUTH XOAUTH2")) as server:
        target = Server("localhost", server.port, "none", "ann", auth="oauth2")
        with pytest.raises(AuthError, match="no status: 401; scope: mail"):
            SmtpTransport(target, lambda: "t" * 3000).connect()


def test_a_wrong_password_is_told_apart_and_forgotten(start_sink: StartSink) -> None:
    class Secret:
        forgotten = 0

        def __call__(self) -> str:
            return "wrong"

        def forget(self) -> None:
            self.forgotten += 1

    sink, secret = start_sink(accounts={"ann": "right"}), Secret()
    with pytest.raises(AuthError, match="'ann' was refused"):
        SmtpTransport(Server("localhost", sink.port, "none", "ann"), secret).connect()
    assert secret.forgotten == 1


def test_a_login_that_is_not_offered_is_an_error(sink: Sink) -> None:
    with pytest.raises(AuthError, match="offers none"):
        SmtpTransport(Server("localhost", sink.port, "none", "ann"), lambda: "x").connect()
    assert sink.messages == []


def test_a_certificate_of_another_name_is_refused(start_sink: StartSink, authority: Authority) -> None:
    context = authority.server_context("mail.example.org")
    for security in ("tls", "starttls"):
        sink = start_sink(security=security, context=context)
        server = Server("localhost", sink.port, security, "ann", str(authority.ca_file))
        with pytest.raises(TLSError, match="certificate is not trusted"):
            SmtpTransport(server, lambda: "x").connect()


def injecting(peer: Peer, line: bytes) -> None:
    peer.raw(b"220 go ahead\r\n250-evil\r\n250 AUTH PLAIN\r\n")
    peer.secure()


@pytest.mark.parametrize(
    "script",
    [
        smtp(extensions="AUTH PLAIN LOGIN"),
        smtp({"STARTTLS": lambda peer, line: peer.send(b"454 not now")}, extensions="STARTTLS|AUTH PLAIN"),
        smtp({"STARTTLS": injecting}, extensions="STARTTLS"),
    ],
    ids=["stripped", "refused", "injected"],
)
def test_without_a_sound_starttls_no_secret_leaves(authority: Authority, script: Script) -> None:
    with scripted(script, authority.server_context()) as server:
        target = Server("localhost", server.port, "starttls", "ann", str(authority.ca_file))
        with pytest.raises(TLSError):
            SmtpTransport(target, lambda: "secret-word").connect()
    assert b"AUTH" not in server.received


def test_extensions_told_before_tls_are_forgotten(authority: Authority) -> None:
    script = smtp(extensions="STARTTLS|AUTH PLAIN", tls_extensions="8BITMIME")
    with scripted(script, authority.server_context()) as server:
        target = Server("localhost", server.port, "starttls", "ann", str(authority.ca_file))
        with pytest.raises(AuthError, match="offers none"):
            SmtpTransport(target, lambda: "secret-word").connect()


def test_some_refused_recipients_do_not_keep_the_others_waiting(sink: Sink) -> None:
    sink.refuse("rcpt", "550 5.1.1 nobody", when="nobody@")
    sink.refuse("rcpt", "450 4.2.0 later", when="later@")
    envelope = Envelope("a@example.org", ("nobody@example.org", "bob@example.org", "later@example.org"))
    receipt = send(plain(sink), envelope=envelope)
    assert receipt.refused == {
        "nobody@example.org": "550 5.1.1 nobody",
        "later@example.org": "450 4.2.0 later",
    }
    assert sink.messages[0].recipients == ("bob@example.org",)


@pytest.mark.parametrize(
    ("phase", "reply", "permanent"),
    [
        ("mail", "550 5.7.1 no", True),
        ("mail", "451 4.7.1 later", False),
        ("rcpt", "550 5.1.1 nobody", True),
        ("rcpt", "451 4.7.1 greylisted", False),
        ("data", "554 5.6.0 no", True),
        ("data", "451 4.3.0 later", False),
        ("end", "554 5.7.1 spam", True),
        ("end", "452 4.3.1 full", False),
    ],
)
def test_a_refusal_says_whether_it_is_for_good(sink: Sink, phase: Any, reply: str, permanent: bool) -> None:
    sink.refuse(phase, reply, times=1)
    transport = plain(sink)
    transport.connect()
    with pytest.raises(Refused, match=reply[4:]) as caught:
        transport.send(ENVELOPE, MESSAGE, nothing)
    assert (caught.value.permanent, caught.value.code) == (permanent, int(reply[:3]))
    assert isinstance(caught.value, SenderRefused) == (phase == "mail")
    transport.send(ENVELOPE, MESSAGE, nothing)  # the connection is in order
    transport.close()
    assert len(sink.messages) == 1


def test_recipients_refused_for_now_and_for_good_make_it_for_now(sink: Sink) -> None:
    sink.refuse("rcpt", "550 5.1.1 nobody", when="nobody@")
    sink.refuse("rcpt", "450 4.2.0 later", when="later@")
    envelope = Envelope("a@example.org", ("nobody@example.org", "later@example.org"))
    with pytest.raises(Refused) as caught:
        send(plain(sink), envelope=envelope)
    assert not caught.value.permanent


def test_the_null_sender_goes_out_as_such(sink: Sink) -> None:
    send(plain(sink), envelope=Envelope("", ("bob@example.org",)))
    assert sink.messages[0].sender == "<>"


def test_before_end_runs_when_all_but_the_dot_has_left(sink: Sink) -> None:
    seen: list[int] = []
    transport = plain(sink)
    transport.connect()
    transport.send(ENVELOPE, MESSAGE, lambda: seen.append(len(sink.messages)))
    transport.close()
    assert (seen, len(sink.messages)) == ([0], 1)


def test_an_error_in_before_end_keeps_the_message_from_being_sent(sink: Sink) -> None:
    def fail() -> None:
        raise RuntimeError("disk full")

    transport = plain(sink)
    transport.connect()
    with pytest.raises(RuntimeError, match="disk full"):
        transport.send(ENVELOPE, MESSAGE, fail)
    with pytest.raises(NetworkError, match="not connected"):
        transport.send(ENVELOPE, MESSAGE, nothing)
    send(plain(sink))
    assert len(sink.messages) == 1


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data"])
def test_a_cut_before_the_end_comes_before_before_end(sink: Sink, phase: Any) -> None:
    called: list[bool] = []
    sink.cut(phase)
    transport = plain(sink)
    transport.connect()
    with pytest.raises(NetworkError) as caught:
        transport.send(ENVELOPE, MESSAGE, lambda: called.append(True))
    assert not isinstance(caught.value, Refused)
    assert called == []


def test_a_cut_after_the_dot_is_a_network_error_and_no_refusal(sink: Sink) -> None:
    called: list[bool] = []
    sink.cut("end")
    transport = plain(sink)
    transport.connect()
    with pytest.raises(NetworkError, match=r"at the end|closed") as caught:
        transport.send(ENVELOPE, MESSAGE, lambda: called.append(True))
    assert not isinstance(caught.value, Refused)
    assert called == [True]
    assert len(sink.wait_for(1)) == 1  # it did arrive: that is why nobody may send it again by himself


@pytest.mark.parametrize(
    "address", ["a b@example.org", "a@b>\r\nRCPT TO:<x@y", "nobody", "", "a@", "@b", "a\0@b"]
)
def test_an_address_that_is_none_is_refused_before_it_leaves(sink: Sink, address: str) -> None:
    with pytest.raises(Refused, match="no address"):
        send(plain(sink), envelope=Envelope("a@example.org", (address,)))
    if address:
        with pytest.raises(Refused, match="no address"):
            send(plain(sink), envelope=Envelope(address, ("b@example.org",)))
    assert sink.messages == []


def test_a_name_of_another_script_needs_smtputf8_and_a_domain_does_not(sink: Sink) -> None:
    send(plain(sink), envelope=Envelope("a@example.org", ("jörg@example.org",)))
    assert "SMTPUTF8" in sink.messages[0].options
    assert sink.messages[0].recipients == ("jörg@example.org",)
    send(plain(sink), envelope=Envelope("a@example.org", ("joerg@bücher.example",)))
    assert "SMTPUTF8" not in sink.messages[1].options
    assert sink.messages[1].recipients == ("joerg@xn--bcher-kva.example",)


def test_8_bit_text_is_announced_and_refused_where_it_cannot_pass(sink: Sink) -> None:
    text = "Subject: x\r\n\r\nGrüße\r\n".encode()
    send(plain(sink), text)
    assert "BODY=8BITMIME" in sink.messages[0].options
    assert sink.messages[0].data == text
    with scripted(smtp(extensions="SIZE 1000")) as server, pytest.raises(Refused, match="8BITMIME"):
        send(plain(server), text)


def test_a_message_over_the_announced_size_is_not_offered() -> None:
    with scripted(smtp(extensions="SIZE 1000")) as server:
        with pytest.raises(Refused, match="takes 1000") as caught:
            send(plain(server), MESSAGE + b"x" * 1000)
        assert caught.value.permanent
    assert b"MAIL" not in server.received


def test_a_server_that_is_not_smtp_is_an_error() -> None:
    for words in (b"* OK IMAP ready", b"+OK pop", b"HTTP/1.1 400 Bad Request"):
        with scripted(lambda peer, words=words: peer.send(words)) as server:  # type: ignore[misc]
            with pytest.raises(NetworkError, match="not SMTP"):
                plain(server).connect()


def test_a_reply_without_end_is_an_error() -> None:
    def endless(peer: Peer) -> None:
        while True:
            peer.raw(b"220-more\r\n" * 100)

    with scripted(endless) as server, pytest.raises(NetworkError, match="without end"):
        plain(server).connect()


def test_a_busy_server_is_refused_for_now(sink: Sink) -> None:
    sink.refuse("connect", "421 4.3.2 too busy")
    with pytest.raises(Refused, match="too busy") as caught:
        plain(sink).connect()
    assert not caught.value.permanent


def test_a_silent_server_is_given_up(sink: Sink) -> None:
    sink.hang("ehlo")
    with pytest.raises(NetworkError, match="timed out"):
        plain(sink, read_s=0.2).connect()


def test_a_connection_that_still_answers_is_kept_and_another_is_made_anew(sink: Sink) -> None:
    transport = plain(sink)
    transport.connect()
    transport.connect()
    assert sink.connections == 1
    assert transport._smtp is not None
    assert transport._smtp.sock is not None
    transport._smtp.sock.shutdown(2)
    transport.connect()
    assert sink.connections == 2
    transport.close()
    transport.close()


def test_nothing_is_told_of_this_machine() -> None:
    with scripted(smtp()) as server:
        send(plain(server))
    assert b"EHLO [127.0.0.1]" in server.received or b"ehlo [127.0.0.1]" in server.received


LINES = st.lists(
    st.sampled_from(
        [b".", b"..", b".\r", b"\n.\n", b"\r.\r", b"\r\n.\r\n", b"a", b".QUIT", b"\r", b"\n", b"\r\n"]
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def endless_sink() -> Any:
    sink = Sink()
    sink.start()
    yield sink
    sink.stop()


@given(lines=LINES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_body_arrives_whole_as_one_message(endless_sink: Sink, lines: list[bytes]) -> None:
    body = b"Subject: x\r\n\r\n" + b"".join(lines)
    before = len(endless_sink.messages)
    send(plain(endless_sink), body)
    (stored,) = endless_sink.messages[before:]
    wanted = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    assert stored.data == (wanted if wanted.endswith(b"\r\n") else wanted + b"\r\n")


def test_no_secret_shows_in_repr_or_errors(start_sink: StartSink) -> None:
    sink = start_sink(accounts={"ann": "right"})
    transport = SmtpTransport(Server("localhost", sink.port, "none", "ann"), lambda: "secret-word")
    with pytest.raises(AuthError) as caught:
        transport.connect()
    assert "secret-word" not in repr(transport) + str(caught.value)
    assert threading.current_thread() is threading.main_thread()
