"""The demo server: IMAP and SMTP on loopback ports, in one thread of its own, all in memory.

    with DemoServer() as server:
        config = demo_config(server)

Mail to an address of the demo lands in that user's INBOX. Mail to anybody else is kept in
`delivered`, and unless it is automatic the robot of answers.py answers it a moment later.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from agent.clock import Clock, SystemClock
from agent.config.schema import (
    AccountConfig,
    Alias,
    Config,
    FetchConfig,
    ImapConfig,
    OfflineConfig,
    Secret,
    SmtpConfig,
)
from agent.demo.answers import robot_answer
from agent.demo.mailboxes import Mailboxes
from agent.demo.samples import arrival, load_samples
from agent.demo.submission import Delivered, Submission
from agent.errors import NetworkError
from agent.threads import spawn

log = logging.getLogger(__name__)

T = TypeVar("T")

_START_LIMIT_S = 20
_STOP_LIMIT_S = 10


@dataclass(frozen=True, slots=True)
class DemoUser:
    """A user of the demo; the password is the user's name."""

    user: str
    name: str
    address: str
    aliases: tuple[str, ...] = ()

    @property
    def password(self) -> str:
        return self.user


USERS = (
    DemoUser("demo", "Robin Example", "robin@demo.example", ("support@demo.example",)),
    DemoUser("home", "Robin", "robin@home.example"),
)


class DemoServer:
    """An IMAP server with sample mail and an SMTP server that delivers into it.

    `later` seconds after the start one more message comes, from a person; None for never. The
    robot answers after `answer_after` seconds; None for never. `samples=False` leaves the mailboxes
    empty. Methods may be called on any thread but the server's own.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        later: float | None = 20.0,
        answer_after: float | None = 1.0,
        samples: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.imap_port = 0
        self.smtp_port = 0
        self._later = later
        self._answer_after = answer_after
        self._samples = samples
        self._clock = clock or SystemClock()
        self._user_of = {address: one.user for one in USERS for address in (one.address, *one.aliases)}
        self._delivered: list[Delivered] = []
        self._answers: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None  # noqa: TID251  # named, not made
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> DemoServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start serving; returns when the sample mail is there. Raises NetworkError when it cannot."""
        self._thread = spawn("demo", self._run)
        if not self._ready.wait(_START_LIMIT_S):
            raise NetworkError(f"the demo server did not start within {_START_LIMIT_S} s")
        if self._failure is not None:
            self._thread.join(_STOP_LIMIT_S)
            raise NetworkError(f"the demo server cannot start: {self._failure}") from self._failure

    def stop(self) -> None:
        """End all connections and the thread; safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is None or not thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join(_STOP_LIMIT_S)

    def deliver(
        self, raw: bytes, *, user: str = "demo", folder: str = "INBOX", flags: Sequence[str] = ()
    ) -> None:
        """Put a message into a folder, as if it had just come; `flags` are words of the wire."""
        self._call(self._mailboxes.put(user, folder, raw, flags, self._clock.now()))

    @property
    def delivered(self) -> tuple[Delivered, ...]:
        """What was sent to addresses outside the demo, in order."""
        return tuple(self._delivered)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        if self._thread is None:
            work.close()
            raise NetworkError("the demo server is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_STOP_LIMIT_S)

    # The server's own thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # told to who waits in start
            self._failure = error
            log.debug("the demo server ended", exc_info=True)
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._mailboxes = Mailboxes()
        for one in USERS:
            await self._mailboxes.add_user(one.user, one.password)
        for sample in load_samples(self._clock.now()) if self._samples else ():
            await self._mailboxes.put(
                sample.account, sample.folder, sample.raw, sample.flags, sample.received
            )
        passwords = {one.user: one.password for one in USERS}
        submission = Submission(passwords, self._user_of, self._take)
        imap = await asyncio.start_server(self._mailboxes.connected, self.host, 0)
        smtp = await self._loop.create_server(submission.protocol, self.host, 0)
        self.imap_port = imap.sockets[0].getsockname()[1]
        self.smtp_port = smtp.sockets[0].getsockname()[1]
        if self._later is not None:
            self._soon(self._arrive(self._later))
        self._ready.set()
        await self._stopping.wait()
        imap.close()
        smtp.close()
        for task in self._answers:
            task.cancel()
        await submission.disconnect_all()
        await self._mailboxes.disconnect_all()

    async def _arrive(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        sample = arrival(self._clock.now())
        await self._mailboxes.put(sample.account, sample.folder, sample.raw, (), sample.received)

    async def _take(self, delivered: Delivered) -> None:
        """Deliver what came over SMTP."""
        users = {address: self._user_of.get(address.lower()) for address in delivered.recipients}
        for user in dict.fromkeys(user for user in users.values() if user):
            await self._mailboxes.put(user, "INBOX", delivered.raw, (), self._clock.now())
        outside = tuple(address for address, user in users.items() if user is None)
        if outside:
            self._delivered.append(Delivered(delivered.sender, outside, delivered.raw))
            if self._answer_after is not None and delivered.sender.lower() in self._user_of:
                self._soon(self._answer(delivered, outside[0], self._answer_after))

    async def _answer(self, delivered: Delivered, recipient: str, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        try:
            answer = robot_answer(delivered, recipient, self._clock.now())
        except Exception:  # mail that the library cannot read gets no answer
            log.info("the robot cannot answer this message", exc_info=True)
            return
        if answer is not None:
            user = self._user_of[delivered.sender.lower()]
            await self._mailboxes.put(user, "INBOX", answer, (), self._clock.now())

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)


def demo_config(server: DemoServer) -> Config:
    """Return the configuration of the demo's accounts `demo` and `home`."""
    return Config(accounts={one.user: _account(one, server) for one in USERS})


def _account(one: DemoUser, server: DemoServer) -> AccountConfig:
    return AccountConfig(
        name=one.name,
        address=one.address,
        aliases=[Alias(address=address, name=f"{one.name} (support)") for address in one.aliases],
        imap=ImapConfig(host=server.host, port=server.imap_port, security="none"),
        smtp=SmtpConfig(host=server.host, port=server.smtp_port, security="none"),
        user=one.user,
        password=Secret(one.password),
        fetch=FetchConfig(every="1m"),
        offline=OfflineConfig(bodies="all"),
    )
