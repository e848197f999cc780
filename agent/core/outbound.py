"""The `out:<account>` thread: sends what is in the outbox, one message at a time.

The attempt is counted and committed before connecting; `data-sent` is committed before the final
dot. What ended between that and the server's answer is `uncertain` and is never sent again by
itself. The copy for the Sent folder is an append of its own and can fail without sending again.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from agent.clock import Clock
from agent.core import filing
from agent.core.account import Account
from agent.errors import AuthError, CommandError, NetworkError, Refused, StoreError
from agent.mail import flags
from agent.net.base import Envelope, SenderRefused, Transport
from agent.store import changes, job_rows, outbox
from agent.store.db import Row, Store, Transaction
from agent.threads import end, spawn

_log = logging.getLogger("agent.outbound")

_RETRY_S = (60.0, 3600.0)
_GIVE_UP_S = 5 * 86_400.0
_GLANCE_S = 60.0
_HELD_S = 5.0  # between two attempts to store that something was sent
_LINGER_S = 20.0  # the connection stays open this long for more


class Outbound:
    """One account's way out and the thread that owns it."""

    def __init__(
        self, store: Store, clock: Clock, account: Account, connect: Callable[[], Transport]
    ) -> None:
        self._store = store
        self._clock = clock
        self._account = account
        self._connect = connect
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._stopping = False
        self._transport: Transport | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None  # noqa: TID251  # named, not made

    def start(self) -> None:
        """Mark what a crash left in doubt; the thread starts when there is something to send."""
        self._mark_doubtful()
        if outbox.next_time(self._store.reader, self._account.id, self._clock.now()) is not None:
            self.wake()

    def ask_to_stop(self) -> None:
        """Ask the thread to end after the message on the wire."""
        self._stopping = True
        self._bell.put(None)

    def stop(self, until: float | None = None) -> None:
        """End the thread; a server that does not answer until then (in 5 seconds) is hung up on."""
        self.ask_to_stop()
        with self._lock:
            thread = self._thread
        if thread is not None:
            end(thread, self._abort, until)

    def _abort(self) -> None:
        if (transport := self._transport) is not None:
            transport.abort()

    def wake(self) -> None:
        """Tell the thread that there may be mail to send, starting it first; safe on any thread."""
        with self._lock:
            if self._thread is None and not self._stopping:
                self._thread = spawn(f"out:{self._account.name}", self._run)
        self._bell.put(None)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._mark_doubtful()
                item = outbox.next_due(self._store.reader, self._account.id, self._clock.now())
                if item is None:
                    self._wait()
                else:
                    self._send(item)
            except StoreError as error:
                if self._stopping:
                    return
                # Nothing more leaves before its state can be written down.
                _log.error("%s: %s", self._account.name, error)
                self._hang_up()
                self._hold(_GLANCE_S)
            except Exception:  # a bug must not end the sending of this account
                _log.exception("%s: internal error while sending", self._account.name)
                self._hang_up()
                self._listen(_GLANCE_S)
        self._hang_up()

    def _wait(self) -> None:
        due = outbox.next_time(self._store.reader, self._account.id, self._clock.now())
        # The clock may be set and the machine may sleep: looking each minute is cheap.
        left = _GLANCE_S if due is None else max(0.05, min(_GLANCE_S, due - self._clock.now()))
        if self._transport is None:
            self._listen(left)
        elif not self._listen(min(left, _LINGER_S)):
            self._hang_up()

    def _listen(self, timeout: float) -> bool:
        """Wait for the bell; return whether it rang."""
        try:
            self._bell.get(timeout=timeout)
        except queue.Empty:
            return False
        while not self._bell.empty():
            self._bell.get()
        return True

    def _hold(self, seconds: float) -> None:
        """Wait, whoever rings, unless we are to stop."""
        end = self._clock.monotonic() + seconds
        while not self._stopping and (left := end - self._clock.monotonic()) > 0:
            self._listen(min(left, 1.0))

    # -- one message -------------------------------------------------------------------------

    def _send(self, item: Row) -> None:
        found = outbox.bytes_of(self._store.reader, item["id"])
        if found is None:
            self._fail(item, "its bytes were lost when the store was damaged")
            return
        if not self._store.write(lambda tx: outbox.begin(tx, item["id"]), durable=True).result():
            return  # cancelled just now
        ended = False

        def before_end() -> None:
            nonlocal ended
            self._change(item, state="data-sent")
            ended = True

        try:
            transport = self._connected()
            envelope = Envelope(item["sender"], tuple(json.loads(item["recipients"])))
            receipt = transport.send(envelope, found[0], before_end)
        except Refused as refused:
            self._refused(item, refused)
        except AuthError as error:
            self._hang_up()
            self._later(item, f"login refused: {error}", _RETRY_S[1])
        except (NetworkError, OSError) as error:
            self._hang_up()
            if ended:
                self._doubt(item, str(error))
            else:
                self._retry(item, str(error))
        except CommandError as error:
            # No password to be had, say: not the message's fault.
            self._later(item, str(error), _RETRY_S[1])
        except StoreError:
            raise
        except Exception as error:  # a bug must neither hold up the account's other mail nor send twice
            _log.exception("%s: internal error while sending item %d", self._account.name, item["id"])
            self._hang_up()
            why = f"internal error ({type(error).__name__}); see the log"
            self._doubt(item, why) if ended else self._later(item, why, _RETRY_S[1])
        else:
            self._sent(item, receipt.refused)

    def _connected(self) -> Transport:
        """Return a connection that answers; who refuses that says nothing about the message."""
        if self._transport is None:
            self._transport = self._connect()
        try:
            self._transport.connect()
        except Refused as refused:
            raise NetworkError(str(refused)) from refused
        return self._transport

    def _mark_doubtful(self) -> None:
        """What is `data-sent` while nothing is on the wire was interrupted; it is not sent again by itself."""
        if not outbox.on_the_wire(self._store.reader, self._account.id):
            return
        now, account = self._clock.now(), self._account.id
        for item in self._store.write(lambda tx: outbox.interrupted(tx, account, now), durable=True).result():
            _log.info(
                "%s: outbox item %d may have been sent; retry() or cancel() it", self._account.name, item
            )

    def _refused(self, item: Row, refused: Refused) -> None:
        if isinstance(refused, SenderRefused) and refused.permanent and not item["sender"]:
            # Some servers take no mail from <>: once more with the address, and remembered.
            self._store.write(self._remember_null_sender).result()
            self._change(
                item, state="queued", sender=self._account.config.address, not_before=self._clock.now()
            )
        elif refused.permanent:
            self._fail(item, str(refused))
        else:
            self._retry(item, str(refused))

    def _doubt(self, item: Row, why: str) -> None:
        now = self._clock.now()
        self._store.write(lambda tx: outbox.doubt(tx, item["id"], why, now), durable=True).result()

    def _remember_null_sender(self, tx: Transaction) -> None:
        tx.execute("UPDATE account SET null_sender_refused = 1 WHERE id = ?", (self._account.id,))

    def _retry(self, item: Row, why: str) -> None:
        low, high = _RETRY_S
        self._later(item, why, min(high, low * 2 ** min(item["attempts"], 10)))

    def _later(self, item: Row, why: str, pause: float) -> None:
        now = self._clock.now()
        if now - item["created"] > _GIVE_UP_S:
            self._fail(item, f"given up after 5 days: {why}")
            return
        _log.info("%s: outbox item %d waits: %s", self._account.name, item["id"], why)
        self._change(item, state="queued", error=why, not_before=now + pause)

    def _fail(self, item: Row, why: str) -> None:
        _log.info("%s: outbox item %d was refused: %s", self._account.name, item["id"], why)
        now = self._clock.now()

        def work(tx: Transaction) -> None:
            outbox.change(tx, item["id"], state="failed", error=why)
            if item["job"] is not None:
                job_rows.set_job(tx, item["job"], state="failed", error=why, finished=now)

        self._store.write(work, durable=True).result()

    def _sent(self, item: Row, refused: dict[str, str]) -> None:
        """Note that it is sent; the copy to Sent and the flag on what it answers go their own way.

        Recipients that were refused for now get it in a message of their own, later.
        """
        now = self._clock.now()
        later = [who for who, why in refused.items() if why.startswith("4")]
        told = "; ".join(f"not delivered to {who}: {why}" for who, why in refused.items())
        copy = filing.copy_of(self._store.reader, item, now)
        sent = filing.sent_folder(self._store.reader, self._account)

        def work(tx: Transaction) -> None:
            outbox.change(tx, item["id"], state="sent", sent=now, error=told, filed=int(sent is not None))
            if later:
                outbox.defer(tx, item, later, now + _RETRY_S[0], told)
            elif item["job"] is not None:
                job_rows.set_job(tx, item["job"], state="done", error=told, finished=now)
            if copy is not None and sent is not None:
                filing.file(tx, self._account, sent, item, copy, now)
            if item["answers"] is not None:
                forward = item["forwards"]
                bit, word = (flags.FORWARDED, "forwarded") if forward else (flags.ANSWERED, "answered")
                job = job_rows.add_job(
                    tx, "verb", f"marked 1 message {word}", now, origin="rule", cause="sent"
                )
                changes.change_flags(tx, job, [item["answers"]], bit, 0)
                job_rows.finish(tx, job, now)

        self._keep(work)

    def _keep(self, work: Callable[[Transaction], None]) -> None:
        """Store what the server has told us; without room it is held until there is some.

        Should the program end before that, the message is `uncertain`, as after a crash.
        """
        while True:
            try:
                self._store.write(work, durable=True).result()
            except StoreError as error:
                if self._stopping:
                    raise
                _log.error("%s: a message is sent, which cannot be stored yet: %s", self._account.name, error)
                self._hold(_HELD_S)
            else:
                return

    # -- common ------------------------------------------------------------------------------

    def _change(self, item: Row, **columns: Any) -> None:
        """Change the item, on disk when it returns."""
        self._store.write(lambda tx: outbox.change(tx, item["id"], **columns), durable=True).result()

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
