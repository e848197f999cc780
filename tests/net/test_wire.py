"""The private hooks of imaplib and imapclient, one test each, and the guard on every argument."""

from __future__ import annotations

import contextlib
import imaplib
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import imapclient
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient import IMAPClient

from agent.errors import CommandError, NetworkError, TLSError
from agent.net.base import Server
from agent.net.wire import Client, Response, Wire, guard, quote
from tests.harness.certificates import Authority
from tests.harness.scripted import Peer, Script, Scripted, imap, replying, scripted

TEXT = st.text(max_size=60) | st.text(st.sampled_from('\r\n\0"\\{}()*% aé\x80A1'), max_size=30)


@contextmanager
def client_of(script: Script) -> Iterator[tuple[Client, Scripted]]:
    with scripted(script) as server:
        client = Client(Server("localhost", server.port, "none"), read_s=5)
        client.wire.state = "SELECTED"
        try:
            yield client, server
        finally:
            client.wire.stream.close()


# One contract for each private hook


def test_the_versions_are_those_the_hooks_were_written_for() -> None:
    assert imapclient.__version__.startswith("4.1.")


def test_imapclient_makes_our_wire_by_create_imap4() -> None:
    with client_of(imap()) as (client, _):
        assert type(client._imap) is Wire


def test_imaplib_reads_by_get_response_and_keeps_untagged_by_append_untagged() -> None:
    with client_of(imap({"NOOP": replying(b"* 7 EXISTS", b"* 2 FETCH (X {3}", b"abc Y 1)")})) as (client, _):
        assert client._imap.noop()[0] == "OK"
        assert client._imap.untagged_responses["EXISTS"] == [b"7 "]
        assert client._imap.untagged_responses["FETCH"] == [(b"2 (X {3}", b"abc"), b" Y 1)"]


def test_imaplib_sends_by_command_and_send() -> None:
    with client_of(imap()) as (client, server):
        client._imap._simple_command("STATUS", "x", "(MESSAGES)")
        assert re.search(rb"[A-Z]+\d+ STATUS x \(MESSAGES\)\r\n", server.received)


def test_imaplib_names_tags_by_new_tag_and_ours_do_not_clash() -> None:
    with client_of(imap()) as (client, server):
        client._imap.noop()
        client.wire.run("NOOP")
        tags = re.findall(rb"^(\S+) NOOP", server.received, re.MULTILINE)
        assert len(set(tags)) == 2


def test_imaplib_logs_by_log_and_mesg_and_neither_keeps_a_word() -> None:
    with client_of(imap()) as (client, _):
        client._imap.noop()
        assert client._imap._cmd_log == {}
        assert client._imap.debug == 0
        assert "_mesg" not in vars(client._imap)


def test_imapclient_sends_by_raw_command_with_literals() -> None:
    def answer(peer: Peer, tag: bytes, rest: bytes) -> None:
        assert rest == b"UID SEARCH CHARSET UTF-8 SUBJECT {5+}"
        assert peer.line() == "grün".encode()
        peer.send(b"* SEARCH 4 5", tag + b" OK done")

    with client_of(imap({"UID SEARCH": answer}, capabilities="IMAP4rev1 LITERAL+")) as (client, _):
        assert client.search(["SUBJECT", "grün"], charset="UTF-8") == [4, 5]


def test_imapclient_reads_capabilities_told_at_login() -> None:
    def answer(peer: Peer, tag: bytes, rest: bytes) -> None:
        peer.send(b"+ ")
        peer.line()
        peer.send(tag + b" OK [CAPABILITY IMAP4rev1 MOVE] in")

    with client_of(imap({"AUTHENTICATE": answer})) as (client, _):
        client.wire.state = "NONAUTH"
        client.sasl_login("PLAIN", lambda _: b"\0a\0b")
        assert client.normalised_capabilities() == {"IMAP4REV1", "MOVE"}


def test_shutdown_closes_the_socket() -> None:
    with client_of(imap()) as (client, _):
        client._imap.shutdown()
        assert client.wire.stream.broken


# The guard


