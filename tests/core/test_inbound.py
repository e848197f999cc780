"""The connection of an account: news come as they happen, failures are told, nothing spins and nothing hangs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest

from agent.app import Agent
from agent.core import inbound
from agent.core.account import Account
from agent.errors import CommandError
from agent.net import imap_session
from tests.harness.agents import Agents, TestClock, assert_equal, in_store, mail, synced, work_of
from tests.harness.certificates import Authority
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot
from tests.harness.proxy import Proxy

StartProxy = Callable[[int], Proxy]
QUIET = {"idle": False, "every": "never"}


@pytest.fixture
def proxy(dovecot: Dovecot, start_proxy: StartProxy) -> Proxy:
    """A proxy before the Dovecot that reads along."""
    return start_proxy(dovecot.ports["imap"])


def through(proxy: Proxy) -> dict[str, object]:
    return {"port": proxy.port, "security": "none"}


def inbox(account: Account) -> list[str]:
    return [copy[0] for copy in in_store(account).get("INBOX", [])]


def next_attempt(agent: Agent, clock: TestClock) -> float:
    """Let the time pass until a connection is tried again; return the seconds that were waited for."""
    wire = agent._inbound[work_of(agent).id]
    eventually(lambda: wire._next_attempt > clock.monotonic())
    pause = wire._next_attempt - clock.monotonic()
    clock.advance(pause)
    wire.wake()
    return pause


def error_of(agent: Agent) -> str:
    """Return why a sync fails."""
    with pytest.raises(CommandError) as raised:
        work_of(agent).sync().wait(20)
    return str(raised.value)


# -- news ------------------------------------------------------------------------------------


def test_new_mail_is_here_within_two_seconds_of_the_servers_push(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    work = synced(make_agent(user, imap=through(proxy)))
    took = []
    for number in range(5):
        eventually(lambda: proxy.received.rstrip().endswith(b"+ idling"))
        before = len(proxy.received)
        dovecot.deliver(user, mail(number))
        eventually(lambda: b"EXISTS" in proxy.received[before:], interval_s=0.001)  # noqa: B023
        pushed = time.monotonic()
        eventually(lambda: len(inbox(work)) == number + 1, interval_s=0.005)  # noqa: B023
        took.append(time.monotonic() - pushed)
    assert sorted(took)[2] < 2, took


def test_flags_and_removals_by_another_client_are_here_as_they_happen(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    for number in range(2):
        dovecot.save(user, mail(number))
    work = synced(make_agent(user, fetch={"every": "never"}))
    dovecot.doveadm("flags", "add", "-u", user, "\\Seen", "mailbox", "INBOX", "1")
    eventually(lambda: work.inbox[1].flags == {"seen"})
    dovecot.doveadm("expunge", "-u", user, "mailbox", "INBOX", "1")
    eventually(lambda: inbox(work) == ["number 1"])


def test_what_happens_in_the_inbox_while_another_folder_is_at_work_is_not_missed(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    for number in range(2):
        dovecot.save(user, mail(number))
    dovecot.save(user, mail("old"), "Archive")
    work = synced(make_agent(user, imap=through(proxy), fetch={"every": "never"}))
    eventually(lambda: proxy.received.rstrip().endswith(b"+ idling"))
    proxy.throttle(None, latency_s=0.2)  # the archive is selected for a while
    job = work.archive.flag()
    eventually(lambda: b"UID STORE" in proxy.sent)
    dovecot.doveadm("flags", "add", "-u", user, "\\Seen", "mailbox", "INBOX", "1")
    dovecot.doveadm("expunge", "-u", user, "mailbox", "INBOX", "2")
    job.wait(20)
    proxy.throttle(None)
    eventually(lambda: [(m.subject, set(m.flags)) for m in work.inbox] == [("number 0", {"seen"})])


def test_mail_that_came_while_the_inbox_was_not_open_is_seen_when_it_is_opened_for_something_else(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    proxy.replace("down", b" NOTIFY", b"")
    dovecot.save(user, mail(1))
    dovecot.save(user, mail(2), "Archive")
    work = synced(make_agent(user, imap=through(proxy), fetch={"every": "never"}))
    eventually(lambda: proxy.received.rstrip().endswith(b"+ idling"))
    proxy.throttle(None, latency_s=0.2)
    work.archive[0].fetch()
    eventually(lambda: b'SELECT "Archive"\r\n' in proxy.sent)
    last = work.inbox[0].fetch()
    dovecot.deliver(user, mail(3))
    last.wait(20)
    proxy.throttle(None)
    eventually(lambda: inbox(work) == ["number 1", "number 3"])


def test_the_timer_brings_what_is_not_pushed(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    clock = TestClock()
    agent = make_agent(user, clock=clock, fetch={"idle": False, "every": "5m"})
    work = synced(agent)
    # The sync at the start is over once the next one has its time.
    eventually(lambda: agent._inbound[work.id]._next_sync == clock.monotonic() + 300)
    dovecot.save(user, mail(1))
    agent._inbound[work.id].wake()
    clock.advance(299)
    agent._inbound[work.id].wake()
    assert inbox(work) == []
    clock.advance(2)
    agent._inbound[work.id].wake()
    eventually(lambda: inbox(work) == ["number 1"])


def test_without_idle_nothing_is_pushed_and_the_connection_is_kept_alive(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.core.inbound._REST_S", 0.1)
    work = synced(make_agent(user, imap=through(proxy), fetch=QUIET))
    before = len(proxy.sent)
    eventually(lambda: proxy.sent[before:].count(b"NOOP") >= 3)
    assert b"IDLE" not in proxy.sent
    assert work.status == "online"


def test_a_server_that_cannot_push_is_asked_now_and_then(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.core.inbound._REST_S", 0.1)
    proxy.replace("down", b" IDLE", b"")
    work = synced(make_agent(user, imap=through(proxy), fetch={"every": "never"}))
    dovecot.save(user, mail(1))
    eventually(lambda: inbox(work) == ["number 1"])
    assert b" IDLE" not in proxy.sent


def test_a_server_that_refuses_to_push_is_not_asked_again_and_stays_online(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.core.inbound._REFUSED_S", 0.1)
    monkeypatch.setattr("agent.core.inbound._REST_S", 0.1)
    proxy.replace("up", b" IDLE\r\n", b" XYZZY\r\n")
    work = synced(make_agent(user, imap=through(proxy), fetch={"every": "never"}))
    eventually(lambda: b"XYZZY" in proxy.links[-1].up or b"IDLE" in proxy.links[-1].up)
    dovecot.save(user, mail(1))
    eventually(lambda: inbox(work) == ["number 1"])
    assert work.status == "online"
    assert len(proxy.links) == 1


def test_nothing_is_synced_at_the_start_when_the_configuration_says_so(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1))
    work = work_of(make_agent(user, fetch={"on_start": False, "idle": False}))
    eventually(lambda: work.status == "online")
    assert inbox(work) == []
    work.sync().wait(20)
    assert inbox(work) == ["number 1"]


def test_a_lazy_wire_connects_when_it_is_asked(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    dovecot.save(user, mail(1))
    agent = make_agent(user, imap=through(proxy), lazy=True)
    work = work_of(agent)
    assert agent.wait_idle(5)
    assert proxy.links == []
    work.sync().wait(20)
    assert inbox(work) == ["number 1"]
    make_agent.stop(agent)
    agent = make_agent(user, imap=through(proxy), lazy=True)
    work_of(agent).inbox.flag().wait(20)
    assert_equal(work_of(agent), dovecot, user)


# -- failures that are told ------------------------------------------------------------------


def test_a_wrong_password_is_told_and_not_tried_again_by_itself(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    agent = make_agent(user, imap=through(proxy) | {"password": "wrong"})
    work = work_of(agent)
    eventually(lambda: work.status.startswith("offline: login refused"))
    tried = len(proxy.links)
    work.create_folder("Later")  # waits; commits ring the bell, and the password must not be tried for it
    for _ in range(5):
        agent.context.store.changed()
    assert "login refused" in error_of(agent)
    assert len(proxy.links) <= tried + 2  # once for each that was asked for, no more
    assert "Authentication failed" in work.status


def test_a_certificate_nobody_vouches_for_is_told_and_no_password_leaves(
    make_agent: Agents, dovecot: Dovecot, user: str, authority: Authority
) -> None:
    agent = make_agent(user, imap={"ca": str(authority.ca_file)})
    assert "the certificate is not trusted" in error_of(agent)
    assert "the certificate is not trusted" in work_of(agent).status
    assert "nothing was sent" in work_of(agent).status


def test_a_certificate_of_another_host_is_told(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    agent = make_agent(user, imap={"host": "127.0.0.2"})
    assert "the certificate is not trusted" in error_of(agent) or "cannot connect" in error_of(agent)


def test_stripped_starttls_is_told_and_no_password_leaves(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    proxy.replace("down", b" STARTTLS", b"")
    agent = make_agent(user, imap={"port": proxy.port, "security": "starttls"})
    assert "does not offer STARTTLS" in error_of(agent)
    assert b"LOGIN" not in proxy.sent
    assert b"AUTHENTICATE" not in proxy.sent


def test_starttls_works_where_it_is_offered(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    dovecot.save(user, mail(1))
    work = synced(make_agent(user, imap={"port": dovecot.ports["imap"], "security": "starttls"}))
    assert inbox(work) == ["number 1"]


def test_no_server_there_is_told(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    agent = make_agent(user, imap={"port": 1})
    assert "cannot connect" in error_of(agent)
    assert agent.wait_idle(5)


def test_a_list_of_folders_without_the_inbox_removes_nothing(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    dovecot.save(user, mail(1))
    agent = make_agent(user, imap=through(proxy))
    synced(agent)
    proxy.replace("down", b'"/" INBOX', b'"/" OTHER')
    assert "lacks INBOX" in error_of(agent)
    assert inbox(work_of(agent)) == ["number 1"]


# -- connections that are lost ---------------------------------------------------------------


def test_a_lost_connection_comes_back_by_itself_and_nothing_is_missed(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    work = synced(make_agent(user, imap=through(proxy)))
    for number, reset in enumerate((False, True)):
        proxy.cut_all(reset=reset)
        dovecot.save(user, mail(number))
        eventually(lambda: len(inbox(work)) == number + 1)  # noqa: B023
        eventually(lambda: work.status == "online")


def test_a_server_that_drops_us_at_once_is_not_hammered(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    proxy.cut("down", at=rb"List completed", times=1000)
    work = work_of(make_agent(user, imap=through(proxy)))
    eventually(lambda: len(proxy.links) >= 2)
    eventually(lambda: work.status.startswith("offline:"))
    begun = time.monotonic()
    eventually(lambda: len(proxy.links) >= 4, timeout_s=30)
    assert time.monotonic() - begun > 2  # 2 s and 4 s with jitter lie between
    proxy.heal()
    work.sync().wait(20)  # who asks for the wire need not wait


def test_a_fetch_survives_a_connection_that_broke_unnoticed(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    dovecot.save(user, mail(1, "Here.\r\n"))
    work = synced(make_agent(user, imap=through(proxy)))
    cut = proxy.cut("down", at=rb"BODY\[\] \{")
    work.inbox[0].fetch().wait(20)
    assert cut.done.is_set()
    assert work.inbox[0].text.strip() == "Here."


def test_a_request_that_breaks_every_connection_fails_and_the_account_goes_on(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    dovecot.save(user, mail(1))
    dovecot.save(user, mail(2))
    work = synced(make_agent(user, imap=through(proxy)))
    proxy.cut("down", at=rb"\* 1 FETCH [^\r]*BODY\[\] \{", times=50)
    with pytest.raises(CommandError, match=r"closed the connection|broke"):
        work.inbox[1].fetch().wait(20)
    work.inbox[0].fetch().wait(20)


def test_a_body_cut_in_the_middle_is_never_kept(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    body = "All of this line belongs to it.\r\n" * 4000
    work = synced(make_agent(user, imap=through(proxy)))
    eventually(lambda: proxy.received.rstrip().endswith(b"+ idling"))
    cut = proxy.cut("down", after=len(proxy.links[-1].down) + 60_000)
    dovecot.save(user, mail(1, body))
    assert cut.done.wait(20)
    eventually(lambda: inbox(work) == ["number 1"])
    assert work.inbox[0].raw == mail(1, body)


@pytest.mark.parametrize("told", [True, False])
def test_a_link_that_died_without_a_word_is_found_and_nothing_is_missed(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    monkeypatch.setattr("agent.core.inbound._REST_S", 0.5)
    monkeypatch.setattr("agent.net.imap_session.READ_S", 0.5)
    if not told:
        proxy.replace("down", b" IDLE", b"")
    work = synced(make_agent(user, imap=through(proxy), fetch={"every": "never"}))
    eventually(lambda: work.status == "online")
    proxy.stall()
    dovecot.save(user, mail(1))
    eventually(lambda: "no answer within" in work.status)
    assert inbox(work) == []
    proxy.resume()
    eventually(lambda: inbox(work) == ["number 1"])
    assert work.status == "online"


def test_a_dead_link_is_found_within_six_minutes() -> None:
    assert inbound._REST_S + imap_session.READ_S <= 360


def test_idle_is_renewed_before_anybody_forgets_us(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.core.inbound._REST_S", 0.2)
    work = synced(make_agent(user, imap=through(proxy), fetch={"every": "never"}))
    eventually(lambda: proxy.sent.count(b" IDLE\r\nDONE\r\n") >= 3 or proxy.sent.count(b"DONE\r\n") >= 4)
    assert work.status == "online"
    assert len(proxy.links) == 1


def test_a_server_that_drops_us_after_select_is_asked_less_and_less_often_by_the_clock(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    clock = TestClock()
    proxy.cut("down", at=rb"Select completed", times=1000)
    agent = make_agent(user, clock=clock, imap=through(proxy))
    work = work_of(agent)
    eventually(lambda: work.status.startswith("offline:"))
    begun = clock.monotonic()
    pauses = [next_attempt(agent, clock) for _ in range(12)]
    eventually(lambda: len(proxy.links) == 13)
    assert pauses[0] < 1
    assert all(2 <= pause <= 80 for pause in pauses[1:])
    assert pauses[-1] >= 60
    assert clock.monotonic() - begun > 12 * 60 * 0.6  # on the way to at most 60 in an hour
    eventually(lambda: agent._inbound[work.id]._next_attempt > clock.monotonic())
    before = len(proxy.links)
    proxy.heal()
    work.sync().wait(20)  # a person need not wait
    assert len(proxy.links) == before + 1


def test_a_login_that_is_refused_three_times_is_given_up_until_somebody_asks(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    clock = TestClock()
    agent = make_agent(user, clock=clock, imap=through(proxy) | {"password": "wrong"})
    work = work_of(agent)
    assert next_attempt(agent, clock) > 300
    assert next_attempt(agent, clock) > 300
    eventually(lambda: "given up" in work.status)
    eventually(lambda: agent._inbound[work.id]._next_attempt == math.inf)
    for _ in range(3):
        clock.advance(100_000)
        agent._inbound[work.id].wake()
    assert "login refused" in error_of(agent)
    assert len(proxy.links) == 4


# -- the end ---------------------------------------------------------------------------------


def test_stopping_does_not_wait_for_a_server_that_says_nothing(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    for number in range(3):
        dovecot.save(user, mail(number))
    agent = make_agent(user, imap=through(proxy))
    work = synced(agent)
    proxy.stall()
    work.inbox.flag()
    work.sync()
    begun = time.monotonic()
    make_agent.stop(agent)
    assert time.monotonic() - begun < 12
    proxy.resume()
    agent = make_agent(user, imap=through(proxy))
    eventually(lambda: agent.context.store.read("SELECT count(*) FROM op WHERE state <> 'done'")[0][0] == 0)
    assert_equal(work_of(agent), dovecot, user)


def test_stopping_in_the_middle_of_a_first_sync_is_quick(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    for number in range(20):
        dovecot.save(user, mail(number, "x" * 900 + "\r\n"))
    proxy.throttle(20_000)
    agent = make_agent(user, imap=through(proxy), fill=True)
    eventually(lambda: b"FETCH" in proxy.sent)
    begun = time.monotonic()
    make_agent.stop(agent)
    assert time.monotonic() - begun < 8


# -- requests --------------------------------------------------------------------------------


def test_folders_are_made_renamed_and_deleted(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    dovecot.save(user, mail(1))
    work = synced(make_agent(user, fetch=QUIET))
    work.create_folder("Läden/Neue").wait(20)
    work.inbox[0].move("Läden/Neue").wait(20)
    before = work["Läden/Neue"][0].id
    work.rename_folder("Läden", "Geschäfte").wait(20)
    assert [m.id for m in work["Geschäfte/Neue"]] == [before]
    assert_equal(work, dovecot, user)
    work.delete_folder("Geschäfte/Neue", confirm=True).wait(20)
    assert "Geschäfte/Neue" not in work
    assert work.messages.count() == 0
    with pytest.raises(CommandError, match=r"(?i)already exists"):
        work.create_folder("Archive").wait(20)


def test_a_name_that_would_end_the_command_is_refused_and_breaks_nothing(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    work = synced(make_agent(user, fetch=QUIET))
    with pytest.raises(CommandError, match="line break"):
        work.create_folder("a\r\nb").wait(20)
    assert work.status == "online"
    work.sync().wait(20)


def test_making_a_folder_whose_answer_was_lost_is_no_error(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    work = synced(make_agent(user, imap=through(proxy), fetch=QUIET))
    proxy.lose_reply(rb"CREATE [^\r]*\r\n")
    work.create_folder("Once").wait(20)
    proxy.lose_reply(rb"RENAME [^\r]*\r\n")
    work.rename_folder("Once", "Twice").wait(20)
    proxy.lose_reply(rb"DELETE [^\r]*\r\n")
    work.delete_folder("Twice").wait(20)
    assert "Twice" not in work


def test_a_fetch_is_served_in_the_middle_of_a_sync_somebody_asked_for(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    dovecot.save(user, mail(1, "Quickly.\r\n"), "Archive")
    agent = make_agent(user, imap=through(proxy), fetch=QUIET)
    work = synced(agent)
    for number in range(200):
        dovecot.save(user, mail(number, "x" * 500 + "\r\n"))
    proxy.throttle(150_000)
    job = work.sync()
    eventually(lambda: len(inbox(work)) > 0)
    fetch = work.archive[0].fetch()
    fetch.wait(20)
    assert not job.done
    proxy.throttle(None)
    job.wait(20)
