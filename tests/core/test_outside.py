"""Messages into files, programs and on to other people; what a sender wrote stays data."""

from __future__ import annotations

import contextlib
import mailbox
import sys
from email import message_from_bytes
from pathlib import Path

import pytest

from agent import api
from agent.core.message import Message
from agent.core.outside import write_new
from agent.errors import CommandError
from tests.core.automation import Desk

EVIL = "../../../tmp/$(touch evil);`touch evil`\u202etxt.exe"


def test_saving_writes_each_message_as_it_is(desk: Desk, tmp_path: Path) -> None:
    desk.open()
    for subject in ("same", "same", EVIL):
        desk.deliver(Subject=subject)
    desk.settle()
    job = desk.work.inbox.save(tmp_path / "out")
    assert repr(job).startswith("<saved 3 messages in ")
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == 3
    assert all(file.parent == tmp_path / "out" and file.suffix == ".eml" for file in files)
    assert not any("\u202e" in file.name or "/" in file.name for file in files)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    assert {file.read_bytes() for file in files} == {message.raw for message in desk.work.inbox}


def test_a_file_is_never_overwritten_and_a_link_never_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "note.txt").symlink_to(victim)
    (folder / "note (2).txt").symlink_to(tmp_path / "nothing")
    path = write_new(folder, "note.txt", b"theirs")
    assert path == folder / "note (3).txt"
    assert victim.read_text() == "mine"
    assert not (tmp_path / "nothing").exists()
    assert write_new(folder, "../../etc/passwd", b"").parent == folder


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match=r"cannot write .*file"):
        write_new(tmp_path / "file" / "below", "x", b"")


def test_exporting_makes_an_mbox_that_others_can_read(desk: Desk, tmp_path: Path) -> None:
    desk.open()
    desk.deliver(Subject="one")
    desk.deliver(Subject="two")
    desk.settle()
    assert repr(desk.work.inbox.export(tmp_path / "mail.mbox")).startswith("<exported 2 messages to ")
    with contextlib.closing(mailbox.mbox(tmp_path / "mail.mbox")) as found:
        assert sorted(message["Subject"] for message in found) == ["one", "two"]
    with pytest.raises(CommandError, match="is there already"):
        desk.newest().export(tmp_path / "mail.mbox")


def test_a_program_gets_the_bytes_and_no_shell_reads_the_words(desk: Desk, tmp_path: Path) -> None:
    desk.open()
    desk.deliver(Subject=EVIL)
    desk.settle()
    out = tmp_path / "out"
    code = "import sys; open(sys.argv[1], 'ab').write(sys.stdin.buffer.read()); print(sys.argv[2:])"
    job = desk.newest().pipe([sys.executable, "-c", code, str(out), "$(touch evil)", ";", "touch evil"])
    assert repr(job).startswith("<piped 1 message to ")
    assert out.read_bytes() == desk.newest().raw
    desk.newest().pipe(f"{sys.executable} -c 'pass' '$(touch evil)'")
    assert not list(Path.cwd().glob("evil"))


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("", "name a command"),
        ("no-such-program-here", "cannot run no-such-program-here"),
        ("false", "status 1"),
    ],
)
def test_a_program_that_fails_is_told(desk: Desk, command: str, error: str) -> None:
    desk.open()
    desk.deliver()
    desk.settle()
    with pytest.raises(CommandError, match=error):
        desk.newest().pipe(command)


def test_a_message_goes_on_as_it_is(desk: Desk) -> None:
    desk.open()
    desk.deliver(Subject="original", Bcc="hidden@example.net")
    desk.settle()
    before = desk.newest().raw
    desk.newest().resend("Carol <carol@example.net>, dave@example.net").wait(10)
    [(stored, sent)] = desk.replies()
    assert stored.recipients == ("carol@example.net", "dave@example.net")
    assert stored.sender == desk.address
    assert sent["Resent-From"] == desk.address
    assert sent["Resent-To"] == "Carol <carol@example.net>, dave@example.net"
    assert sent["Resent-Message-ID"] != sent["Message-ID"]
    original = message_from_bytes(before)
    assert (sent["From"], sent["Subject"], sent["Message-ID"]) == (
        original["From"], "original", original["Message-ID"],
    )  # fmt: skip
    assert sent["Bcc"] is None
    assert sent["Return-Path"] is None
    assert sent.get_payload() == original.get_payload()
    with pytest.raises(CommandError, match="is no address"):
        desk.newest().resend("nobody")


def test_what_a_rule_sends_on_does_not_go_round(desk: Desk) -> None:
    agent = desk.open()
    calls: list[str] = []

    @agent.context.rules.rule("")
    def onward(message: Message) -> None:
        calls.append(message.resend("carol@example.net").error)

    api.activate(agent.context)
    desk.deliver()
    desk.settle()
    [(stored, _)] = desk.replies()
    desk.dovecot.deliver(desk.user, stored.data, "carol@example.net")
    desk.settle()
    assert calls == ["", "we sent it on before"]
    assert len(desk.replies()) == 1