EVIL = '"x\r\nX1 UID STORE 1:* +FLAGS (\\Deleted)\r\nX2 EXPUNGE"'


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.search(["HEADER", "Message-ID", EVIL]),
        lambda c: c.search(f"SUBJECT {EVIL}"),
        lambda c: c.sort(["DATE"], ["SUBJECT", EVIL]),
        lambda c: c.thread(criteria=["SUBJECT", EVIL]),
        lambda c: c.gmail_search(EVIL),
        lambda c: c.select_folder(EVIL),
        lambda c: c.folder_status(EVIL),
        lambda c: c.create_folder(EVIL),
        lambda c: c.rename_folder("a", EVIL),
        lambda c: c.delete_folder(EVIL),
        lambda c: c.subscribe_folder(EVIL),
        lambda c: c.list_folders(EVIL),
        lambda c: c.list_folders(pattern=EVIL),
        lambda c: c.copy([1], EVIL),
        lambda c: c.move([1], EVIL),
        lambda c: c.append(EVIL, b"x"),
        lambda c: c.add_flags([1], [EVIL]),
        lambda c: c.fetch([1], [EVIL]),
        lambda c: c.fetch([1], ["FLAGS"], [EVIL]),
        lambda c: c.login("ann", EVIL),
        lambda c: c.login(EVIL, "x"),
        lambda c: c.enable(EVIL),
        lambda c: c.setacl("a", EVIL, "lr"),
        lambda c: c.id_({"name": EVIL}),
        lambda c: c._imap.xatom("X", EVIL),
        lambda c: c.wire.run("UID SEARCH", EVIL),
    ],
    ids=lambda call: str(call.__code__.co_names[-1]),
)
def test_no_call_lets_a_line_break_through(call: Callable[[Any], Any]) -> None:
    everything = "IMAP4rev1 SORT THREAD=REFERENCES X-GM-EXT-1 MOVE ENABLE ACL ID"
    with client_of(imap(capabilities=everything)) as (client, server):
        if "login" in call.__code__.co_names:
            client.wire.state = "NONAUTH"
        if "enable" in call.__code__.co_names:
            client.wire.state = "AUTH"
        before = server.received
        with contextlib.suppress(CommandError, imaplib.IMAP4.error, IndexError):
            call(client)
        assert client.wire.run("NOOP").status == "OK"
    sent = server.received[len(before) :].splitlines()
    # Folder names are encoded, so that they may go out, harmless; everything else was refused.
    assert [line for line in sent if not re.match(rb"[A-P]{4}\d+ [A-Z]", line)] == []
    assert not [line for line in sent if re.match(rb"\S+ (UID STORE|EXPUNGE)", line)]


@pytest.mark.parametrize("argument", ["a\rb", "a\nb", "a\0b", b"a\rb", b"a\nb", b"a\0b"])
def test_the_guard_refuses_what_ends_a_command(argument: str | bytes) -> None:
    with pytest.raises(CommandError):
        guard(argument)


@pytest.mark.parametrize("argument", ["", "plain", "Grüße", b"bytes", 5, None])
def test_the_guard_lets_the_rest_pass(argument: object) -> None:
    guard(argument)


def commands(data: bytes) -> list[list[bytes]]:
    """Read commands as a strict server would: words, quoted strings and literals, one per line."""
    found: list[list[bytes]] = []
    at = 0
    while at < len(data):
        words: list[bytes] = []
        while True:
            if data[at : at + 1] == b'"':
                match = re.compile(rb'"((?:[^"\\\r\n]|\\["\\])*)"').match(data, at)
                assert match, data[at:]
                words.append(re.sub(rb"\\(.)", rb"\1", match[1]))
                at = match.end()
            elif match := re.compile(rb"~?\{(\d+)\+\}\r\n").match(data, at):
                end = match.end() + int(match[1])
                words.append(data[match.end() : end])
                at = end
            else:
                match = re.compile(rb"[^\s\"]*").match(data, at)
                assert match
                words.append(match[0])
                at = match.end()
            if data[at : at + 2] == b"\r\n":
                at += 2
                break
            assert data[at : at + 1] == b" ", data[at:]
            at += 1
        found.append(words)
    return found


class Recorder:
    """The sending end of a Wire that is connected to nothing."""

    def __init__(self) -> None:
        self.sent = b""

    def send(self, data: bytes) -> None:
        self.sent += data


