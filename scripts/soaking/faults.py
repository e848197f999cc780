"""The steps of a run, counted; one of them is deadly, or loses an answer.

Lives in the process that runs the agent, and is wrapped around it from outside: the product knows
nothing of it. Steps are: each commit, just before and just after; each command before it leaves;
each end of an answer before anybody has read it; and the same of SMTP.
"""

from __future__ import annotations

import os
import re
import signal
import smtplib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from agent.net import smtp
from agent.net.stream import Stream
from agent.net.wire import Client, Wire
from agent.store.db import Store

_TAG = re.compile(rb"\A([A-Z]+\d+) ")
_SECRET = re.compile(r"\A(LOGIN|AUTHENTICATE|AUTH)\b.*", re.IGNORECASE)
_NEW_UIDS = re.compile(rb"\[(?:COPYUID|APPENDUID)")
KILL, LOSE = "kill", "lose"


class Faults:
    """Counts the steps of this process; at step `at` it dies (`kill`) or an answer is lost (`lose`)."""

    def __init__(self, trace: Path, fault: str = "", at: int = 0) -> None:
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._kill_at = at if fault == KILL else 0
        self._lose_at = at if fault == LOSE else 0
        self._steps = self._answers = 0
        self._door = threading.Lock()
        self._deaf: tuple[Stream, bytes] | None = None  # whose answer is to be lost, and its tag

    def install(self) -> None:
        """Wrap store and wires of this process; there is no way back."""
        self._wrap_store()
        self._wrap_imap()
        self._wrap_smtp()

    def step(self, label: str) -> None:
        """Count a step, and die at it if it is the one."""
        with self._door:
            self._steps += 1
            os.write(self._trace, f"{label}  [{threading.current_thread().name}]\n".encode())
            if self._steps == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()

    def loses(self) -> bool:
        """Count an answer, and tell whether it is the one to be lost."""
        with self._door:
            self._answers += 1
            if self._answers != self._lose_at:
                return False
            os.write(self._trace, b"its answer is lost\n")
            return True

    # -- the store ---------------------------------------------------------------------------

    def _wrap_store(self) -> None:
        commit = Store._commit

        def counted(store: Store, work: Callable[[Any], Any], durable: bool, future: Future[Any]) -> None:
            name = f"{work.__module__.removeprefix('agent.')}.{getattr(work, '__qualname__', work)}"
            name = name.replace(".<locals>", "").replace(".<lambda>", "")
            told = _Told(future)

            def deadly(tx: Any) -> Any:
                before = tx.total_changes
                result = work(tx)
                told.changed = tx.total_changes != before
                if told.changed:
                    self.step(f"before the commit of {name}")
                return result

            told.then = lambda: self.step(f"after the commit of {name}")
            commit(store, deadly, durable, told)

        Store._commit = counted  # type: ignore[assignment, method-assign]

    # -- IMAP --------------------------------------------------------------------------------

    def _wrap_imap(self) -> None:
        send, receive, fill = Stream.send, Wire.receive, Stream._receive
        words: dict[bytes, str] = {}
        going: dict[str, str] = {}  # what a thread has begun to send

        def sending(stream: Stream, data: bytes) -> None:
            tag = _TAG.match(data)
            thread = threading.current_thread().name
            said = _said(data[tag.end() :]) if tag else f"{len(data)} octets more of {going.get(thread)}"
            if tag:
                going[thread] = said
            self.step(f"before sending {said}")
            send(stream, data)
            if tag:
                words[tag[1]] = said
            if not said.startswith("LOGOUT") and self.loses():
                self._deaf = stream, tag[1] if tag else b""

        def receiving(wire: Wire) -> Any:
            response = receive(wire)
            if isinstance(response, bytes):
                self.step(f"with the answer to {words.get(response, '?')}")
            elif response is None:
                self.step(f"with leave to go on with {going.get(threading.current_thread().name)}")
            return response

        def filling(stream: Stream) -> bool:
            if self._deaf is None or self._deaf[0] is not stream:
                return fill(stream)
            _, tag = self._deaf
            self._deaf = None
            raise _lost(stream, tag)

        Stream.send, Wire.receive, Stream._receive = sending, receiving, filling  # type: ignore[assignment, method-assign]

    # -- SMTP --------------------------------------------------------------------------------

    def _wrap_smtp(self) -> None:
        send, reply = smtplib.SMTP.send, smtp._Smtp.getreply

        def sending(client: smtplib.SMTP, data: Any) -> None:
            said = _said(data if isinstance(data, bytes) else data.encode())
            self.step(f"before saying {said}")
            send(client, data)

        def hearing(client: smtp._Smtp) -> tuple[int, bytes]:
            code, text = reply(client)
            self.step(f"with the reply {code}")
            if self.loses():
                raise client.lost("the reply was lost")
            return code, text

        smtplib.SMTP.send = sending  # type: ignore[assignment, method-assign]
        smtp._Smtp.getreply = hearing  # type: ignore[assignment, method-assign]


class _Told(Future[Any]):
    """Stands before a future, to be there between the commit and whoever hears of it."""

    def __init__(self, future: Future[Any]) -> None:
        super().__init__()
        self._future = future
        self.changed = False
        self.then: Callable[[], None] = lambda: None

    def set_result(self, result: Any) -> None:
        if self.changed:
            self.then()
        self._future.set_result(result)

    def set_exception(self, exception: BaseException | None) -> None:
        self._future.set_exception(exception)


def _said(data: bytes) -> str:
    line = data.partition(b"\r\n")[0].decode("ascii", "replace")
    return _SECRET.sub(r"\1", line)[:90]


def _lost(stream: Stream, tag: bytes) -> Exception:
    """Wait until the server has answered, throw the answer away and cut the line."""
    end = re.compile(rb"(?:\A|\n)(?:%s |\+)[^\n]*\n" % (re.escape(tag) or b"[A-Z]+\\d+"))
    heard = b""
    stream.sock.settimeout(20)
    while not end.search(heard) and (piece := stream.sock.recv(1 << 16)):
        heard += piece
    return stream.failed("the answer was lost")


def strip(*capabilities: str) -> None:
    """Have servers lack capabilities, and keep them from using what they lack."""
    normalised, line = Client.normalised_capabilities, Stream.line

    def lacking(client: Client) -> frozenset[str]:
        return normalised(client) - set(capabilities)

    def without_uids(stream: Stream) -> bytes:
        return _NEW_UIDS.sub(b"[NOTHING", line(stream))

    Client.normalised_capabilities = lacking  # type: ignore[assignment,method-assign]
    if "UIDPLUS" in capabilities:
        Stream.line = without_uids  # type: ignore[assignment, method-assign]
