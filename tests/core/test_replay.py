"""What a verb promises happens on the server: once, also when answers are lost; or it is taken back and told."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest

from agent.core.account import Account
from agent.core.job import Job
from agent.core.messages import Messages
from agent.errors import CommandError
from agent.mail import query
from agent.net.base import Letter
from tests.harness.agents import Agents, assert_equal, in_store, mail, on_server, synced, work_of
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot
from tests.harness.proxy import Proxy
from tests.net.connections import connected

StartProxy = Callable[[int], Proxy]
QUIET = {"idle": False, "every": "never"}


@pytest.fixture
def proxy(dovecot: Dovecot, start_proxy: StartProxy) -> Proxy:
    """A proxy before the Dovecot that reads along."""
    return start_proxy(dovecot.ports["imap"])


def through(proxy: Proxy) -> dict[str, object]:
    return {"port": proxy.port, "security": "none"}


def hide(proxy: Proxy, *capabilities: str) -> None:
    for name in capabilities:
        proxy.replace("down", f" {name}".encode(), b"")


def places(account: Account) -> dict[str, list[str]]:
    """Return folder -> subjects as they are shown."""
    return {folder: sorted(copy[0] for copy in copies) for folder, copies in in_store(account).items()}


def served(dovecot: Dovecot, user: str) -> dict[str, list[str]]:
    """Return folder -> subjects as the server has them."""
    return {folder: sorted(c[0] for c in copies) for folder, copies in on_server(dovecot, user).items()}


def some(account: Account, *numbers: int) -> Messages:
    """Return the inbox's messages with these numbers, fixed."""
    wanted = {f"number {number}" for number in numbers}
    ids = [message._id for message in account.inbox if message.subject in wanted]
    return Messages(account._context, query.Ids(tuple(ids)))


# -- the usual way ---------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(), ("MOVE",), ("UIDPLUS",), ("MOVE", "UIDPLUS")], ids=str)
def test_a_move_is_shown_at_once_and_happens(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy, hidden: tuple[str, ...]
) -> None:
    hide(proxy, *hidden)
    for number in range(3):
        dovecot.save(user, mail(number))
    work = synced(make_agent(user, imap=through(proxy), fetch=QUIET))
    ids = {m.subject: m.id for m in work.inbox}
    job = some(work, 1, 2).archive()
    assert places(work) == {"INBOX": ["number 0"], "Archive": ["number 1", "number 2"]}
    job.wait(20)
    if hidden == ("MOVE", "UIDPLUS"):  # the originals have to stay, marked \Deleted
        assert sorted(subject for subject, *_ in on_server(dovecot, user)["Archive"]) == [
            "number 1",
            "number 2",
        ]
    else:
        assert_equal(work, dovecot, user)
    eventually(lambda: all(m.uid for m in work.archive))
    assert {m.subject: m.id for m in (*work.inbox, *work.archive)} == ids


@pytest.mark.parametrize("hidden", [(), ("UIDPLUS",)], ids=str)
def test_copies_flags_and_deletions_happen(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy, hidden: tuple[str, ...]
) -> None:
    hide(proxy, *hidden)
    for number in range(3):
        dovecot.save(user, mail(number))
    work = synced(make_agent(user, imap=through(proxy), fetch=QUIET))
    newest, middle, oldest = work.inbox
    newest.copy("Archive").wait(20)
    newest.flag().wait(20)
    middle.tag("urgent").wait(20)
    oldest.mark_read().wait(20)
    oldest.mark_unread().wait(20)
    job = middle.delete()
    if hidden:
        with pytest.raises(CommandError, match="nothing was removed"):
            job.wait(20)
        assert places(work)["INBOX"] == ["number 0", "number 1", "number 2"]
    else:
        assert places(work) == {"INBOX": ["number 0", "number 2"], "Archive": ["number 2"]}
        job.wait(20)
    assert_equal(work, dovecot, user)