def detached() -> tuple[Wire, Recorder]:
    wire = Wire.__new__(Wire)
    recorder = Recorder()
    wire.stream = recorder  # type: ignore[assignment]
    wire.reading = None
    wire.capabilities = ("LITERAL+", "BINARY")
    wire.tagpre, wire.tagnum, wire.tagged_commands = b"T", 1, {}
    wire._mode_ascii()
    return wire, recorder


@given(arguments=st.lists(TEXT, max_size=6))
def test_any_text_becomes_exactly_one_command_with_the_same_arguments(arguments: list[str]) -> None:
    wire, recorder = detached()
    wire.submit("UID SEARCH", *(quote(argument) for argument in arguments))
    wanted = [argument.encode("utf-8", "surrogatepass") for argument in arguments]
    assert commands(recorder.sent) == [[b"T1", b"UID", b"SEARCH", *wanted]]


@given(words=st.lists(TEXT, max_size=4))
def test_any_words_of_ours_are_one_line_or_refused(words: list[str]) -> None:
    wire, recorder = detached()
    try:
        wire.submit("X", *words)
    except CommandError:
        assert recorder.sent == b""
    else:
        assert recorder.sent.count(b"\r\n") == 1
        assert recorder.sent.endswith(b"\r\n")
        assert b"\0" not in recorder.sent


def test_a_large_literal_waits_for_consent() -> None:
    def answer(peer: Peer, tag: bytes, rest: bytes) -> None:
        assert rest.endswith(b"{100000}")
        peer.send(b"* 9 EXISTS", b"+ go on")
        assert peer.octets(100_000) == b"x" * 100_000
        assert peer.line() == b""
        peer.send(tag + b" OK done")

    with client_of(imap({"APPEND": answer})) as (client, _):
        told = client.wire.run("APPEND", "INBOX", b"x" * 100_000)
        assert (told.status, [r.kind for r in told.responses]) == ("OK", ["EXISTS"])


def test_a_large_literal_that_is_refused_is_not_sent() -> None:
    with client_of(imap({"APPEND": replying(end=b"NO [TOOBIG] never")})) as (client, server):
        assert client.wire.run("APPEND", "INBOX", b"x" * 100_000).text == b"[TOOBIG] never"
        assert client.wire.run("NOOP").status == "OK"
    assert b"xxx" not in server.received


def test_nul_needs_binary() -> None:
    with client_of(imap()) as (client, server):
        with pytest.raises(CommandError, match="BINARY"):
            client.wire.run("APPEND", "INBOX", b"a\0b")
        assert client.wire.run("NOOP").status == "OK"
    assert b"APPEND" not in server.received


def test_responses_come_in_their_order() -> None:
    lines = (b"* 3 EXISTS", b"* 1 EXPUNGE", b"* 3 EXISTS", b"* 2 FETCH (FLAGS ())", b"* VANISHED 1:2")
    with client_of(imap({"NOOP": replying(*lines)})) as (client, _):
        kinds = [(response.kind, response.number) for response in client.wire.run("NOOP").responses]
    assert kinds == [("EXISTS", 3), ("EXPUNGE", 1), ("EXISTS", 3), ("FETCH", 2), ("VANISHED", -1)]


def test_a_tagged_line_without_text_is_taken() -> None:
    with client_of(imap({"NOOP": replying(end=b"OK")})) as (client, _):
        assert client.wire.run("NOOP").status == "OK"


def test_goodbye_is_an_error_with_its_words() -> None:
    with client_of(imap({"NOOP": replying(b"* BYE too many connections")})) as (client, _):
        with pytest.raises(NetworkError, match="too many connections"):
            client.wire.run("NOOP")
        assert client.wire.stream.broken


@pytest.mark.parametrize(
    "greeting", [b"* BYE go away", b"* NO", b"220 smtp.example.org ESMTP", b"+OK pop", b"", b"*"]
)
def test_a_greeting_that_is_none_is_an_error(greeting: bytes) -> None:
    def run(peer: Peer) -> None:
        peer.send(greeting)

    with scripted(run) as server, pytest.raises(NetworkError):
        Client(Server("localhost", server.port, "none"), read_s=5)


