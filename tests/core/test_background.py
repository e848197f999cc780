"""Bodies come here by the account's policy while nobody wants the wire."""

from __future__ import annotations

from agent.app import Agent
from agent.core import background
from tests.harness.agents import Agents, mail, synced
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot


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


def test_a_fetch_asks_for_about_a_second_of_octets(make_agent: Agents, user: str) -> None:
    agent = make_agent(user, serve=False)
    least, most = background._OCTETS
    work = background.Background(agent.context.store, agent.clock, None, agent.context.accounts["work"])  # type: ignore[arg-type]
    for octets, seconds, wanted in ((1000, 1.0, least), (250_000, 1.0, 250_000), (10**9, 1.0, most)):
        work._learn_rate(octets, seconds)
        assert work._octets == wanted
