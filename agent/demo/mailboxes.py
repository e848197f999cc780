"""The IMAP side of the demo: pymap's mailboxes in memory, with keywords that persist.

Everything here runs in the demo's event loop.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from argparse import Namespace
from collections.abc import Iterable
from datetime import UTC, datetime

from proxyprotocol.sock import SocketInfoLocal
from pymap.backend.dict import Config, Login
from pymap.backend.dict.filter import FilterSet
from pymap.backend.dict.mailbox import MailboxData, MailboxSet
from pymap.concurrent import Subsystem
from pymap.imap import IMAPServer
from pymap.mailbox import MailboxSnapshot
from pymap.parsing.message import AppendMessage
from pymap.parsing.specials import Flag, ObjectId
from pymap.parsing.specials.flag import Wildcard
from pymap.user import UserMetadata
from pysasl.hashing import Cleartext

log = logging.getLogger(__name__)

_FOLDERS = ("Sent", "Drafts", "Trash", "Archive", "Junk")


class Mailboxes:
    """The users of the demo and their mail; `connected` serves one IMAP connection."""

    def __init__(self) -> None:
        config = _make_config()
        config.apply_context()  # before any mailbox is made, and in the thread of the loop
        self._config = config
        self._login = Login(config)
        self._imap = IMAPServer(self._login, config)
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def add_user(self, user: str, password: str) -> None:
        """Make a user with an inbox and the usual folders."""
        self._login.users_dict[user] = UserMetadata(self._config, user, password=password)
        mailboxes = _MailboxSet()
        self._config.set_cache[user] = (mailboxes, FilterSet())
        for folder in _FOLDERS:
            await mailboxes.add_mailbox(folder)
            await mailboxes.set_subscribed(folder, True)

    async def put(
        self, user: str, folder: str, raw: bytes, flags: Iterable[str] = (), received: float | None = None
    ) -> None:
        """Append a message to a folder, which is made when it is not there."""
        mailboxes, _ = self._config.set_cache[user]
        try:
            mailbox = await mailboxes.get_mailbox(folder)
        except KeyError:
            await mailboxes.add_mailbox(folder)
            await mailboxes.set_subscribed(folder, True)
            mailbox = await mailboxes.get_mailbox(folder)
        when = datetime.now(UTC) if received is None else datetime.fromtimestamp(received, UTC)
        keywords = frozenset(Flag(flag.encode("ascii")) for flag in flags)
        await mailbox.append(AppendMessage(raw, when, keywords), recent=True)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection until it ends; the callback of asyncio.start_server."""
        # pymap's own callback leaves its task unreferenced: it can be collected in mid-connection.
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            await self._imap(reader, writer, SocketInfoLocal(writer))
        except Exception:  # a bug of the library ends one connection, not the server
            log.info("connection to the demo server failed", exc_info=True)
        finally:
            del self._connections[task]
            writer.close()

    async def disconnect_all(self) -> None:
        """End all connections; idling ones too."""
        tasks = set(self._connections)
        for writer in self._connections.values():
            writer.transport.abort()  # the reader sees the end: IDLE ends in order, not by cancelling
        if tasks:
            await asyncio.wait(tasks, timeout=2)


class _Config(Config):
    @property
    def greeting(self) -> bytes:
        return b"demo server ready"  # the library's own asks the resolver for the name of this machine


def _make_config() -> _Config:
    arguments = Namespace(passlib_cfg=None, proxy_protocol=None)
    return _Config(
        arguments,
        host="127.0.0.1",
        port=0,
        demo_data=False,
        demo_user="",
        demo_password="",
        subsystem=Subsystem.for_asyncio(),
        cpu_subsystem=Subsystem.for_asyncio(),  # the default would make threads of its own
        hash_context=Cleartext(),
        ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        tls_enabled=False,
        invalid_user_sleep=0,
    )


class _Snapshot(MailboxSnapshot):
    @property
    def flags(self) -> frozenset[Flag]:
        return super().flags - {Wildcard}  # it belongs into PERMANENTFLAGS only (RFC 9051 7.3.5)


class _Mailbox(MailboxData):
    """A mailbox that takes any keyword; the library's drops those it does not know."""

    @property
    def permanent_flags(self) -> frozenset[Flag]:
        return super().permanent_flags | {Wildcard}

    async def snapshot(self) -> MailboxSnapshot:
        plain = await super().snapshot()
        return _Snapshot(
            plain.mailbox_id,
            plain.readonly,
            plain.uid_validity,
            plain.permanent_flags,
            plain.session_flags,
            plain.exists,
            plain.recent,
            plain.unseen,
            plain.first_unseen,
            plain.next_uid,
        )


class _MailboxSet(MailboxSet):
    def __init__(self) -> None:
        super().__init__()
        self._inbox = self._new()

    def _new(self) -> _Mailbox:
        return _Mailbox(self._content_cache, self._thread_cache)

    async def add_mailbox(self, name: str) -> ObjectId:
        if name in self._set:
            raise ValueError(name)
        async with self._set_lock.write_lock():
            mailbox = self._set[name] = self._new()
        return mailbox.mailbox_id
