"""The demo server behaves like a real one to imapclient and smtplib, and ends without a trace."""

from __future__ import annotations

import contextlib
import email
import smtplib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import LoginError

from agent.demo.server import DemoServer, demo_config
from agent.errors import NetworkError
from tests.harness.conditions import eventually

FOLDERS = {"INBOX", "Sent", "Drafts", "Trash", "Archive", "Junk", "Lists/python-talk", "Lists/announce"}


@contextlib.contextmanager
def imap(server: DemoServer, user: str = "demo") -> Iterator[IMAPClient]:
    client = IMAPClient(server.host, port=server.imap_port, ssl=False, timeout=10)
    try:
        client.login(user, user)
        yield client
    finally:
        client.shutdown()


def send(
    server: DemoServer, sender: str, recipients: list[str], message: str
) -> dict[str, tuple[int, bytes]]:
    with smtplib.SMTP(server.host, server.smtp_port, timeout=10) as client:
        client.login("demo", "demo")
        return client.sendmail(sender, recipients, message.replace("\n", "\r\n").encode())


def inbox_has(server: DemoServer, *criteria: str, user: str = "demo") -> Callable[[], list[int]]:
    def look() -> list[int]:
        with imap(server, user) as client:
            client.select_folder("INBOX", readonly=True)
            return client.search(list(criteria))

    return look


