"""A bell between threads: a byte on a socketpair ends a wait, also one for a server."""

from __future__ import annotations

import socket


class Bell:
    """One thread waits for it, or gives its `fd` to a poll; any thread may ring."""

    def __init__(self) -> None:
        self._far, self._near = socket.socketpair()
        self._far.setblocking(False)
        self._near.setblocking(False)

    @property
    def fd(self) -> int:
        """The descriptor that is readable once the bell has rung."""
        return self._near.fileno()

    def ring(self) -> None:
        """End the wait; safe on any thread, also after `close`."""
        try:
            self._far.send(b"!")
        except OSError:
            pass  # full: it rings already; closed: nobody waits any more

    def clear(self) -> None:
        """Forget what rang so far; what is asked for must be looked at after this, not before."""
        try:
            while self._near.recv(4096):
                pass
        except BlockingIOError:
            pass

    def wait(self, timeout: float) -> bool:
        """Wait until it rings, and clear it; return whether it rang."""
        self._near.settimeout(max(timeout, 0.001))
        try:
            self._near.recv(4096)
        except TimeoutError:
            return False
        finally:
            self._near.setblocking(False)
        self.clear()
        return True

    def close(self) -> None:
        """Free the descriptors."""
        self._far.close()
        self._near.close()