def test_a_message_copied_twice_into_a_folder_lies_there_twice(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1))
    work = synced(make_agent(user, fetch=QUIET))
    [message] = work.inbox
    jobs = [message.copy("Archive"), message.copy("Archive")]
    for job in jobs:
        job.wait(20)
    assert served(dovecot, user)["Archive"] == ["number 1", "number 1"]
    assert_equal(work, dovecot, user)


def test_verbs_on_one_message_happen_in_their_order(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    dovecot.save(user, mail(1))
    work = synced(make_agent(user, fetch=QUIET))
    [message] = work.inbox
    jobs: list[Job] = [
        message.flag(), message.move("Archive"), message.tag("x"), message.copy("Trash"), message.move("Sent"),
        message.unflag(),
    ]  # fmt: skip
    for job in jobs:
        job.wait(20)
    assert served(dovecot, user) == {"Sent": ["number 1"], "Trash": ["number 1"]}
    assert_equal(work, dovecot, user)


def test_many_flags_are_one_command(make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy) -> None:
    for number in range(20):
        dovecot.save(user, mail(number))
    work = synced(make_agent(user, imap=through(proxy), fetch=QUIET))
    before = len(proxy.sent)
    work.inbox.mark_read().wait(20)
    assert proxy.sent[before:].count(b"UID STORE") == 1
    assert_equal(work, dovecot, user)


def test_what_somebody_waits_for_goes_between_the_pieces_of_a_bulk_job(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.core.replay._PIECE", 5)
    monkeypatch.setattr("agent.core.verbs._BULK", 10)
    for number in range(21):
        dovecot.save(user, mail(number))
    agent = make_agent(user, imap=through(proxy), fetch=QUIET)
    work = synced(agent)
    proxy.refuse()
    proxy.cut_all()
    eventually(lambda: work.status.startswith("offline:"))
    bulk = some(work, *range(20)).mark_read()
    urgent = some(work, 20).flag()
    before = len(proxy.sent)
    proxy.refuse(False)
    work.sync().wait(20)
    urgent.wait(20)
    bulk.wait(20)
    stores = re.findall(rb"UID STORE \S+ \+FLAGS.SILENT \((\S+)\)", proxy.sent[before:])
    assert stores == [rb"\Flagged"] + 4 * [rb"\Seen"]
    assert bulk.counted == (20, 20)
    assert_equal(work, dovecot, user)


def test_new_mail_is_seen_while_a_long_job_is_carried_out(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.core.replay._PIECE", 1)
    monkeypatch.setattr("agent.core.verbs._BULK", 10)
    monkeypatch.setattr("agent.core.inbound._GLANCE_S", 0.0)
    with connected(dovecot, user) as client:
        client.append_all("Archive", [Letter(mail(number)) for number in range(100)])
    work = synced(make_agent(user, imap=through(proxy)))
    proxy.refuse()
    proxy.cut_all()
    eventually(lambda: work.status.startswith("offline:"))
    job = work.archive.flag()
    dovecot.save(user, mail("new"))
    proxy.throttle(None, latency_s=0.02)
    proxy.refuse(False)
    eventually(lambda: work.inbox.count() == 1, timeout_s=30)
    assert not job.done
    proxy.throttle(None)
    job.wait(30)
    assert_equal(work, dovecot, user)


def test_a_flag_on_what_vanished_just_now_is_told(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    for number in range(3):
        dovecot.save(user, mail(number))
    work = synced(make_agent(user, imap=through(proxy), fetch=QUIET))
    dovecot.doveadm("expunge", "-u", user, "mailbox", "INBOX", "header", "subject", "number 1")
    job = work.inbox.flag()
    with pytest.raises(CommandError, match="removed on the server"):
        job.wait(20)
    work.sync().wait(20)
    assert places(work) == {"INBOX": ["number 0", "number 2"]}
    assert_equal(work, dovecot, user)


def test_a_message_never_fetched_moves_to_another_account(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    other = f"{user}b"
    dovecot.save(user, mail(1, "Take me along.\r\n"))
    agent = make_agent(user, other, fetch=QUIET)
    work, home = synced(agent, "work"), synced(agent, "home")
    work.inbox[0].move(home.inbox).wait(20)
    assert_equal(work, dovecot, user)
    assert_equal(home, dovecot, other)
    assert served(dovecot, other) == {"INBOX": ["number 1"]}
    assert served(dovecot, user) == {}
    assert home.inbox[0].text.strip() == "Take me along."


def test_a_message_that_vanished_does_not_move_to_another_account(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    other = f"{user}b"
    dovecot.save(user, mail(1))
    agent = make_agent(user, other, fetch=QUIET)
    work, home = synced(agent, "work"), synced(agent, "home")
    dovecot.doveadm("expunge", "-u", user, "mailbox", "INBOX", "all")
    with pytest.raises(CommandError, match="removed on the server"):
        work.inbox[0].move(home.inbox).wait(20)
    assert served(dovecot, other) == {}
    eventually(lambda: places(work) == places(home) == {})


# -- refusals --------------------------------------------------------------------------------


def test_a_move_into_a_folder_that_is_gone_is_taken_back_and_told(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.doveadm("mailbox", "create", "-u", user, "Project")
    dovecot.save(user, mail(1))
    work = synced(make_agent(user, fetch=QUIET))
    dovecot.doveadm("mailbox", "delete", "-u", user, "Project")
    job = work.inbox[0].move("Project")
    with pytest.raises(CommandError, match="'Project'"):
        job.wait(20)
    assert_equal(work, dovecot, user)


def test_a_folder_nobody_knows_is_refused_before_anything_happens(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1))
    work = synced(make_agent(user, fetch=QUIET))
    with pytest.raises(CommandError, match="no folder 'Archiv'; did you mean 'Archive'"):
        work.inbox[0].move("Archiv")
    assert places(work) == {"INBOX": ["number 1"]}


def test_a_full_mailbox_takes_no_copy_and_no_append(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    dovecot.limit(user, "100k")
    dovecot.save(user, mail(1, "x" * 70 + "\r\n" + "y" * 60_000 + "\r\n"))
    work = synced(make_agent(user, fetch=QUIET))
    [message] = work.inbox
    with pytest.raises(CommandError, match=r"(?i)quota"):
        message.copy("Archive").wait(20)
    other = f"{user}b"
    dovecot.save(other, mail(2, "z" * 60_000 + "\r\n"))
    assert_equal(work, dovecot, user)
    make_agent.stop_all()
    agent = make_agent(user, other, fetch=QUIET)
    work, home = synced(agent, "work"), synced(agent, "home")
    with pytest.raises(CommandError, match=r"(?i)quota"):
        home.inbox[0].move(work.inbox).wait(20)
    assert_equal(work, dovecot, user)
    assert_equal(home, dovecot, other)
    assert served(dovecot, other) == {"INBOX": ["number 2"]}


def test_a_folder_made_read_only_refuses_and_what_is_shown_falls_back(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1), "Archive")
    synced(make_agent(user, fetch=QUIET))
    make_agent.stop_all()
    # Before anybody connects: Dovecot caches rights for a session.
    dovecot.doveadm("acl", "set", "-u", user, "Archive", "owner", "lookup", "read")
    work = work_of(make_agent(user, fetch=QUIET | {"on_start": False}))
    jobs = [work.archive.flag(), work.archive[0].tag("x"), work.archive[0].move("INBOX")]
    for job in jobs:
        with pytest.raises(CommandError, match=r"read-only|[Pp]ermission|\[NOPERM\]"):
            job.wait(20)
    assert_equal(work, dovecot, user)


def test_a_folder_where_some_flags_may_not_be_set_shows_what_the_server_has(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1), "Archive")
    synced(make_agent(user, fetch=QUIET))
    make_agent.stop_all()
    # Before anybody connects: Dovecot caches rights for a session.
    dovecot.doveadm("acl", "set", "-u", user, "Archive", "owner", "lookup", "read", "write-seen")
    work = work_of(make_agent(user, fetch=QUIET | {"on_start": False}))
    work.archive.mark_read().wait(20)
    with pytest.raises(CommandError):
        work.archive.flag().wait(20)
    assert_equal(work, dovecot, user)


@pytest.mark.parametrize("piece", [1, 1000])
def test_a_refusal_that_may_pass_waits_and_stops_nothing_else(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr("agent.core.replay._PAUSE_S", (1.0, 2.0))
    monkeypatch.setattr("agent.core.replay._PIECE", piece)
    dovecot.save(user, mail(1))
    dovecot.save(user, mail(2))
    dovecot.doveadm("mailbox", "create", "-u", user, "Project")
    work = synced(make_agent(user, imap=through(proxy), fetch=QUIET))
    # No such folder: said in a way that may pass.
    dovecot.doveadm("mailbox", "delete", "-u", user, "Project")
    proxy.replace("down", b"NO [TRYCREATE]", b"NO [INUSE]")
    waits = work.inbox[0].move("Project")
    work.inbox[0].flag().wait(20)
    # A job of the bulk kind goes on as well.
    monkeypatch.setattr("agent.core.verbs._BULK", 0)
    work.inbox.mark_read().wait(20)
    assert not waits.done
    assert work.status == "online"
    assert places(work)["Project"] == ["number 2"]
    dovecot.doveadm("mailbox", "create", "-u", user, "Project")
    waits.wait(30)
    assert_equal(work, dovecot, user)


def test_what_is_cancelled_while_it_is_put_off_wakes_nobody(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.core.replay._PAUSE_S", (0.1, 0.1))
    dovecot.save(user, mail(1))
    dovecot.doveadm("mailbox", "create", "-u", user, "Project")
    agent = make_agent(user, imap=through(proxy), fetch=QUIET)
    work = synced(agent)
    replay = agent._inbound[work.id]._replay
    dovecot.doveadm("mailbox", "delete", "-u", user, "Project")
    proxy.replace("down", b"NO [TRYCREATE]", b"NO [INUSE]")
    waits = work.inbox[0].move("Project")
    eventually(lambda: replay.due_s < math.inf)
    waits.cancel()
    eventually(lambda: replay.due_s == math.inf)
    assert places(work)["INBOX"] == ["number 1"]


# -- answers that are lost -------------------------------------------------------------------

LOST = {
    "store": rb"UID STORE", "move": rb"UID MOVE", "copy": rb"UID COPY", "expunge": rb"UID EXPUNGE",
}  # fmt: skip


# What the server cannot do, and whether the messages have names to be found by.
CASES = [
    ("store", (), True),
    ("expunge", (), True),
    ("copy", (), True),
    ("copy", (), False),
    ("copy", ("UIDPLUS",), False),
    ("move", (), True),
    ("move", (), False),
    ("move", ("MOVE",), False),
    ("move", ("MOVE", "UIDPLUS"), True),
]


@pytest.mark.parametrize(("command", "hidden", "named"), CASES, ids=str)
@pytest.mark.parametrize("how", ["cut before it", "answer lost"])
def test_a_verb_happens_once_when_the_connection_is_cut(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy,
    how: str, command: str, hidden: tuple[str, ...], named: bool,
) -> None:  # fmt: skip
    hide(proxy, *hidden)
    for number in range(4):
        dovecot.save(user, mail(number, **({} if named else {"Message_ID": ""})))
    work = synced(make_agent(user, imap=through(proxy), fetch=QUIET))
    ids = {m.subject: m.id for m in work.inbox}
    pattern = LOST["copy" if command == "move" and hidden else command] + rb"[^\r]*\r\n"
    cut = proxy.lose_reply(pattern) if how == "answer lost" else proxy.cut("up", at=pattern, keep=False)
    chosen = some(work, 1, 2)
    job = {
        "store": chosen.flag, "move": chosen.archive, "copy": lambda: chosen.copy("Archive"),
        "expunge": lambda: chosen.delete(confirm=True),
    }[command]()  # fmt: skip
    assert cut.done.wait(20)
    job.wait(30)
    rest, two = ["number 0", "number 3"], ["number 1", "number 2"]
    wanted = {
        "store": {"INBOX": sorted(rest + two)},
        "move": {"INBOX": rest, "Archive": two},
        "copy": {"INBOX": sorted(rest + two), "Archive": two},
        "expunge": {"INBOX": rest},
    }[command]
    assert places(work) == wanted
    if command == "move" and "UIDPLUS" in hidden:
        assert served(dovecot, user)["Archive"] == two
    else:
        assert_equal(work, dovecot, user)
    assert {m.subject: m.id for m in (*work.messages,) if m.id in ids.values()}.items() <= ids.items()
    if command != "expunge":
        assert {m.id for m in work.messages} >= set(ids.values())


def test_a_move_that_was_cut_off_does_not_take_a_copy_made_before_for_its_own(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    hide(proxy, "UIDPLUS")
    proxy.replace("down", b"[COPYUID", b"[NOTHING")
    dovecot.save(user, mail(1))
    agent = make_agent(user, imap=through(proxy), fetch=QUIET)
    synced(agent)
    make_agent.stop(agent)
    agent = make_agent(user, imap=through(proxy), fetch=QUIET, serve=False)
    [message] = work_of(agent).inbox
    jobs = [message.copy("Archive"), message.move("Archive")]
    cut = proxy.cut("up", at=rb"UID MOVE", keep=False)
    agent.serve()
    for job in jobs:
        job.wait(20)
    assert cut.done.is_set()
    assert served(dovecot, user) == {"Archive": ["number 1", "number 1"]}
    assert_equal(work_of(agent), dovecot, user)


def test_a_move_that_was_cut_off_does_not_take_another_nameless_message_for_its_own(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    dovecot.save(user, mail(1, Message_ID=""))
    work = synced(make_agent(user, imap=through(proxy), fetch=QUIET))
    with connected(dovecot, user) as other:
        other.append_all("Archive", [Letter(mail(2, Message_ID=""), (), 1_500_000_000)])
    cut = proxy.cut("up", at=rb"UID MOVE", keep=False)
    job = work.inbox.archive()
    assert cut.done.wait(20)
    job.wait(20)
    assert served(dovecot, user) == {"Archive": ["number 1", "number 2"]}


@pytest.mark.parametrize("how", ["cut within it", "answer lost"])
@pytest.mark.parametrize("hidden", [(), ("UIDPLUS",)], ids=str)
def test_an_append_happens_once_when_the_connection_is_cut(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy, how: str, hidden: tuple[str, ...]
) -> None:
    hide(proxy, *hidden)
    other = f"{user}b"
    dovecot.save(other, mail(1, "In one piece.\r\n", Message_ID=""))
    agent = make_agent(user, other, imap=through(proxy), fetch=QUIET)
    work, home = synced(agent, "work"), synced(agent, "home")
    literal = rb"APPEND \"Archive\".*one piece\.\r\n"
    cut = proxy.lose_reply(literal) if how == "answer lost" else proxy.cut("up", at=literal, keep=False)
    [message] = home.inbox
    job = message.copy(work.archive) if hidden else message.move(work.archive)
    assert cut.done.wait(20)
    job.wait(30)
    assert served(dovecot, user) == {"Archive": ["number 1"]}
    assert served(dovecot, other) == ({"INBOX": ["number 1"]} if hidden else {})
    assert_equal(work, dovecot, user)
    assert_equal(home, dovecot, other)


def test_verbs_said_offline_wait_and_happen_when_the_line_is_back(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    for number in range(3):
        dovecot.save(user, mail(number))
    agent = make_agent(user, imap=through(proxy), fetch=QUIET)
    work = synced(agent)
    proxy.refuse()
    proxy.cut_all()
    jobs = [work.inbox[0].archive(), work.inbox[0].flag(), work.inbox[1].delete()]
    eventually(lambda: work.status.startswith("offline:"))
    # Another client is at work meanwhile: what it removed stays removed.
    dovecot.save(user, mail("new"))
    assert places(work) == {"Archive": ["number 2"], "INBOX": ["number 1"]}
    assert [job.done for job in jobs] == [False, False, False]
    assert agent.wait_idle(5)
    proxy.refuse(False)
    work.sync().wait(20)
    for job in jobs:
        job.wait(20)
    assert places(work) == {"Archive": ["number 2"], "INBOX": ["number 1", "number new"]}
    assert_equal(work, dovecot, user)


def test_what_another_client_removed_meanwhile_is_told(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    dovecot.save(user, mail(1))
    work = synced(make_agent(user, imap=through(proxy), fetch=QUIET))
    proxy.refuse()
    proxy.cut_all()
    job = work.inbox[0].flag()
    dovecot.doveadm("expunge", "-u", user, "mailbox", "INBOX", "all")
    proxy.refuse(False)
    work.sync().wait(20)
    eventually(lambda: job.done)
    assert job.error == "the message was removed on the server"
    assert places(work) == {}


def test_a_copy_of_what_another_client_removed_is_told(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    dovecot.save(user, mail(1))
    work = synced(make_agent(user, imap=through(proxy), fetch=QUIET))
    proxy.refuse()
    proxy.cut_all()
    eventually(lambda: work.status.startswith("offline:"))
    job = work.inbox[0].copy("Archive")
    dovecot.doveadm("expunge", "-u", user, "mailbox", "INBOX", "all")
    proxy.refuse(False)
    work.sync().wait(20)
    eventually(lambda: job.done)
    assert job.error == "the message was removed on the server"
    assert places(work) == {}


def test_operations_of_before_a_new_uidvalidity_hit_the_right_messages(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    for number in range(4):
        dovecot.save(user, mail(number))
    agent = make_agent(user, imap=through(proxy), fetch=QUIET)
    work = synced(agent)
    proxy.refuse()
    proxy.cut_all()
    jobs = [work.inbox[0].flag(), work.inbox[1].archive()]
    make_agent.stop(agent)
    # The folder is made anew: other UIDs, another order.
    dovecot.doveadm("expunge", "-u", user, "mailbox", "INBOX", "all")
    for number in (3, 1, 0, 2):
        dovecot.save(user, mail(number))
    dovecot.doveadm("mailbox", "update", "-u", user, "--uid-validity", "777", "INBOX")
    proxy.refuse(False)
    agent = make_agent(user, imap=through(proxy), fetch=QUIET)
    work = work_of(agent)
    eventually(
        lambda: agent.context.store.read("SELECT count(*) FROM op WHERE state <> 'done'")[0][0] == 0, 20
    )
    del jobs
    found = on_server(dovecot, user)
    assert [copy[0] for copy in found["Archive"]] == ["number 2"]
    assert {copy[0] for copy in found["INBOX"] if "\\Flagged" in copy[2]} == {"number 3"}
    assert_equal(work, dovecot, user)


def test_a_move_to_another_account_of_before_a_new_uidvalidity_happens(
    make_agent: Agents, dovecot: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.core.requests._PAUSE_S", 0.0)
    other = f"{user}b"
    dovecot.save(user, mail(1))
    agent = make_agent(user, other, fetch=QUIET)
    synced(agent, "work")
    synced(agent, "home")
    make_agent.stop(agent)
    agent = make_agent(user, other, fetch=QUIET, serve=False)
    work, home = work_of(agent), agent.context.accounts["home"]
    job = work.inbox.move(home.inbox)
    dovecot.doveadm("mailbox", "update", "-u", user, "--uid-validity", "777", "INBOX")
    agent.serve()
    job.wait(20)
    assert served(dovecot, user) == {}
    assert served(dovecot, other) == {"INBOX": ["number 1"]}
    assert_equal(work, dovecot, user)


def test_a_cancelled_verb_does_not_go_to_the_wire(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    dovecot.save(user, mail(1))
    work = synced(make_agent(user, imap=through(proxy), fetch=QUIET))
    proxy.refuse()
    proxy.cut_all()
    eventually(lambda: work.status.startswith("offline:"))
    job = work.inbox[0].archive()
    job.cancel()
    eventually(lambda: job.state == "cancelled")
    proxy.refuse(False)
    work.sync().wait(20)
    assert served(dovecot, user) == {"INBOX": ["number 1"]}
    assert_equal(work, dovecot, user)
