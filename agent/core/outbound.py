"""The `out:<account>` thread: sends what is in the outbox, one message at a time.

The attempt is counted and committed before connecting; `data-sent` is committed before the final
dot. What ended between that and the server's answer is `uncertain` and is never sent again by
itself. The copy for the Sent folder is an append of its own and can fail without sending again.
"""

from __future__ import annotations

import json
import logging
import queue
from collections.abc import Callable
from typing import Any

from agent.clock import Clock
from agent.core import bodies
from agent.core.account import Account
from agent.errors import AuthError, CommandError, NetworkError, Refused, StoreError
from agent.mail import flags
from agent.net.base import Envelope, Transport
from agent.store import folders, journal, outbox
from agent.store.db import Row, Store, Transaction
from agent.threads import spawn

_log = logging.getLogger("agent.outbound")

_RETRY_S = (60.0, 3600.0)
_GIVE_UP_S = 5 * 86_400.0
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

    def start(self) -> None:
        """Mark what a crash left in doubt, then start the thread."""
        for item in self._store.write(
            lambda tx: outbox.interrupted(tx, self._account.id), durable=True
        ).result():
            _log.info(
                "%s: outbox item %d may have been sent; retry() or cancel() it", self._account.name, item
            )
        self._thread = spawn(f"out:{self._account.name}", self._run)

    def stop(self) -> None:
        """Ask the thread to end after the message on the wire, and wait for it a while."""
        self._stopping = True
        self._bell.put(None)
        self._thread.join(5)

    def wake(self) -> None:
        """Tell the thread that there may be mail to send; safe on any thread."""
        self._bell.put(None)

    def _run(self) -> None:
        while not self._stopping:
            try:
                item = outbox.next_due(self._store.reader, self._account.id, self._clock.now())
                if item is None:
                    self._wait()
                else:
                    self._send(item)
            except StoreError as error:
                if not self._stopping:
                    _log.error("%s: %s", self._account.name, error)
                return
            except Exception:  # a bug must not end the sending of this account
                _log.exception("%s: internal error while sending", self._account.name)
                self._hang_up()
                self._listen(60.0)
        self._hang_up()

    def _wait(self) -> None:
        due = outbox.next_time(self._store.reader, self._account.id)
        left = 3600.0 if due is None else max(0.05, due - self._clock.now())
        if self._transport is None:
            self._listen(min(left, 3600.0))
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

    # -- one message -------------------------------------------------------------------------

    def _send(self, item: Row) -> None:
        self._change(item, state="connecting", attempts=item["attempts"] + 1)
        ended = False

        def before_end() -> None:
            nonlocal ended
            self._change(item, state="data-sent")
            ended = True

        try:
            if self._transport is None:
                self._transport = self._connect()
            self._transport.connect()  # keeps a connection that still answers
            envelope = Envelope(item["sender"], tuple(json.loads(item["recipients"])))
            receipt = self._transport.send(envelope, bytes(item["data"]), before_end)
        except Refused as refused:
            self._refused(item, refused)
        except AuthError as error:
            self._hang_up()
            self._later(item, f"login refused: {error}", _RETRY_S[1])
        except (NetworkError, OSError) as error:
            self._hang_up()
            if ended:
                self._change(item, state="uncertain", error=str(error))
            else:
                self._retry(item, str(error))
        except CommandError as error:
            # No password to be had, say: not the message's fault.
            self._later(item, str(error), _RETRY_S[1])
        else:
            told = "; ".join(f"{who}: {why}" for who, why in receipt.refused.items())
            self._sent(item, f"not delivered to {told}" if told else "")

    def _refused(self, item: Row, refused: Refused) -> None:
        if item["automatic"] and not item["sender"] and not self._null_sender_refused():
            # Some servers take no mail from <>: once more with the address, and remembered.
            self._store.write(self._remember_null_sender).result()
            self._change(
                item, state="queued", sender=self._account.config.address, not_before=self._clock.now()
            )
        elif refused.permanent:
            self._fail(item, str(refused))
        else:
            self._retry(item, str(refused))

    def _null_sender_refused(self) -> bool:
        sql = "SELECT null_sender_refused FROM account WHERE id = ?"
        return bool(self._store.read(sql, (self._account.id,))[0][0])

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
                journal.set_job(tx, item["job"], state="failed", error=why, finished=now)

        self._store.write(work, durable=True).result()

    def _sent(self, item: Row, told: str) -> None:
        """Note that it is sent; the copy to Sent and the flag on what it answers go their own way."""
        now = self._clock.now()
        copy = None if item["copy"] is None else bodies.of_bytes(
            bytes(item["copy"]), uid=None, flags=flags.SEEN, tags="", received=int(now), size=len(item["copy"])
        )  # fmt: skip
        sent = self._sent_folder()

        def work(tx: Transaction) -> None:
            outbox.change(tx, item["id"], state="sent", sent=now, error=told)
            if item["job"] is not None:
                journal.set_job(tx, item["job"], state="done", error=told, finished=now)
            if copy is not None and sent is not None:
                job = journal.add_job(
                    tx,
                    "verb",
                    f"kept a copy of {item['subject']!r}",
                    now,
                    origin="rule",
                    cause="copy to Sent",
                )
                journal.append(tx, job, self._account.id, sent, copy)
            if item["answers"] is not None:
                bit = flags.FORWARDED if item["forwards"] else flags.ANSWERED
                job = journal.add_job(
                    tx, "verb", "marked 1 message answered", now, origin="rule", cause="sent"
                )
                journal.change_flags(tx, job, [item["answers"]], bit, 0)
                journal.finish(tx, job, now)

        self._store.write(work, durable=True).result()

    def _sent_folder(self) -> int | None:
        wanted = self._account.config.folders.get("sent")
        for row in folders.of_account(self._store.reader, self._account.id):
            if row.name == wanted or (wanted is None and row.role == "sent"):
                return row.id
        return None

    # -- common ------------------------------------------------------------------------------

    def _change(self, item: Row, **columns: Any) -> None:
        """Change the item; one that was cancelled meanwhile raises nothing and stays cancelled."""
        self._store.write(lambda tx: outbox.change(tx, item["id"], **columns), durable=True).result()

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
