"""Mail out through a command with sendmail's interface: sendmail, msmtp, nullmailer, exim."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from typing import IO

from agent.errors import CommandError, NetworkError, Refused
from agent.net.base import Envelope, Receipt
from agent.net.said import said

# sysexits.h: no host, service unavailable, system error, cannot create, I/O error, try again.
_PASSING = {68, 69, 71, 73, 74, 75}


class SendmailTransport:
    """Runs `COMMAND -i -f SENDER -- RECIPIENTS` with the message on standard input.

    A `-t` in the command is left out: the envelope decides, and Bcc is not in the message.
    """

    def __init__(self, command: str | Sequence[str], *, limit_s: float = 300.0) -> None:
        try:
            words = shlex.split(command) if isinstance(command, str) else list(command)
        except ValueError as error:
            raise CommandError(f"sendmail: {command!r} cannot be read: {error}") from error
        if not words:
            raise CommandError("sendmail: the command is empty; write for example: msmtp")
        self._words = [os.path.expanduser(words[0]), *(word for word in words[1:] if word != "-t")]
        self._limit_s = limit_s

    def __repr__(self) -> str:
        return f"<sendmail {self._words[0]}>"

    def connect(self) -> None:
        """Do nothing; the command connects by itself."""

    def close(self) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing: a command that has the message is left to finish."""

    def send(self, envelope: Envelope, data: bytes, before_end: Callable[[], None]) -> Receipt:
        """Send one message; see Transport. The end is the closing of the command's standard input."""
        words = [*self._words, "-i", "-f", envelope.sender or "<>", "--", *envelope.recipients]
        for word in (envelope.sender, *envelope.recipients):
            if word.startswith("-") or any(character in word for character in "\r\n\0 "):
                raise Refused(f"{word!r} is no address that can be sent to; nothing was sent")
        with tempfile.TemporaryFile() as told:
            process = self._start(words, told)
            self._feed(process, data, before_end)
            return self._judge(process, told)

    def _start(self, words: list[str], told: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=told,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is not for it
            )
        except OSError as error:
            raise NetworkError(f"sendmail: {words[0]!r} cannot be started: {error}") from error

    def _feed(self, process: subprocess.Popen[bytes], data: bytes, before_end: Callable[[], None]) -> None:
        assert process.stdin is not None
        try:
            try:
                process.stdin.write(data.replace(b"\r\n", b"\n"))
                process.stdin.flush()
            except OSError:
                return  # it ended early; its exit status says why
            before_end()
        except BaseException:
            # Killed before its input ended, so that it cannot take half a message for a whole one.
            _kill(process)
            raise
        finally:
            _close(process)

    def _judge(self, process: subprocess.Popen[bytes], told: IO[bytes]) -> Receipt:
        try:
            status = process.wait(self._limit_s)
        except subprocess.TimeoutExpired as error:
            _kill(process)
            raise NetworkError(f"sendmail: no end within {self._limit_s:.0f} s; stopped") from error
        told.seek(0)
        words = said(told.read(2000)) or "no reason given"
        if status:
            what = f"was ended by signal {-status}" if status < 0 else f"failed with status {status}"
            raise Refused(
                f"sendmail: {self._words[0]} {what}: {words}",
                permanent=status > 0 and status not in _PASSING,
                code=status,
            )
        return Receipt(words)


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        try:
            process.stdin.close()
        except OSError:
            pass


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()
