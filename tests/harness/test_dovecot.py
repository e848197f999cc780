"""The Dovecot fixture gives what tests of the wire ask of it."""

from __future__ import annotations

import imaplib
import poplib

from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot

HELLO = b"From: a@example.org\r\nSubject: hi\r\n\r\nbody\r\n"


def test_dovecot_takes_mail_by_lmtp_and_gives_it_by_imaps(dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, HELLO)
    with imaplib.IMAP4_SSL(dovecot.host, dovecot.ports["imaps"], ssl_context=dovecot.ssl_context) as client:
        client.login(user, dovecot.password)
        assert client.select() == ("OK", [b"1"])


def test_dovecot_speaks_starttls_with_a_certificate_of_its_ca(dovecot: Dovecot, user: str) -> None:
    with imaplib.IMAP4(dovecot.host, dovecot.ports["imap"]) as client:
        client.starttls(dovecot.ssl_context)
        assert client.login(user, dovecot.password)[0] == "OK"


def test_dovecot_gives_saved_bytes_unchanged_by_pop3(dovecot: Dovecot, user: str) -> None:
    dovecot.save(user, HELLO)
    client = poplib.POP3(dovecot.host, dovecot.ports["pop3"])
    client.user(user)
    client.pass_(dovecot.password)
    assert b"\r\n".join(client.retr(1)[1]) + b"\r\n" == HELLO
    client.quit()


def test_dovecot_accepts_a_token_it_can_check(dovecot: Dovecot, user: str) -> None:
    with imaplib.IMAP4(dovecot.host, dovecot.ports["imap"]) as client:
        answer = f"user={user}\1auth=Bearer {dovecot.token(user)}\1\1".encode()
        assert client.authenticate("XOAUTH2", lambda _: answer)[0] == "OK"


def test_a_kicked_user_loses_the_connection(dovecot: Dovecot, user: str) -> None:
    client = imaplib.IMAP4(dovecot.host, dovecot.ports["imap"])
    client.login(user, dovecot.password)

    def lost() -> bool:
        dovecot.kick(user)  # it may not know yet that the user is there
        try:
            client.noop()
        except (imaplib.IMAP4.abort, OSError):
            return True
        return False

    try:
        eventually(lost)
    finally:
        client.shutdown()


def test_a_full_mailbox_refuses_an_append(dovecot: Dovecot, user: str) -> None:
    dovecot.limit(user, "10k")
    with imaplib.IMAP4(dovecot.host, dovecot.ports["imap"]) as client:
        client.login(user, dovecot.password)
        status, text = client.append("INBOX", "", "", HELLO + b"x" * 20_000)
        assert status == "NO"
        assert b"OVERQUOTA" in text[0]
