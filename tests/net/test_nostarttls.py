"""Replays attack configurations of the NO STARTTLS study: no secret may leave, nothing early may count."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.errors import NetworkError
from agent.net.base import Envelope, Server
from agent.net.imap import ImapBackend
from agent.net.smtp import SmtpTransport
from tests.harness import corpora
from tests.harness.certificates import Authority
from tests.harness.scripted import Gone, Peer, Script, scripted

CASES = corpora.CORPORA / "nostarttls-testcases" / "testcases"
SECRET = "secret-word"
NAMES = {
    "Imap4Rev1": "IMAP4rev1",
    "StartTls": "STARTTLS",
    "LoginDisabled": "LOGINDISABLED",
    "LoginReferrals": "LOGIN-REFERRALS",
    "MailboxReferrals": "MAILBOX-REFERRALS",
    "Auth(Plain)": "AUTH=PLAIN",
    "Auth(Login)": "AUTH=LOGIN",
}


def cases(protocol: str) -> list[Path]:
    """Return the files of a protocol that are about a server with STARTTLS."""
    found = sorted((CASES / protocol).rglob("*.ron"))
    return [path for path in found if "implicit_tls: true" not in path.read_text()]


@dataclass(frozen=True)
class Case:
    """What matters of a configuration: texts as the server sends them."""

    greeting: bytes
    capabilities: bytes
    capabilities_tls: bytes
    starttls: str
    goes_on: bool


def text_of(source: str, key: str, default: str = "") -> str:
    """Return the string of `key: Some("...")` or `key: "..."`."""
    match = re.search(rf'^\s*{key}:\s*(?:Some\()?"((?:[^"\\]|\\.)*)"', source, re.MULTILINE)
    return match[1].encode().decode("unicode_escape") if match else default


def list_of(source: str, key: str) -> str:
    match = re.search(rf"^\s*{key}:\s*(\[.*\])", source, re.MULTILINE)
    return match[1] if match else "[]"


def read_imap(path: Path) -> Case:
    source = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("//"))

    def words(listed: str) -> bytes:
        known = [NAMES[name] for name in re.findall(r"Auth\(\w+\)|\w+", listed) if name in NAMES]
        return " ".join(known).encode()

    kind = re.search(r"kind:\s*(\w+)", source)
    code = re.search(r"code:\s*Some\(Capability\(NonEmptyVec\((\[.*?\])\)", source)
    text = re.search(r'text:\s*Text\("([^"]*)"', source)
    status = {"Ok": b"OK", "PreAuth": b"PREAUTH", "Bye": b"BYE", "No": b"NO"}[kind[1] if kind else "Ok"]
    told = b"[CAPABILITY " + words(code[1]) + b"] " if code else b""
    return Case(
        b"* " + status + b" " + told + (text[1].encode() if text else b"ready"),
        words(list_of(source, "caps")),
        words(list_of(source, "caps_tls")) or b"IMAP4rev1 AUTH=PLAIN",
        text_of(source, "starttls_response", "<tag> OK go ahead\r\n"),
        "starttls_transition: false" not in source,
    )


def imap_of(case: Case) -> Script:
    def run(peer: Peer) -> None:
        peer.send(case.greeting)
        while True:
            tag, _, rest = peer.line().partition(b" ")
            name = rest.upper().split(b" ")[0]
            if name == b"CAPABILITY":
                told = case.capabilities_tls if peer.tls else case.capabilities
                peer.send(b"* CAPABILITY " + told, tag + b" OK done")
            elif name == b"STARTTLS":
                peer.raw(case.starttls.replace("<tag>", tag.decode()).encode())
                if case.goes_on:
                    peer.secure()
            elif name == b"AUTHENTICATE":
                peer.send(b"+ ")
                peer.line()
                peer.send(tag + b" OK in")
            elif name == b"LOGOUT":
                raise Gone
            else:
                peer.send(tag + b" OK done")

    return run


@pytest.mark.skipif(not CASES.exists(), reason=f"no corpora at {CASES}")
@pytest.mark.parametrize("path", cases("imap"), ids=lambda path: str(path.relative_to(CASES / "imap")))
def test_no_imap_server_gets_a_secret_in_the_clear(path: Path, authority: Authority) -> None:
    with scripted(imap_of(read_imap(path)), authority.server_context()) as server:
        target = Server("localhost", server.port, "starttls", "ann", str(authority.ca_file))
        backend = ImapBackend(target, lambda: SECRET, listing_fields=["From"], read_s=3)
        try:
            backend.connect()
            assert backend._wire.stream.encrypted
            assert backend.uids("ALL") == []  # nothing from before TLS counts
        except NetworkError:
            pass
        finally:
            backend.close()
    for word in (b"LOGIN", b"AUTHENTICATE", SECRET.encode(), b"SELECT"):
        assert word not in server.clear


def read_smtp(path: Path) -> tuple[str, bytes, bool]:
    source = path.read_text()
    reply = text_of(source, "stls_response", "220 go ahead\r\n")
    return list_of(source, "capabilities"), reply.encode(), "stls_make_transition: false" not in source


@pytest.mark.skipif(not CASES.exists(), reason=f"no corpora at {CASES}")
@pytest.mark.parametrize("path", cases("smtp"), ids=lambda path: str(path.relative_to(CASES / "smtp")))
def test_no_smtp_server_gets_a_secret_in_the_clear(path: Path, authority: Authority) -> None:
    capabilities, reply, goes_on = read_smtp(path)

    def run(peer: Peer) -> None:
        peer.send(b"220 ready")
        while True:
            name = peer.line().upper().split(b" ")[0]
            if name == b"EHLO":
                stripped = not peer.tls and "StartTls" not in capabilities
                peer.send(
                    b"250-test", *([] if stripped or peer.tls else [b"250-STARTTLS"]), b"250 AUTH PLAIN"
                )
            elif name == b"STARTTLS":
                peer.raw(reply)
                if goes_on:
                    peer.secure()
            else:
                peer.send(b"235 in" if name == b"AUTH" else b"250 ok")

    with scripted(run, authority.server_context()) as server:
        target = Server("localhost", server.port, "starttls", "ann", str(authority.ca_file))
        transport = SmtpTransport(target, lambda: SECRET, read_s=3)
        try:
            transport.connect()
            transport.send(
                Envelope("a@example.org", ("b@example.org",)), b"Subject: x\r\n\r\nx\r\n", lambda: None
            )
        except NetworkError:
            pass
        finally:
            transport.close()
    assert b"AUTH" not in server.clear
    assert b"MAIL" not in server.clear