def newest(server: DemoServer, user: str = "demo") -> email.message.Message:
    with imap(server, user) as client:
        client.select_folder("INBOX", readonly=True)
        uid = max(client.search("ALL"))
        return email.message_from_bytes(client.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"])


@pytest.fixture(scope="module")
def stocked() -> Iterator[DemoServer]:
    """A server with the sample mail; tests only read it."""
    with DemoServer(later=None) as server:
        yield server


@pytest.fixture
def empty() -> Iterator[DemoServer]:
    with DemoServer(later=None, answer_after=0.0, samples=False) as server:
        yield server


def test_the_sample_mail_is_there_when_start_returns(stocked: DemoServer) -> None:
    with imap(stocked) as client:
        assert {name for _, _, name in client.list_folders()} >= FOLDERS
        assert client.folder_status("INBOX", ["MESSAGES"])[b"MESSAGES"] >= 25
        assert client.folder_status("INBOX", ["UNSEEN"])[b"UNSEEN"] >= 5
        assert client.folder_status("Lists/python-talk", ["MESSAGES"])[b"MESSAGES"] == 6
    with imap(stocked, "home") as client:
        assert client.folder_status("INBOX", ["MESSAGES"])[b"MESSAGES"] == 4


def test_messages_have_the_flags_and_dates_of_the_samples(stocked: DemoServer) -> None:
    with imap(stocked) as client:
        client.select_folder("INBOX", readonly=True)
        assert len(client.search("FLAGGED")) >= 2
        [bill] = client.search(["HEADER", "Message-ID", "bill-2201@harbour-power.example"])
        assert client.get_flags([bill])[bill] == (b"$Paid",)
        uids = client.search("ALL")
        fetched = client.fetch(uids, ["INTERNALDATE"])
        dates = [fetched[uid][b"INTERNALDATE"] for uid in uids]
        assert dates == sorted(dates)


def test_a_wrong_password_and_an_unknown_user_are_refused(stocked: DemoServer) -> None:
    for user, password in (("demo", "wrong"), ("nobody", "nobody")):
        client = IMAPClient(stocked.host, port=stocked.imap_port, ssl=False, timeout=10)
        with pytest.raises(LoginError):
            client.login(user, password)
        client.shutdown()
        with smtplib.SMTP(stocked.host, stocked.smtp_port, timeout=10) as smtp:
            with pytest.raises(smtplib.SMTPAuthenticationError):
                smtp.login(user, password)


def test_any_keyword_persists(empty: DemoServer) -> None:
    empty.deliver(b"Subject: one\r\n\r\nx\r\n", flags=["\\Flagged"])
    with imap(empty) as client:
        selected = client.select_folder("INBOX")
        assert rb"\*" in selected[b"PERMANENTFLAGS"]
        assert rb"\*" not in selected[b"FLAGS"]
        [uid] = client.search("ALL")
        client.add_flags([uid], ["$MyOwn", "todo"])
    with imap(empty) as client:
        client.select_folder("INBOX")
        assert set(client.get_flags([uid])[uid]) >= {b"$MyOwn", b"todo", b"\\Flagged"}


def test_new_folders_take_keywords_and_moves_too(empty: DemoServer) -> None:
    empty.deliver(b"Subject: one\r\n\r\nx\r\n", flags=["$Keep"])
    with imap(empty) as client:
        client.create_folder("Lists/neu für alle")
        client.select_folder("INBOX")
        client.move(client.search("ALL"), "Lists/neu für alle")
        client.select_folder("Lists/neu für alle")
        [uid] = client.search("ALL")
        client.add_flags([uid], ["$More"])
        assert set(client.get_flags([uid])[uid]) >= {b"$Keep", b"$More"}


def test_idle_sees_a_delivery_at_once(empty: DemoServer) -> None:
    with imap(empty) as client:
        client.select_folder("INBOX")
        client.idle()
        started = time.monotonic()
        empty.deliver(b"Subject: now\r\n\r\nx\r\n")
        assert (1, b"EXISTS") in client.idle_check(timeout=10)
        assert time.monotonic() - started < 2
        client.idle_done()


def test_one_more_message_comes_from_a_person_after_a_while() -> None:
    with DemoServer(later=0.1, samples=False) as server, imap(server) as client:
        client.select_folder("INBOX")
        eventually(inbox_has(server, "SUBJECT", "Lunch today?"))
        message = newest(server)
        assert message["From"] == "Bob Hartmann <bob@hartmann.example>"
        assert message["Return-Path"] == "<bob@hartmann.example>"
        assert not {"Auto-Submitted", "List-Id", "Precedence"} & set(message.keys())


@pytest.mark.parametrize(
    ("address", "user"),
    [
        ("robin@demo.example", "demo"),
        ("Support@Demo.Example", "demo"),
        ("robin@home.example", "home"),
    ],
)
def test_mail_to_an_address_of_the_demo_arrives_in_its_inbox(
    empty: DemoServer, address: str, user: str
) -> None:
    send(empty, "someone@outside.example", [address], f"Subject: hi\nTo: {address}\n\n.dot\nlast\n")
    message = newest(empty, user)
    assert message["Return-Path"] == "<someone@outside.example>"
    assert message.get_payload() == ".dot\r\nlast\r\n"
    assert empty.delivered == ()


def test_two_addresses_of_one_user_get_one_copy(empty: DemoServer) -> None:
    send(empty, "a@outside.example", ["robin@demo.example", "support@demo.example"], "Subject: x\n\nx\n")
    assert len(inbox_has(empty, "ALL")()) == 1


def test_an_address_of_the_demo_that_nobody_has_is_refused(empty: DemoServer) -> None:
    refused = send(
        empty, "a@outside.example", ["robin@demo.example", "nobody@demo.example"], "Subject: x\n\nx\n"
    )
    assert refused == {"nobody@demo.example": (550, b"5.1.1 <nobody@demo.example>: there is no such mailbox")}
    assert len(inbox_has(empty, "ALL")()) == 1


def test_mail_to_others_is_kept_and_a_robot_answers_into_the_thread(empty: DemoServer) -> None:
    send(
        empty,
        "robin@demo.example",
        ["bob@hartmann.example"],
        "From: robin@demo.example\nTo: bob@hartmann.example\nSubject: =?utf-8?q?K=C3=A4se?=\n"
        "Message-ID: <1@demo.example>\n\nShall I bring some?\n",
    )
    [delivered] = empty.delivered
    assert (delivered.sender, delivered.recipients) == ("robin@demo.example", ("bob@hartmann.example",))
    assert delivered.raw.endswith(b"\r\n\r\nShall I bring some?\r\n")
    eventually(inbox_has(empty, "FROM", "bob@hartmann.example"))
    answer = newest(empty)
    assert answer["In-Reply-To"] == answer["References"] == "<1@demo.example>"
    assert answer["Auto-Submitted"] == "auto-replied"
    assert answer["Return-Path"] == "<>"
    assert str(email.header.make_header(email.header.decode_header(answer["Subject"]))) == "Re: Käse"
    assert "> Shall I bring some?" in answer.get_payload()


@pytest.mark.parametrize(
    ("sender", "header"),
    [
        ("", "Subject: away\n"),
        ("robin@demo.example", "Auto-Submitted: auto-replied\n"),
        ("robin@demo.example", "List-Id: <x.example>\n"),
        ("robin@demo.example", "Precedence: bulk\n"),
    ],
)
def test_the_robot_leaves_automatic_mail_alone(empty: DemoServer, sender: str, header: str) -> None:
    send(empty, sender, ["bob@hartmann.example"], f"{header}Message-ID: <auto@x>\n\nx\n")
    send(empty, "robin@demo.example", ["eve@x.example"], "Subject: plain\nMessage-ID: <plain@x>\n\nx\n")
    eventually(inbox_has(empty, "FROM", "eve@x.example"))  # the later one is answered, so the first was not
    assert len(inbox_has(empty, "ALL")()) == 1
    assert len(empty.delivered) == 2


def test_mail_that_cannot_be_read_is_delivered_and_gets_no_answer(empty: DemoServer) -> None:
    broken = "From: =?x?b?!!?=\nSubject: =?nope?q?=FF?=\nContent-Type: text/plain; charset=nope\n\n\udcff"
    with smtplib.SMTP(empty.host, empty.smtp_port, timeout=10) as client:
        client.sendmail(
            "robin@demo.example", ["bob@hartmann.example"], broken.encode("utf-8", "surrogateescape")
        )
    assert len(empty.delivered) == 1
    send(empty, "robin@demo.example", ["eve@x.example"], "Subject: next\n\nx\n")
    eventually(inbox_has(empty, "FROM", "eve@x.example"))


def test_the_configuration_reaches_both_accounts(stocked: DemoServer) -> None:
    config = demo_config(stocked)
    assert list(config.accounts) == ["demo", "home"]
    for account in config.accounts.values():
        assert account.imap is not None
        assert account.smtp is not None
        assert account.imap.password is not None
        with IMAPClient(account.imap.host, port=account.imap.port, ssl=False, timeout=10) as client:
            client.login(account.imap.user, account.imap.password.reveal())
        with smtplib.SMTP(account.smtp.host, account.smtp.port, timeout=10) as smtp:
            smtp.login(account.smtp.user, account.smtp.user)
    assert config.accounts["demo"].addresses == ("robin@demo.example", "support@demo.example")


def test_stopping_ends_idle_connections_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    server = DemoServer(later=60)
    server.start()
    client = IMAPClient(server.host, port=server.imap_port, ssl=False, timeout=10)
    client.login("demo", "demo")
    client.select_folder("INBOX")
    client.idle()
    smtp = smtplib.SMTP(server.host, server.smtp_port, timeout=10)
    smtp.ehlo()
    server.stop()
    server.stop()
    assert set(threading.enumerate()) == before
    with contextlib.suppress(OSError):
        client.shutdown()
    smtp.close()
    with pytest.raises(NetworkError, match="not running"):
        server.deliver(b"Subject: late\r\n\r\n")


PROGRAM = """
import smtplib, socket
from agent.demo.server import DemoServer
server = DemoServer(later=60, answer_after=60)
server.start()
imap = socket.create_connection((server.host, server.imap_port))
lines = imap.makefile("rwb")
lines.write(b"a LOGIN demo demo\\r\\nb SELECT INBOX\\r\\nc IDLE\\r\\n")
lines.flush()
while not lines.readline().startswith(b"+"):
    pass
smtp = smtplib.SMTP(server.host, server.smtp_port)
smtp.sendmail("robin@demo.example", ["bob@x.example"], b"Subject: x\\r\\n\\r\\nx")
server.stop()
lines.close(), imap.close(), smtp.close()
"""


def test_start_and_stop_warn_of_nothing() -> None:
    options = ["-X", "dev", "-W", "error"]
    run = subprocess.run(
        [sys.executable, *options, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60
    )
    assert (run.returncode, run.stderr) == (0, "")