def test_a_silent_server_is_given_up() -> None:
    with scripted(lambda peer: peer.line() and None) as server:
        with pytest.raises(NetworkError, match="no answer within"):
            Client(Server("localhost", server.port, "none"), read_s=0.2)


def test_literals_are_parts_of_their_response() -> None:
    answer = Response("FETCH", 1, (b"(X ", b"abc", b" Y 1)"))
    assert answer.text == b"(X  Y 1)"


def test_nothing_secret_is_logged_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def answer(peer: Peer, tag: bytes, rest: bytes) -> None:
        peer.send(b"+ ")
        peer.line()
        peer.send(tag + b" OK in")

    with client_of(imap({"AUTHENTICATE": answer})) as (client, _):
        client.wire.state = "NONAUTH"
        client.sasl_login("PLAIN", lambda _: b"\0ann\0secret-word")
        client.wire.run("LOGIN", "ann", quote("secret-word"))
    assert "secret-word" not in caplog.text
    assert "c2VjcmV0" not in caplog.text  # base64 of it


# STARTTLS


def secured(script: Script, authority: Authority) -> tuple[type[BaseException] | None, Scripted]:
    """Run STARTTLS against a script; return what it raised, and the server."""
    raised: type[BaseException] | None = None
    with scripted(script, authority.server_context()) as server:
        target = Server("localhost", server.port, "starttls", "ann", str(authority.ca_file))
        client = Client(target, read_s=5)
        try:
            client.starttls()
            client.wire.run("LOGIN", "ann", quote("secret-word"))
        except (TLSError, NetworkError) as error:
            raised = type(error)
        finally:
            client.wire.stream.close()
    return raised, server


def injecting(data: bytes) -> Script:
    def answer(peer: Peer, tag: bytes, rest: bytes) -> None:
        peer.raw(tag + b" OK go ahead\r\n" + data)
        peer.secure()

    return imap({"STARTTLS": answer}, capabilities="IMAP4rev1 STARTTLS")


def test_after_starttls_the_login_is_encrypted(authority: Authority) -> None:
    raised, server = secured(imap(capabilities="IMAP4rev1 STARTTLS"), authority)
    assert raised is None
    assert b"secret-word" in server.secret
    assert b"secret-word" not in server.clear


@pytest.mark.parametrize("data", [b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", b"* 5 EXISTS\r\n", b"x"])
def test_text_slipped_in_after_starttls_ends_it(authority: Authority, data: bytes) -> None:
    raised, server = secured(injecting(data), authority)
    assert raised is TLSError
    assert b"secret-word" not in server.received


@pytest.mark.parametrize(
    "script",
    [
        imap(capabilities="IMAP4rev1 AUTH=PLAIN"),
        imap({"STARTTLS": replying(end=b"NO not now")}, capabilities="IMAP4rev1 STARTTLS"),
        imap({"STARTTLS": replying(end=b"BAD what")}, capabilities="IMAP4rev1 STARTTLS"),
    ],
    ids=["stripped", "no", "bad"],
)
def test_without_starttls_nothing_secret_is_sent(authority: Authority, script: Script) -> None:
    raised, server = secured(script, authority)
    assert raised is TLSError
    assert b"secret-word" not in server.received


def test_what_was_told_before_tls_is_forgotten(authority: Authority) -> None:
    def answer(peer: Peer, tag: bytes, rest: bytes) -> None:
        peer.send(b"* CAPABILITY IMAP4rev1 EVIL", b"* SEARCH 1 2 3", tag + b" OK [CAPABILITY EVIL] go")
        peer.secure()

    with scripted(
        imap({"STARTTLS": answer}, capabilities="IMAP4rev1 STARTTLS"), authority.server_context()
    ) as server:
        client = Client(Server("localhost", server.port, "starttls", "ann", str(authority.ca_file)), read_s=5)
        client.starttls()
        assert "EVIL" not in client.normalised_capabilities()
        assert "EVIL" not in client.wire.capabilities
        assert "SEARCH" not in client.wire.untagged_responses
        client.wire.stream.close()


def test_imaplibs_own_errors_do_not_escape() -> None:
    assert issubclass(imaplib.IMAP4.abort, imaplib.IMAP4.error)
    with client_of(imap()) as (client, _):
        assert isinstance(client, IMAPClient)
