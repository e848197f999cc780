"""A start (agent.core.opening) on a damaged store, and with mail of accounts that are not configured."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from agent.core import opening
from agent.store import accounts, care
from tests.harness.agents import Agents, assert_equal, in_store, mail, on_server, synced, work_of
from tests.harness.dovecot import Dovecot

QUIET = {"idle": False, "every": "never"}


@pytest.mark.logs("damaged|rebuilt")
@pytest.mark.parametrize("how", ["sectors", "header", "nothing is readable"])
def test_a_damaged_store_is_rebuilt_from_the_server_without_loss(
    how: str, make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    for number in range(30):
        dovecot.save(user, mail(number, body="some text\r\n" * 300))
    agent = make_agent(user, fetch=QUIET)
    work = synced(agent)
    for message in work.inbox[:10]:
        message.fetch().wait(20)
    numbers = {message.subject: message.id for message in work.inbox[:10]}
    make_agent.stop(agent)
    agent = make_agent(user, fetch=QUIET, serve=False)
    work_of(agent).inbox[0].flag()
    work_of(agent).inbox[5].archive()
    make_agent.stop(agent)

    path = make_agent.paths.database
    data = bytearray(path.read_bytes())
    if how == "sectors":
        data[-8192:-4096] = bytes(4096)
        care.suspect(path)
    else:
        size = 100 if how == "header" else len(data)
        data[:size] = b"x" * size
    path.write_bytes(data)

    agent = make_agent(user, fetch=QUIET)
    work = synced(agent)
    assert_equal(work, dovecot, user)
    (told,) = [text for text in agent.context.messages if "damaged" in text]
    assert "the rest comes from the servers again" in told
    if how == "header":
        # What was asked for offline is done, to the right messages, which keep their names.
        assert agent.wait_idle(20)
        assert_equal(work, dovecot, user)
        assert [subject for subject, _, flags in on_server(dovecot, user)["INBOX"] if flags] == ["number 29"]
        assert [subject for subject, _, _ in on_server(dovecot, user)["Archive"]] == ["number 24"]
        now = {message.subject: message.id for message in work.messages}
        assert {subject: now[subject] for subject in numbers} == numbers
    else:
        assert len(work.messages) == 30


def test_an_account_that_was_renamed_is_told_of_with_what_waits(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1))
    agent = make_agent(user, fetch=QUIET)
    synced(agent)
    make_agent.stop(agent)
    agent = make_agent(user, fetch=QUIET, serve=False)
    work_of(agent).inbox[0].flag()
    agent.context.commit(lambda tx: tx.execute("UPDATE account SET name = 'old' WHERE name = 'work'"))
    make_agent.stop(agent)

    agent = make_agent(user, fetch=QUIET, serve=False)
    (told,) = agent.context.messages
    assert told == (
        "account 'old' is not in config.yaml: its 1 messages are kept, and 1 change wait; put it back under"
        " accounts:, or tell its new name: agent account rename old NEW"
    )
    agent.context.commit(lambda tx: accounts.rename(tx, "old", "work"))
    make_agent.stop(agent)

    agent = make_agent(user, fetch=QUIET)
    assert not agent.context.messages
    assert agent.wait_idle(20)
    assert on_server(dovecot, user)["INBOX"] == [("number 1", 1, ("\\Flagged",))]
    assert in_store(work_of(agent)) == on_server(dovecot, user)


@pytest.fixture
def open_files() -> Iterator[int]:
    """Allow the process 300 open files for the time of a test; give the hard limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_many_accounts_are_allowed_the_files_they_need(open_files: int) -> None:
    opening.allow_files(2)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (300, open_files)
    opening.allow_files(20)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (496, open_files)
    opening.allow_files(2)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (496, open_files)
