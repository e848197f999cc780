from __future__ import annotations

import stat
from pathlib import Path

import pytest

from agent.errors import CommandError, NetworkError, Refused
from agent.net.base import Envelope
from agent.net.sendmail import SendmailTransport

ENVELOPE = Envelope("ann@example.org", ("bob@example.org", "eve@example.org"))
MESSAGE = b"Subject: hi\r\n\r\n.\r\nbody\r\n"


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """A command that keeps its arguments and what it reads."""
    return script(tmp_path, 'printf "%s\\n" "$@" > args\ncat > got.tmp && mv got.tmp got\n')


def script(folder: Path, body: str) -> Path:
    path = folder / "sendmail"
    path.write_text(f"#!/bin/sh\ncd {folder}\n{body}")
    path.chmod(stat.S_IRWXU)
    return path


def nothing() -> None:
    """Commit nothing."""


def test_the_envelope_goes_as_arguments_and_the_message_with_plain_line_ends(
    command: Path, tmp_path: Path
) -> None:
    SendmailTransport(f"{command} -t --account=work").send(ENVELOPE, MESSAGE, nothing)
    assert (tmp_path / "args").read_text().split() == [
        "--account=work",
        "-i",
        "-f",
        "ann@example.org",
        "--",
        "bob@example.org",
        "eve@example.org",
    ]
    assert (tmp_path / "got").read_bytes() == b"Subject: hi\n\n.\nbody\n"


def test_the_null_sender_is_written_as_such(command: Path, tmp_path: Path) -> None:
    SendmailTransport([str(command)]).send(Envelope("", ("b@example.org",)), MESSAGE, nothing)
    assert "<>" in (tmp_path / "args").read_text().split()


def test_before_end_runs_before_the_command_has_all(command: Path, tmp_path: Path) -> None:
    there: list[bool] = []
    SendmailTransport(str(command)).send(ENVELOPE, MESSAGE, lambda: there.append((tmp_path / "got").exists()))
    assert (there, (tmp_path / "got").exists()) == ([False], True)


def test_an_error_in_before_end_ends_the_command_before_it_has_all(command: Path, tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        SendmailTransport(str(command)).send(ENVELOPE, MESSAGE, fail)
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(("status", "permanent"), [(75, False), (69, False), (67, True), (1, True)])
def test_the_exit_status_says_whether_it_is_for_good(tmp_path: Path, status: int, permanent: bool) -> None:
    command = script(tmp_path, f"cat >/dev/null\necho 'no such \x1b[31muser' >&2\nexit {status}\n")
    with pytest.raises(Refused, match=rf"status {status}: no such \[31muser") as caught:
        SendmailTransport(str(command)).send(ENVELOPE, MESSAGE, nothing)
    assert (caught.value.permanent, caught.value.code) == (permanent, status)


def test_a_command_that_reads_nothing_and_fails_is_told_by_its_status(tmp_path: Path) -> None:
    command = script(tmp_path, "exit 64\n")
    with pytest.raises(Refused, match="status 64"):
        SendmailTransport(str(command)).send(ENVELOPE, MESSAGE + b"x" * 1_000_000, nothing)


def test_a_command_that_hangs_is_stopped(tmp_path: Path) -> None:
    command = script(tmp_path, "cat >/dev/null\nsleep 60\n")
    with pytest.raises(NetworkError, match="stopped") as caught:
        SendmailTransport(str(command), limit_s=0.3).send(ENVELOPE, MESSAGE, nothing)
    assert not isinstance(caught.value, Refused)


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="cannot be started"):
        SendmailTransport(str(tmp_path / "nothing")).send(ENVELOPE, MESSAGE, nothing)


@pytest.mark.parametrize("command", ["", [], "'unfinished"])
def test_a_command_that_is_none_is_told(command: str | list[str]) -> None:
    with pytest.raises(CommandError, match="sendmail"):
        SendmailTransport(command)


@pytest.mark.parametrize("address", ["-oQ/tmp", "a\nb@example.org", "a b@example.org", "a\0@b"])
def test_an_address_that_could_be_an_option_is_refused(command: Path, address: str) -> None:
    for envelope in (Envelope(address, ("b@example.org",)), Envelope("a@example.org", (address,))):
        with pytest.raises(Refused, match="no address"):
            SendmailTransport(str(command)).send(envelope, MESSAGE, nothing)
