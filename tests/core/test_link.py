"""Several processes on one data folder: one owns the wires, the others are served, and somebody takes over."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.link import Link
from agent.store.db import Store
from tests.harness.agents import Agents, assert_equal, in_store, mail, synced, work_of
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot
from tests.harness.proxy import Proxy
from tests.harness.sink import Sink

StartProxy = Callable[[int], Proxy]
QUIET = {"idle": False, "every": "never"}


def output(child: subprocess.Popen[str], timeout_s: float = 60) -> str:
    """Return what a process printed, after it ended well."""
    out, err = child.communicate(timeout=timeout_s)
    assert child.returncode == 0, err
    return out


# -- two processes ---------------------------------------------------------------------------


def test_the_owner_carries_out_what_another_process_says(
    make_agent: Agents, dovecot: Dovecot, user: str, start_proxy: StartProxy
) -> None:
    for number in range(2):
        dovecot.save(user, mail(number))
    proxy = start_proxy(dovecot.ports["imap"])
    imap = {"port": proxy.port, "security": "none"}
    work = synced(make_agent(user, imap=imap, fetch=QUIET))
    connections = len(proxy.links)
    code = (
        "job = inbox[0].archive().wait(30)\n"
        "inbox[0].flag().wait(30)\n"
        "print(job.state, accounts['work'].archive.count())\n"
    )
    child = make_agent.spawn("run", "-c", code, users=(user,), imap=imap, fetch=QUIET)
    assert output(child) == "done 1\n"
    assert len(proxy.links) == connections  # the other process spoke to no server
    assert {folder: len(copies) for folder, copies in in_store(work).items()} == {"INBOX": 1, "Archive": 1}
    assert_equal(work, dovecot, user)


def test_what_the_owner_brings_is_seen_by_the_other_at_once(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    work = synced(make_agent(user, fetch={"every": "never"}))
    code = (
        "print('ready', flush=True)\n"
        "store = inbox._context.store\n"
        "assert store.wait_until(lambda: inbox.count() == 1, 30)\n"
        "print(inbox[0].subject)\n"
    )
    child = make_agent.spawn("run", "-c", code, users=(user,), fetch=QUIET)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    dovecot.save(user, mail(1))
    assert output(child) == "number 1\n"
    assert work.inbox.count() == 1


def test_a_process_alone_owns_for_as_long_as_it_lives(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1))
    child = make_agent.spawn("run", "-c", "print(inbox.count())", users=(user,), fetch=QUIET)
    assert output(child) == "1\n"
    agent = make_agent(user, fetch=QUIET)
    assert agent.owner


def test_after_a_kill_of_the_owner_the_other_takes_over_and_finishes(
    make_agent: Agents, dovecot: Dovecot, user: str, start_proxy: StartProxy
) -> None:
    for number in range(4):
        dovecot.save(user, mail(number))
    proxy = start_proxy(dovecot.ports["imap"])
    imap = {"port": proxy.port, "security": "none"}
    code = (
        "accounts['work'].sync().wait(30)\n"
        "print('synced', flush=True)\n"
        "import threading; threading.Event().wait()\n"
    )
    owner = make_agent.spawn("run", "-c", code, users=(user,), imap=imap, fetch=QUIET)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "synced\n"
    agent = make_agent(user, imap=imap, fetch=QUIET)
    work = work_of(agent)
    assert not agent.owner
    # The owner executes the move and never hears of it.
    cut = proxy.lose_reply(rb"UID MOVE [^\r]*\r\n")
    proxy.refuse()
    job = work.inbox[0].archive()
    assert cut.done.wait(20)
    owner.send_signal(signal.SIGKILL)
    owner.wait(10)
    more = work.inbox[0].flag()
    proxy.refuse(False)
    job.wait(30)
    more.wait(30)
    assert agent.owner
    assert_equal(work, dovecot, user)
    assert {folder: len(copies) for folder, copies in in_store(work).items()} == {"INBOX": 3, "Archive": 1}


def test_a_process_that_may_not_own_leaves_it_to_the_next(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1))
    first = make_agent(user, fetch=QUIET)
    synced(first)
    guest = make_agent(user, fetch=QUIET, may_own=False)
    third = make_agent(user, fetch=QUIET)
    make_agent.stop(first)
    eventually(lambda: third.owner)
    assert not guest.owner
    work_of(guest).inbox.archive().wait(20)
    assert_equal(work_of(third), dovecot, user)


def test_only_one_ever_owns_while_owners_come_and_go(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    dovecot.save(user, mail(1))
    agents = [make_agent(user, fetch=QUIET) for _ in range(4)]
    work = synced(agents[0])
    while agents:
        eventually(lambda: sum(agent.owner for agent in agents) == 1)
        [owner] = [agent for agent in agents if agent.owner]
        job = work_of(agents[-1]).inbox[0].tag(f"tag{len(agents)}")
        job.wait(20)
        if len(agents) == 1:
            assert_equal(work_of(owner), dovecot, user)
        make_agent.stop(owner)
        agents.remove(owner)
    assert work is not None


def test_the_other_process_learns_that_the_owner_is_offline_and_does_not_wait(
    make_agent: Agents, dovecot: Dovecot, user: str, start_proxy: StartProxy
) -> None:
    dovecot.save(user, mail(1))
    proxy = start_proxy(dovecot.ports["imap"])
    imap = {"port": proxy.port, "security": "none"}
    work = synced(make_agent(user, imap=imap, fetch=QUIET))
    proxy.refuse()
    proxy.cut_all()
    eventually(lambda: work.status.startswith("offline:"))
    child = make_agent.spawn("run", "-c", "inbox[0].archive()", users=(user,), imap=imap, fetch=QUIET)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 75
    assert "still queued: archived 1 message" in err
    proxy.refuse(False)
    work.sync().wait(20)
    eventually(lambda: work.archive.count() == 1)
    assert_equal(work, dovecot, user)


def test_mail_queued_by_another_process_is_sent_by_the_owner(
    make_agent: Agents, user: str, sink: Sink
) -> None:
    agent = make_agent(user, fetch=QUIET)
    synced(agent)
    code = "print(compose('bob@example.com', 'hello', 'Dear Bob').send().wait(30).state)"
    assert output(make_agent.spawn("run", "-c", code, users=(user,), fetch=QUIET)) == "done\n"
    assert len(sink.messages) == 1
    sent = agent.context.store.read("SELECT state FROM outbox")
    assert [row[0] for row in sent] == ["sent"]


# -- the link by itself ----------------------------------------------------------------------


class Alone:
    """A link on a store of its own, and what it was told to do."""

    def __init__(self, folder: Path, *, may_own: bool = True) -> None:
        self.store = Store(folder / "mail.db")
        self.store.start()
        self.owned = self.dispatched = self.ticked = 0
        self.trouble: Exception | None = None
        self.link = Link(
            self.store, folder / "lock", folder / "socket", may_own=may_own, became_owner=self._own,
            dispatch=self._dispatch, tick=self._tick,
        )  # fmt: skip
        self.link.start()

    def _own(self) -> None:
        self.owned += 1

    def _dispatch(self) -> None:
        self.dispatched += 1
        if self.trouble is not None:
            raise self.trouble

    def _tick(self) -> None:
        self.ticked += 1

    def commit(self) -> None:
        """Change something in the store."""
        self.store.write(lambda tx: tx.execute("INSERT INTO setting VALUES (random(), '')")).result()

    def stop(self) -> None:
        """Stop link and store."""
        self.link.stop()
        self.link.release()
        self.store.stop()


@pytest.fixture
def alone(tmp_path: Path) -> Callable[..., Alone]:
    """Make links on one folder, stopped at the end."""
    with contextlib.ExitStack() as stack:

        def make(**options: bool) -> Alone:
            made = Alone(tmp_path, **options)
            stack.callback(made.stop)
            return made

        yield make  # type: ignore[misc]


def test_each_commit_is_told_to_the_others_quickly(alone: Callable[..., Alone]) -> None:
    owner, other = alone(), alone()
    assert (owner.link.owner, other.link.owner) == (True, False)
    for here, there in ((owner, other), (other, owner)):
        eventually(lambda: owner.link._peers and other.link._peers)
        seen = there.store.revision
        begun = time.monotonic()
        here.commit()
        eventually(lambda: there.store.revision > seen, interval_s=0.002)  # noqa: B023
        assert time.monotonic() - begun < 0.9  # before the look once a second


def test_commits_of_others_wake_the_owners_wires(alone: Callable[..., Alone]) -> None:
    owner, other = alone(), alone()
    eventually(lambda: other.link._peers)
    before = owner.dispatched
    other.commit()
    eventually(lambda: owner.dispatched > before)


@pytest.mark.logs("stumbled")
def test_one_that_stumbles_in_its_work_goes_on(
    alone: Callable[..., Alone], caplog: pytest.LogCaptureFixture
) -> None:
    owner = alone()
    owner.trouble = RuntimeError("a bug")
    owner.commit()
    eventually(lambda: "stumbled" in caplog.text)
    owner.trouble = None
    before = owner.dispatched
    owner.commit()
    eventually(lambda: owner.dispatched > before)


def test_garbage_and_hang_ups_on_the_socket_do_no_harm(alone: Callable[..., Alone]) -> None:
    owner = alone()
    for _ in range(50):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(str(owner.link._path))
            with contextlib.suppress(OSError):
                stranger.send(os.urandom(100))
    owner.commit()
    eventually(lambda: not owner.link._peers)
    other = alone()
    eventually(lambda: other.link._peers)


def test_a_socket_left_by_a_killed_owner_is_no_obstacle(tmp_path: Path, alone: Callable[..., Alone]) -> None:
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(tmp_path / "socket"))
    (tmp_path / "lock").write_text("99999999\n")
    assert alone().link.owner


def test_the_wires_stay_ours_until_they_are_released(alone: Callable[..., Alone]) -> None:
    owner, other = alone(), alone()
    owner.link.stop()
    ticks = other.ticked
    eventually(lambda: other.ticked >= ticks + 2)
    assert not other.link.owner
    owner.link.release()
    eventually(lambda: other.link.owner and other.owned == 1)


def test_the_socket_is_private(alone: Callable[..., Alone]) -> None:
    assert alone().link._path.stat().st_mode & 0o777 == 0o600
