"""The `link` thread: one process owns the wires of a data folder, all know when the store changes.

The owner holds a flock; the pid in the lock file is only information. A 0600 socket carries
"changed" between the owner and the others. When the owner ends, however it ends, its socket closes
and whoever may takes over. A look at the file once a second catches what the socket missed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.store.db import Store
from agent.threads import spawn

_log = logging.getLogger("agent.link")
_TICK_S = 1.0
_CHANGED = b"changed\n"


class Link:
    """This process's place among those that share the data folder."""

    def __init__(
        self, store: Store, lock: Path, path: Path, *, may_own: bool,
        became_owner: Callable[[], None], dispatch: Callable[[], None], tick: Callable[[], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._lock_path = lock
        self._path = path
        self._may_own = may_own
        self._became_owner = became_owner
        self._dispatch = dispatch  # after each commit, on the link thread, when this process owns
        self._tick = tick  # once a second
        self.owner = False
        self._lock: int | None = None
        self._listener: socket.socket | None = None
        self._peers: set[socket.socket] = set()
        self._stopping = False
        self._announce = False
        self._version = 0

    def start(self) -> None:
        """Become the owner or find it, then start the thread."""
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._near, selectors.EVENT_READ)
        self._join()
        self._store.announce = self._committed
        self._unsubscribe = self._store.subscribe(self._ring)
        self._thread = spawn("link", self._run)

    def stop(self) -> None:
        """End the thread. The wires stay ours until `release`, so that nobody else begins too early."""
        self._stopping = True
        self._unsubscribe()
        self._store.announce = lambda: None
        self._ring()
        self._thread.join(10)

    def release(self) -> None:
        """Leave; another process may own from now on."""
        for peer in list(self._peers):
            self._drop(peer)
        if self._listener is not None:
            self._listener.close()
            self._path.unlink(missing_ok=True)
            self._listener = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self.owner = False
        self._selector.close()
        self._near.close()
        self._far.close()

    # -- owner or not ------------------------------------------------------------------------

    def _join(self) -> None:
        if self._may_own and self._acquire():
            self.owner = True
            try:
                self._listen()
            except OSError as error:
                # The others look at the store once a second as well; the lock is what counts.
                _log.info("no socket at %s (%s): other processes notice changes later", self._path, error)
            return
        self._connect()

    def _acquire(self) -> bool:
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._lock = lock
        return True

    def _listen(self) -> None:
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listener.bind(str(self._path))
            listener.listen(32)
        except OSError:
            listener.close()
            raise
        finally:
            os.umask(before)
        listener.setblocking(False)
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ)

    def _connect(self) -> None:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            peer.connect(str(self._path))
        except OSError:
            # The owner is just starting or ending; the next tick tries again.
            peer.close()
            return
        self._add(peer)

    def _add(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        self._peers.add(peer)
        self._selector.register(peer, selectors.EVENT_READ)

    def _drop(self, peer: socket.socket) -> None:
        if peer in self._peers:
            self._peers.discard(peer)
            self._selector.unregister(peer)
            peer.close()

    def _rejoin(self) -> None:
        """Without a connection to an owner: take over, or look for the new one."""
        if self.owner or self._peers:
            return
        self._join()
        if self.owner:
            _log.info("this process owns the wires now")
            self._became_owner()

    # -- the thread --------------------------------------------------------------------------

    def _committed(self) -> None:
        self._announce = True
        self._ring()

    def _ring(self) -> None:
        try:
            self._far.send(b"!")
        except (BlockingIOError, OSError):
            # Full: it rings already. Closed: we are stopping.
            return

    def _run(self) -> None:
        ticked = time.monotonic()
        while not self._stopping:
            ready = self._selector.select(max(0.0, ticked + _TICK_S - time.monotonic()))
            due = time.monotonic() >= ticked + _TICK_S
            if due:
                ticked = time.monotonic()
            try:
                self._turn([key.fileobj for key, _ in ready], due)
            except Exception:  # without this thread nobody would be woken any more
                if not self._stopping:
                    _log.exception("the link stumbled; it goes on")

    def _turn(self, ready: Sequence[object], due: bool) -> None:
        """Hear what came, tell what changed, and once a second look around."""
        for source in ready:
            self._read(source)
        if self._stopping:
            return
        if self._announce:
            self._announce = False
            self._tell(None)
        if due:
            self._look()
            self._rejoin()
            self._tick()
        if self.owner:
            self._dispatch()

    def _read(self, source: object) -> None:
        if source is self._listener:
            self._accept()
        elif source is self._near:
            _received(self._near)
        elif source in self._peers:
            assert isinstance(source, socket.socket)
            data = _received(source)
            if data:
                self._store.changed()
                self._tell(source)
            elif data is not None:
                self._drop(source)
                self._rejoin()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return  # it left before we answered
        self._add(peer)

    def _tell(self, but: socket.socket | None) -> None:
        for peer in list(self._peers):
            if peer is not but:
                try:
                    peer.send(_CHANGED)
                except BlockingIOError:
                    continue  # it has plenty to read already
                except OSError:
                    self._drop(peer)

    def _look(self) -> None:
        """Notice commits of others that no socket told of."""
        version = self._store.read("PRAGMA data_version")[0][0]
        if version != self._version:
            self._version = version
            self._store.changed()


def _received(source: socket.socket) -> bytes | None:
    """Return what there is to read: nothing when the other side has left, None when it only seemed so."""
    try:
        return source.recv(65536)
    except BlockingIOError:
        return None
    except OSError:
        return b""
