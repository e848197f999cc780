"""Folders that are not idled on: looked into when something happened there, and only then."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from agent.core.account import Account
from tests.harness.agents import Agents, TestClock, assert_equal, in_store, mail, synced, work_of
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot
from tests.harness.proxy import Proxy

StartProxy = Callable[[int], Proxy]
QUIET = {"idle": False, "every": "never"}
# Dovecot looks by itself after half a minute when it missed that its list of folders was written anew.
LATEST_S = 40
PUSHED = {"every": "never"}  # nothing but what the server tells by itself


@pytest.fixture
def proxy(dovecot: Dovecot, start_proxy: StartProxy) -> Proxy:
    """A proxy before the Dovecot that reads along."""
    return start_proxy(dovecot.ports["imap"])


def through(proxy: Proxy) -> dict[str, object]:
    return {"port": proxy.port, "security": "none"}


def held(account: Account, folder: str) -> list[str]:
    return [copy[0] for copy in in_store(account).get(folder, [])]


def resting(proxy: Proxy) -> bool:
    return proxy.received.rstrip().endswith(b"+ idling")


def quiet(agents: Agents, user: str, proxy: Proxy) -> Account:
    """Return an account that is synced and does nothing by itself."""
    agent = agents(user, imap=through(proxy), fetch=QUIET | {"on_start": False})
    return synced(agent)


def commands(sent: bytes) -> list[bytes]:
    return re.findall(rb"(?m)^[A-Z]+\d+ ([A-Z]+)", sent)


def test_a_sync_of_a_hundred_folders_without_news_is_one_question(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    dovecot.doveadm("mailbox", "create", "-u", user, *(f"Lists/{number}" for number in range(100)))
    dovecot.save(user, mail(1))
    dovecot.save(user, mail(2), "Lists/7")
    work = quiet(make_agent, user, proxy)
    before = len(proxy.sent)
    work.sync().wait(20)
    assert commands(proxy.sent[before:]) == [b"NOOP", b"LIST"]
    assert work["Lists/7"].synced is not None


def test_only_the_folder_that_changed_is_opened(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    for folder in ("INBOX", "Archive", "Sent"):
        dovecot.save(user, mail(folder), folder)
    work = quiet(make_agent, user, proxy)
    changes = (
        lambda: dovecot.save(user, mail("new"), "Archive"),
        lambda: dovecot.doveadm("flags", "add", "-u", user, "\\Flagged", "mailbox", "Archive", "1"),
        lambda: dovecot.doveadm("expunge", "-u", user, "mailbox", "Archive", "1"),
    )
    for change in changes:
        change()
        before = len(proxy.sent)
        work.sync().wait(20)
        assert re.findall(rb"SELECT (\S+)", proxy.sent[before:]) == [b'"Archive"']
        assert_equal(work, dovecot, user)


def test_what_happened_in_the_selected_folder_a_moment_ago_is_seen(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    dovecot.save(user, mail(0), "Trash")
    work = quiet(make_agent, user, proxy)
    assert re.findall(rb"SELECT (\S+)", proxy.sent)[-1] == b'"Trash"'
    for number in (1, 2, 3):
        dovecot.save(user, mail(number), "Trash")
        work.sync().wait(20)
        assert len(held(work, "Trash")) == number + 1


@pytest.mark.parametrize("missing", [b" CONDSTORE QRESYNC", b" LIST-STATUS"])
def test_flags_in_other_folders_are_seen_also_by_servers_that_tell_less(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy, missing: bytes
) -> None:
    for word in missing.split():
        proxy.replace("down", b" " + word, b"")
    dovecot.save(user, mail(1), "Archive")
    work = quiet(make_agent, user, proxy)
    dovecot.doveadm("flags", "add", "-u", user, "\\Flagged", "mailbox", "Archive", "1")
    work.sync().wait(20)
    assert set(work.archive[0].flags) == {"flagged"}


def test_without_list_status_every_folder_is_asked_and_none_opened(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    proxy.replace("down", b" LIST-STATUS", b"")
    dovecot.save(user, mail(1), "Archive")
    work = quiet(make_agent, user, proxy)
    before = len(proxy.sent)
    work.sync().wait(20)
    asked = commands(proxy.sent[before:])
    assert asked.count(b"STATUS") == len(work.folders)
    assert set(asked) == {b"LIST", b"NOOP", b"STATUS"}


def test_without_condstore_an_empty_folder_is_not_opened_again(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    proxy.replace("down", b" CONDSTORE", b"")
    proxy.replace("down", b" QRESYNC", b"")
    dovecot.save(user, mail(1), "Archive")
    work = quiet(make_agent, user, proxy)
    before = len(proxy.sent)
    work.sync().wait(20)
    assert re.findall(rb"SELECT (\S+)", proxy.sent[before:]) == [b'"Archive"']


# -- told by the server ----------------------------------------------------------------------


def test_news_in_any_folder_comes_by_itself(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    dovecot.save(user, mail("old"), "Archive")
    work = synced(make_agent(user, imap=through(proxy), fetch=PUSHED))
    eventually(lambda: resting(proxy))
    dovecot.save(user, mail("new"), "Archive")
    eventually(lambda: held(work, "Archive") == ["number old", "number new"], timeout_s=LATEST_S)
    eventually(lambda: resting(proxy))
    dovecot.doveadm("flags", "add", "-u", user, "\\Seen", "mailbox", "Archive", "1")
    eventually(lambda: set(work.archive[1].flags) == {"seen"}, timeout_s=LATEST_S)
    eventually(lambda: resting(proxy))
    dovecot.doveadm("expunge", "-u", user, "mailbox", "Archive", "1")
    eventually(lambda: held(work, "Archive") == ["number new"], timeout_s=LATEST_S)
    assert len(proxy.links) == 1


def test_news_in_a_folder_that_another_client_made_comes_by_itself(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    work = synced(make_agent(user, imap=through(proxy), fetch=PUSHED))
    dovecot.doveadm("mailbox", "create", "-u", user, "Läden")
    work.sync().wait(20)
    eventually(lambda: resting(proxy))
    dovecot.doveadm("mailbox", "create", "-u", user, "Später")
    dovecot.save(user, mail(1), "Läden")
    dovecot.save(user, mail(2), "Später")
    eventually(lambda: held(work, "Läden") == ["number 1"], timeout_s=LATEST_S)
    eventually(lambda: "Später" in work, timeout_s=LATEST_S)


def test_news_in_folders_that_are_not_wanted_is_left_alone(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    dovecot.save(user, mail(0), "Archive")
    fetch = PUSHED | {"folders": ["INBOX"]}
    work = synced(make_agent(user, imap=through(proxy), fetch=fetch))
    eventually(lambda: resting(proxy))
    before = len(proxy.sent)
    dovecot.save(user, mail(1), "Archive")
    eventually(lambda: b"STATUS Archive (MESSAGES 2" in proxy.received)
    dovecot.save(user, mail(2))
    eventually(lambda: held(work, "INBOX") == ["number 2"])
    assert b"Archive" not in proxy.sent[before:]


def test_news_comes_by_itself_where_the_inbox_is_not_wanted(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    fetch = PUSHED | {"folders": ["Archive"]}
    work = synced(make_agent(user, imap=through(proxy), fetch=fetch))
    eventually(lambda: resting(proxy))
    dovecot.save(user, mail(1), "Archive")
    eventually(lambda: held(work, "Archive") == ["number 1"], timeout_s=LATEST_S)


def test_a_server_that_ceases_to_tell_is_asked_about_all_folders(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    dovecot.save(user, mail("old"), "Archive")
    work = synced(make_agent(user, imap=through(proxy), fetch=PUSHED))
    eventually(lambda: resting(proxy))
    proxy.replace("down", b"* STATUS Archive (", b"* OK [NOTIFICATIONOVERFLOW] sorry (")
    before = len(proxy.sent)
    dovecot.save(user, mail("new"), "Archive")
    eventually(lambda: b"NOTIFY SET" in proxy.sent[before:])
    proxy.heal()
    eventually(lambda: held(work, "Archive") == ["number old", "number new"], timeout_s=LATEST_S)


def test_the_timer_finds_news_in_other_folders_where_the_server_does_not_tell(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    proxy.replace("down", b" NOTIFY", b"")
    clock = TestClock()
    agent = make_agent(user, clock=clock, imap=through(proxy), fetch={"every": "5m"})
    work = synced(agent)
    eventually(lambda: agent._inbound[work.id]._next_sync == clock.monotonic() + 300)
    eventually(lambda: resting(proxy))
    dovecot.save(user, mail(1), "Archive")
    clock.advance(301)
    agent._inbound[work.id].wake()
    eventually(lambda: held(work, "Archive") == ["number 1"], timeout_s=LATEST_S)
    assert b"NOTIFY" not in proxy.sent


def test_a_refused_notify_is_no_trouble(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    proxy.replace("up", b" NOTIFY SET", b" NOTIFY XYZ")
    dovecot.save(user, mail(1), "Archive")
    work = synced(make_agent(user, imap=through(proxy), fetch=PUSHED))
    dovecot.save(user, mail(2))
    eventually(lambda: held(work, "INBOX") == ["number 2"])
    assert held(work, "Archive") == ["number 1"]
    assert len(proxy.links) == 1


def test_a_folder_that_was_never_fetched_is_not_fetched_for_what_is_told_of_it(
    make_agent: Agents, dovecot: Dovecot, user: str, proxy: Proxy
) -> None:
    agent = make_agent(user, imap=through(proxy), fetch=PUSHED | {"on_start": False})
    work = work_of(agent)
    eventually(lambda: resting(proxy))
    dovecot.save(user, mail(1), "Archive")
    dovecot.save(user, mail(2))
    eventually(lambda: held(work, "INBOX") == ["number 2"])
    eventually(lambda: b"STATUS Archive (MESSAGES 1" in proxy.received)
    eventually(lambda: resting(proxy))
    assert held(work, "Archive") == []
