from __future__ import annotations

import base64

import pytest

from agent.errors import AuthError, CommandError, NetworkError, TLSError
from agent.net.base import Server
from agent.net.imap import ImapBackend
from agent.net.imap_login import oauth_reason
from tests.harness.certificates import Authority
from tests.harness.scripted import Peer, Script, imap, replying, scripted


def attempt(
    script: Script, *, auth: str = "password", user: str = "ann", secret: str = "secret-word"
) -> bytes:
    """Connect to a script and return what it received."""
    with scripted(script) as server:
        target = Server("localhost", server.port, "none", user, auth=auth)
        backend = ImapBackend(target, lambda: secret, listing_fields=["From"], read_s=5)
        try:
            backend.connect()
        finally:
            backend.close()
    return server.received


def sasl(end: bytes, *challenges: bytes) -> Script:
    def answer(peer: Peer, tag: bytes, rest: bytes) -> None:
        for challenge in challenges:
            peer.send(b"+ " + base64.b64encode(challenge))
            peer.line()
        peer.send(tag + b" " + end)

    return imap({"AUTHENTICATE": answer}, capabilities="IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2")


def test_plain_is_used_where_it_is_offered_also_for_other_scripts() -> None:
    received = attempt(sasl(b"OK in", b""), user="jörg", secret="pässword")
    assert base64.b64encode("\0jörg\0pässword".encode()) in received


def test_login_quotes_what_it_sends() -> None:
    received = attempt(imap(capabilities="IMAP4rev1"), user='a "b" c', secret='x\\"y')
    assert b'LOGIN "a \\"b\\" c" "x\\\\\\"y"\r\n' in received


def test_a_disabled_login_sends_nothing() -> None:
    with pytest.raises(AuthError, match="takes no password"):
        attempt(imap(capabilities="IMAP4rev1 LOGINDISABLED"))


@pytest.mark.parametrize("secret", ["a\r\nb", "a\0b"])
def test_a_password_with_a_line_break_is_refused(secret: str) -> None:
    for capabilities in ("IMAP4rev1", "IMAP4rev1 AUTH=PLAIN"):
        with pytest.raises(CommandError) as caught:
            attempt(imap(capabilities=capabilities), secret=secret)
        assert "a" + secret[1] not in str(caught.value)


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (b"NO [AUTHENTICATIONFAILED] wrong", AuthError),
        (b"NO wrong", AuthError),
        (b"BAD what", AuthError),
        (b"NO [UNAVAILABLE] later", NetworkError),
    ],
)
def test_a_refusal_for_now_is_told_from_one_for_good(end: bytes, kind: type[NetworkError]) -> None:
    for script in (sasl(end, b""), imap({"LOGIN": replying(end=end)}, capabilities="IMAP4rev1")):
        with pytest.raises(NetworkError) as caught:
            attempt(script)
        assert type(caught.value) is kind
        assert "secret-word" not in str(caught.value)


def test_the_reason_of_a_refused_token_is_told() -> None:
    script = sasl(b"NO [AUTHENTICATIONFAILED] no", b"", b'{"status":"400","scope":"mail"}')
    with pytest.raises(AuthError, match="status: 400; scope: mail"):
        attempt(script, auth="oauth2")


def test_a_challenge_that_is_no_json_is_quoted() -> None:
    assert oauth_reason(b"\x1bwhat") == "what"
    assert oauth_reason(b"[1]") == "[1]"


@pytest.mark.parametrize("security", ["none", "starttls"])
def test_a_preauth_greeting_is_refused(authority: Authority, security: str) -> None:
    script = imap(greeting=b"* PREAUTH welcome", capabilities="IMAP4rev1 STARTTLS")
    with scripted(script, authority.server_context()) as server:
        target = Server("localhost", server.port, security, "ann", str(authority.ca_file))
        with pytest.raises(TLSError if security == "starttls" else AuthError, match="PREAUTH"):
            ImapBackend(target, lambda: "secret-word", listing_fields=["From"]).connect()
    assert b"secret-word" not in server.received


def test_a_preauth_greeting_is_taken_where_no_login_is_configured() -> None:
    received = attempt(imap(greeting=b"* PREAUTH welcome"), auth="none")
    assert b"LOGIN" not in received


def test_no_login_where_the_server_wants_one_is_told() -> None:
    with pytest.raises(AuthError, match="wants a login"):
        attempt(imap(), auth="none")
