"""Bodies come here by the account's policy while nobody wants the wire."""

from __future__ import annotations

from collections.abc import Callable

from agent.app import Agent
from agent.core.pace import LEAST, MOST, Pace
from tests.harness.agents import Agents, mail, synced
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot
from tests.harness.proxy import Proxy


def filled(agent: Agent) -> None:
    assert agent.wait_filled(30)


def test_all_bodies_come_and_are_found_by_their_words(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    for number in range(30):
        dovecot.save(user, mail(number, body=f"the body has word{number} in it\r\n"))
    agent = make_agent(user, fill=True, offline={"bodies": "all"})
    work = synced(agent)
    filled(agent)
    assert all(message.fetched for message in work.inbox)
    assert [message.subject for message in work.inbox.search("body:word17")] == ["number 17"]


def test_headers_only_brings_no_bodies_but_indexes_the_listing(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1, body="a secretword inside\r\n"))
    agent = make_agent(user, fill=True, offline={"bodies": "headers"})
    work = synced(agent)
    filled(agent)
    assert not any(message.fetched for message in work.inbox)
    assert work.inbox.search("subject:number").count() == 1
    assert work.inbox.search("secretword").count() == 0


def test_a_body_that_is_asked_for_later_is_found_by_its_words(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1, body="a secretword inside\r\n"))
    agent = make_agent(user, fill=True, offline={"bodies": "headers"})
    work = synced(agent)
    filled(agent)
    message = work.inbox[0]
    message.fetch().wait(10)
    assert "secretword" in message.text
    assert work.inbox.search("secretword").count() == 1
    assert work.inbox.search("subject:number").count() == 1


def test_what_comes_later_is_filled_in_too(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    dovecot.save(user, mail(1))
    agent = make_agent(user, fill=True, offline={"bodies": "all"})
    work = synced(agent)
    filled(agent)
    dovecot.save(user, mail(2), "Archive")
    work.sync().wait(10)
    eventually(lambda: work.archive.count() == 1 and work.archive[0].fetched)


def test_bodies_survive_a_restart_in_the_middle(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    for number in range(40):
        dovecot.save(user, mail(number, body="x" * 200_000 + "\r\n"))
    agent = make_agent(user, fill=True, offline={"bodies": "all"})
    synced(agent)
    eventually(lambda: any(message.fetched for message in agent.context.accounts["work"].inbox))
    make_agent.stop(agent)
    again = make_agent(user, fill=True, offline={"bodies": "all"})
    filled(again)
    inbox = again.context.accounts["work"].inbox
    assert inbox.count() == 40
    assert all(message.fetched for message in inbox)


def test_a_large_message_comes_in_pieces_between_which_others_are_served(
    make_agent: Agents, dovecot: Dovecot, user: str, start_proxy: Callable[[int], Proxy]
) -> None:
    proxy = start_proxy(dovecot.ports["imap"])
    large = mail(1, body="".join(f"line {number} of a long letter\r\n" for number in range(60_000)))
    dovecot.save(user, mail(0, body="Quickly.\r\n", Date="Thu, 01 Jan 2009 10:00:00 +0000"))
    dovecot.save(user, large)
    imap = {"port": proxy.port, "security": "none"}
    agent = make_agent(user, fill=True, imap=imap, offline={"bodies": "all"}, fetch={"every": "never"})
    proxy.throttle(400_000)
    work = synced(agent)
    eventually(lambda: b"BODY.PEEK[]<0." in proxy.sent)
    work.inbox[1].fetch().wait(20)
    assert not work.inbox[0].fetched
    proxy.throttle(None)
    filled(agent)
    assert work.inbox[0].raw == large
    assert proxy.sent.count(b"BODY.PEEK[]<") > 2


def test_a_large_message_that_is_shorter_than_announced_is_not_kept(
    make_agent: Agents, dovecot: Dovecot, user: str, start_proxy: Callable[[int], Proxy]
) -> None:
    proxy = start_proxy(dovecot.ports["imap"])
    large = mail(1, body="x" * 70 + "\r\n" + "another line of it\r\n" * 40_000)
    proxy.replace("down", b"RFC822.SIZE %d " % len(large), b"RFC822.SIZE %d " % (len(large) + 1000))
    dovecot.save(user, large)
    imap = {"port": proxy.port, "security": "none"}
    agent = make_agent(user, fill=True, imap=imap, offline={"bodies": "all"})
    work = synced(agent)
    filled(agent)
    assert b"BODY.PEEK[]<0." in proxy.sent
    assert not work.inbox[0].fetched


def test_what_one_fetch_asks_for_follows_the_line() -> None:
    pace = Pace()
    assert pace.octets == LEAST
    for _ in range(20):
        pace.learn(pace.octets, pace.octets / 250_000)
    assert pace.octets == 125_000
    for _ in range(20):
        pace.learn(pace.octets, 0.0)
    assert pace.octets == MOST
    pace.learn(1000, 60.0)
    assert pace.octets == MOST // 4
    for _ in range(20):
        pace.learn(1000, 60.0)
    assert pace.octets == LEAST
