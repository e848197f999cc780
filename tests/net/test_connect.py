from __future__ import annotations

import pytest

from agent.config.load import load_text
from agent.config.schema import AccountConfig
from agent.errors import ConfigError
from agent.net.connect import backend as backend_of
from agent.net.connect import transport as transport_of
from agent.net.imap import ImapBackend
from agent.net.sendmail import SendmailTransport
from agent.net.smtp import SmtpTransport
from tests.harness.dovecot import Dovecot


def account(text: str) -> AccountConfig:
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return load_text(f"accounts:\n  work:\n    address: ann@example.org\n{lines}", "config.yaml").accounts[
        "work"
    ]


def test_an_account_of_the_file_logs_in(dovecot: Dovecot, user: str) -> None:
    made = backend_of(
        account(
            f"user: {user}\n"
            f"password_command: echo {dovecot.password}\n"
            f"imap: {{host: {dovecot.host}, port: {dovecot.ports['imaps']}, ca: {dovecot.ca_file}}}"
        ),
        "work",
        None,
    )
    assert made is not None
    backend = made()
    backend.connect()
    assert backend.select("INBOX").exists == 0
    backend.close()


def test_a_token_of_a_command_logs_in(dovecot: Dovecot, user: str) -> None:
    made = backend_of(
        account(
            f"user: {user}\n"
            f"oauth_command: echo {dovecot.token(user)}\n"
            f"imap: {{host: {dovecot.host}, port: {dovecot.ports['imaps']}, ca: {dovecot.ca_file}}}"
        ),
        "work",
        None,
    )
    assert made is not None
    backend = made()
    backend.connect()
    backend.close()


def test_the_kind_of_account_decides_what_is_made() -> None:
    local = account("local: true\nsendmail: msmtp -t")
    assert backend_of(local, "work", None) is None
    out = transport_of(local, "work", None)
    assert out is not None
    assert isinstance(out(), SendmailTransport)
    full = account("imap: {host: imap.example.org}\nsmtp: {host: smtp.example.org}")
    back, out = backend_of(full, "work", None), transport_of(full, "work", None)
    assert back is not None
    assert out is not None
    assert isinstance(back(), ImapBackend)
    assert isinstance(out(), SmtpTransport)
    assert transport_of(account("imap: {host: imap.example.org}"), "work", None) is None


@pytest.mark.parametrize("text", ["pop3: {host: pop.example.org}", "maildir: ~/Mail"])
def test_what_cannot_be_served_yet_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match=r"accounts\.work\.\w+: this version"):
        backend_of(account(text), "work", None)
