"""What lies on the server comes here, in order and for good, through the whole agent."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from agent.core.account import Account
from agent.errors import CommandError
from tests.harness.agents import Agents, assert_equal, in_store, mail, on_server, synced, work_of
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot
from tests.harness.proxy import Proxy

StartProxy = Callable[[int], Proxy]


def through(proxy: Proxy) -> dict[str, object]:
    """Return the option that leads an account through a proxy that can read along."""
    return {"port": proxy.port, "security": "none"}


def without(dovecot: Dovecot, start_proxy: StartProxy, *capabilities: str) -> dict[str, object]:
    """Return the option that leads an account to the Dovecot with some capabilities hidden."""
    proxy = start_proxy(dovecot.ports["imap"])
    for name in capabilities:
        proxy.replace("down", f" {name}".encode(), b"")
    return through(proxy)


def subjects(account: Account, folder: str = "INBOX") -> list[str]:
    return [copy[0] for copy in in_store(account).get(folder, [])]


@pytest.fixture(params=["QRESYNC", "CONDSTORE", "plain"])
def server_with(
    request: pytest.FixtureRequest, dovecot: Dovecot, start_proxy: Callable[[int], Proxy]
) -> dict[str, object]:
    """Lead to a server that tells changes, tells flag changes, or tells nothing by itself."""
    hidden = {"QRESYNC": (), "CONDSTORE": ("QRESYNC",), "plain": ("QRESYNC", "CONDSTORE", "ENABLE")}
    return without(dovecot, start_proxy, *hidden[request.param])


# -- the first sync --------------------------------------------------------------------------


def test_the_first_sync_takes_everything(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    for number in range(3):
        dovecot.save(user, mail(number))
    dovecot.save(user, mail("sent"), "Sent")
    work = synced(make_agent(user))
    assert_equal(work, dovecot, user)
    assert [m.subject for m in work.inbox] == ["number 2", "number 1", "number 0"]


def test_two_accounts_are_synced_at_once(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    other = f"{user}b"
    dovecot.save(user, mail("here"))
    dovecot.save(other, mail("there"))
    agent = make_agent(user, other)
    work, home = synced(agent, "work"), synced(agent, "home")
    assert_equal(work, dovecot, user)
    assert_equal(home, dovecot, other)
    assert {m.subject for m in work.messages} == {"number here"}
    assert {m.subject for m in home.messages} == {"number there"}


def fill(dovecot: Dovecot, user: str, count: int) -> None:
    """Put many messages into the inbox by delivering one file each, the quick way."""
    dovecot.doveadm("mailbox", "status", "-u", user, "messages", "INBOX")
    new = dovecot.dir / "home" / user / "Maildir" / "new"
    for number in range(1, count + 1):
        (new / f"{1_700_000_000 + number}.M{number}.host").write_bytes(mail(number))
    dovecot.give(new)


def test_the_newest_messages_are_listed_first_and_a_cut_loses_nothing_of_it(
    make_agent: Agents, dovecot: Dovecot, user: str, start_proxy: Callable[[int], Proxy]
) -> None:
    fill(dovecot, user, 700)
    proxy = start_proxy(dovecot.ports["imap"])
    cut = proxy.cut("down", at=rb"\* 300 FETCH")  # messages 700 to 581 come first, then 580 down to 1
    agent = make_agent(user, imap=through(proxy))
    assert cut.done.wait(20)
    work = work_of(agent)
    eventually(lambda: len(subjects(work)) == 700, timeout_s=20, interval_s=0.1)
    sets = re.findall(rb"UID FETCH (\S+) \(UID FLAGS INTERNALDATE", proxy.sent)
    assert sets[0] == b"581:700"
    assert b"581:700" not in sets[1:]  # what was committed is not asked for again
    assert_equal(work, dovecot, user)


def test_a_first_sync_goes_on_where_it_was_killed(make_agent: Agents, dovecot: Dovecot, user: str,
                                                   start_proxy: StartProxy) -> None:  # fmt: skip
    fill(dovecot, user, 700)
    proxy = start_proxy(dovecot.ports["imap"])
    proxy.cut("down", at=rb"\* 300 FETCH", times=100)
    agent = make_agent(user, imap=through(proxy))
    eventually(lambda: len(subjects(work_of(agent))) >= 120)
    make_agent.stop(agent)
    proxy.heal()
    before = len(proxy.sent)
    dovecot.save(user, mail("late"))
    again = make_agent(user, imap=through(proxy))
    eventually(lambda: len(subjects(work_of(again))) == 701, timeout_s=20, interval_s=0.1)
    assert b"581:700 (UID FLAGS INTERNALDATE" not in proxy.sent[before:]
    assert_equal(work_of(again), dovecot, user)


# -- what changes afterwards -----------------------------------------------------------------


def test_what_other_clients_change_is_taken_over(
    make_agent: Agents, dovecot: Dovecot, user: str, server_with: dict[str, object]
) -> None:
    for number in range(6):
        dovecot.save(user, mail(number))
    work = synced(make_agent(user, imap=server_with, fetch={"idle": False}))
    dovecot.doveadm("flags", "add", "-u", user, "\\Seen $Label1", "mailbox", "INBOX", "1:2")
    dovecot.doveadm("expunge", "-u", user, "mailbox", "INBOX", "uid", "3")
    dovecot.save(user, mail("new"))
    dovecot.doveadm("move", "-u", user, "Archive", "mailbox", "INBOX", "uid", "5")
    work.sync().wait(20)
    assert_equal(work, dovecot, user)
    dovecot.doveadm("flags", "remove", "-u", user, "\\Seen", "mailbox", "INBOX", "1")
    work.sync().wait(20)
    assert_equal(work, dovecot, user)


def test_what_other_clients_change_is_taken_over_in_pieces_too(
    make_agent: Agents,
    dovecot: Dovecot,
    user: str,
    server_with: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.core.sync._COMPARED", 3)
    fill(dovecot, user, 11)
    work = synced(make_agent(user, imap=server_with, fetch={"idle": False}))
    dovecot.doveadm("flags", "add", "-u", user, "\\Flagged urgent", "mailbox", "INBOX", "uid", "1,3,4,6,11")
    dovecot.doveadm("expunge", "-u", user, "mailbox", "INBOX", "uid", "2,6,7,8,10")
    work.sync().wait(20)
    assert_equal(work, dovecot, user)
    dovecot.doveadm("flags", "remove", "-u", user, "urgent", "mailbox", "INBOX", "uid", "3")
    dovecot.doveadm("expunge", "-u", user, "mailbox", "INBOX", "uid", "1,11")
    work.sync().wait(20)
    assert_equal(work, dovecot, user)


def test_flags_of_keywords_come_as_tags(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    dovecot.save(user, mail(1))
    dovecot.doveadm("flags", "add", "-u", user, "urgent $Forwarded", "mailbox", "INBOX", "1")
    [message] = synced(make_agent(user)).inbox
    assert set(message.tags) == {"urgent"}
    assert message.forwarded


def test_mail_that_came_while_no_agent_ran_is_new_and_what_lay_there_before_is_not(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail("old"))
    agent = make_agent(user)
    synced(agent)
    make_agent.stop(agent)
    dovecot.save(user, mail("new"))
    agent = make_agent(user)
    synced(agent)
    due = agent.context.store.read(
        "SELECT c.subject FROM message m JOIN content c ON c.id = m.content WHERE arrival = 1"
    )
    assert [row[0] for row in due] == ["number new"]


def test_an_arrival_brings_its_body(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    work = synced(make_agent(user))
    dovecot.save(user, mail(1, "Read this.\r\n"))
    work.sync().wait(20)
    [message] = work.inbox
    assert message.fetched
    assert message.text.strip() == "Read this."


def test_a_folder_that_was_there_before_lists_headers_only_and_bodies_come_on_demand(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1, "Later.\r\n"))
    [message] = synced(make_agent(user)).inbox
    assert (message.fetched, message.text) == (False, "")
    message.fetch().wait(20)
    assert message.text.strip() == "Later."
    assert message.unread
    assert on_server(dovecot, user)["INBOX"][0][2] == ()  # reading changes nothing


def test_a_large_arrival_comes_in_part_and_whole_when_it_is_wanted(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    work = synced(make_agent(user))
    body = "A line of sixty characters, more or less, to fill the space.\r\n" * 20_000
    dovecot.save(user, mail(1, body))
    work.sync().wait(20)
    [message] = work.inbox
    assert not message.fetched
    assert message.text.startswith("A line")
    message.fetch().wait(20)
    assert message.raw == mail(1, body)


def test_arrivals_are_asked_for_in_shares_that_do_not_keep_the_line(
    make_agent: Agents, dovecot: Dovecot, user: str, start_proxy: Callable[[int], Proxy]
) -> None:
    proxy = start_proxy(dovecot.ports["imap"])
    agent = make_agent(user, imap={"port": proxy.port, "security": "none"}, fetch={"idle": False})
    work = synced(agent)
    body = "A line of sixty characters, more or less, to fill the space.\r\n" * 600
    for number in range(3):
        dovecot.save(user, mail(number, body))
    before = len(proxy.sent)
    work.sync().wait(20)
    assert sorted(message.raw for message in work.inbox) == [mail(number, body) for number in range(3)]
    asked = re.findall(rb"UID FETCH (\S+) \([^)]*BODY\.PEEK\[\]", proxy.sent[before:])
    assert asked[0] == b"1"  # it alone is as much as is asked for while nothing is known of the line
    assert len(asked) > 1


def test_a_message_shorter_than_announced_can_be_read_and_is_never_whole(
    make_agent: Agents, dovecot: Dovecot, user: str, start_proxy: Callable[[int], Proxy]
) -> None:
    dovecot.save(user, mail(1))
    proxy = start_proxy(dovecot.ports["imap"])
    proxy.replace("down", b"RFC822.SIZE ", b"RFC822.SIZE 1")
    work = synced(make_agent(user, imap={"port": proxy.port, "security": "none"}))
    [message] = work.inbox
    job = message.fetch()
    with pytest.raises(CommandError, match="154 of 1154 octets"):
        job.wait(20)
    assert message.begun
    assert not message.fetched
    assert message.text == "Hello.\n"
    assert message.raw == b""


# -- m.id ------------------------------------------------------------------------------------


def test_an_id_survives_another_clients_move_and_a_restart(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1))
    agent = make_agent(user)
    work = synced(agent)
    before = work.inbox[0].id
    dovecot.doveadm("move", "-u", user, "Archive", "mailbox", "INBOX", "1")
    work.sync().wait(20)
    assert [m.id for m in work.archive] == [before]
    make_agent.stop(agent)
    assert [m.id for m in synced(make_agent(user)).archive] == [before]


def test_an_id_survives_a_move_into_a_folder_that_is_synced_first(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1), "Trash")
    work = synced(make_agent(user, fetch={"idle": False}))
    before = work.trash[0].id
    dovecot.doveadm("move", "-u", user, "INBOX", "mailbox", "Trash", "1")
    work.inbox.sync().wait(20)
    assert [m.id for m in work.inbox] == [before]
    assert work.trash.count() == 0


def test_a_copy_by_another_client_has_an_id_of_its_own(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1), "Trash")
    work = synced(make_agent(user))
    before = work.trash[0].id
    dovecot.doveadm("copy", "-u", user, "INBOX", "mailbox", "Trash", "1")
    work.sync().wait(20)
    assert [m.id for m in work.trash] == [before]
    assert [m.id for m in work.inbox] not in ([], [before])
    assert_equal(work, dovecot, user)


def test_ids_survive_a_new_uidvalidity_and_nothing_is_news(
    make_agent: Agents, dovecot: Dovecot, user: str, server_with: dict[str, object]
) -> None:
    for number in range(4):
        dovecot.save(user, mail(number, Message_ID="" if number == 3 else f"<m{number}@example.com>"))
    agent = make_agent(user, imap=server_with)
    work = synced(agent)
    work.inbox[0].fetch().wait(20)
    before = {m.subject: m.id for m in work.inbox}
    dovecot.doveadm("mailbox", "update", "-u", user, "--uid-validity", "4242", "INBOX")
    work.sync().wait(20)
    assert {m.subject: m.id for m in work.inbox} == before
    assert work.inbox[0].fetched
    assert agent.context.store.read("SELECT count(*) FROM message WHERE arrival = 1")[0][0] == 0
    assert_equal(work, dovecot, user)


def test_what_came_after_the_last_sync_is_news_also_under_a_new_uidvalidity(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail("old"))
    agent = make_agent(user, fetch={"idle": False})
    work = synced(agent)
    dovecot.save(user, mail("new"))
    dovecot.doveadm("mailbox", "update", "-u", user, "--uid-validity", "4242", "INBOX")
    work.sync().wait(20)
    due = agent.context.store.read(
        "SELECT c.subject FROM message m JOIN content c ON c.id = m.content WHERE arrival = 1"
    )
    assert [row[0] for row in due] == ["number new"]
    assert_equal(work, dovecot, user)


# -- folders ---------------------------------------------------------------------------------


def test_the_messages_of_a_vanished_folder_are_gone_and_it_may_come_back(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.doveadm("mailbox", "create", "-u", user, "Project")
    dovecot.save(user, mail(1), "Project")
    work = synced(make_agent(user))
    before = work["Project"][0].id
    dovecot.doveadm("mailbox", "delete", "-u", user, "Project")
    work.sync().wait(20)
    assert "Project" not in work
    assert work.messages.count() == 0
    dovecot.doveadm("mailbox", "create", "-u", user, "Project")
    dovecot.save(user, mail(2), "Project")
    work.sync().wait(20)
    assert subjects(work, "Project") == ["number 2"]
    assert work["Project"][0].id != before


def test_a_folder_renamed_by_another_client_keeps_its_messages_ids(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.doveadm("mailbox", "create", "-u", user, "Old")
    dovecot.save(user, mail(1), "Old")
    work = synced(make_agent(user))
    before = work["Old"][0].id
    dovecot.doveadm("mailbox", "rename", "-u", user, "Old", "New")
    work.sync().wait(20)
    assert [m.id for m in work["New"]] == [before]
    assert_equal(work, dovecot, user)


def test_folders_that_the_configuration_leaves_out_are_not_fetched_by_themselves(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1))
    dovecot.save(user, mail(2), "Archive")
    work = work_of(make_agent(user, fetch={"folders": ["Arch*"]}))
    eventually(lambda: subjects(work, "Archive") == ["number 2"])
    eventually(lambda: work.archive.synced)
    assert work.inbox.synced is None


def test_one_folder_that_cannot_be_opened_is_told_and_stops_no_other(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.doveadm("mailbox", "create", "-u", user, "Broken")
    dovecot.save(user, mail(1), "Trash")
    dovecot.doveadm("acl", "set", "-u", user, "Broken", "owner", "lookup")
    work = work_of(make_agent(user))
    job = work.sync()
    eventually(lambda: job.done, timeout_s=20)
    assert "'Broken' cannot be opened" in job.error
    assert subjects(work, "Trash") == ["number 1"]


def test_a_sync_asks_for_no_flags_where_the_server_tells_changes(
    make_agent: Agents, dovecot: Dovecot, user: str, start_proxy: Callable[[int], Proxy]
) -> None:
    dovecot.save(user, mail(1))
    proxy = start_proxy(dovecot.ports["imap"])
    work = synced(make_agent(user, imap=through(proxy), fetch={"idle": False}))
    dovecot.doveadm("flags", "add", "-u", user, "\\Seen", "mailbox", "INBOX", "all")
    before = len(proxy.sent)
    work.sync().wait(20)
    assert set(work.inbox[0].flags) == {"seen"}
    sent = proxy.sent[before:]
    assert b"QRESYNC (" in sent
    assert b"FETCH" not in sent
    assert b"SEARCH" not in sent


def test_a_write_that_fails_in_the_middle_of_a_listing_leaves_no_gap(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    fill(dovecot, user, 1500)
    agent = make_agent(user, serve=False)
    store = agent.context.store
    trigger = (
        "CREATE TEMP TRIGGER full BEFORE INSERT ON message WHEN new.s_uid = 1000"
        " BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    )
    store.write(lambda tx: tx.execute(trigger)).result()
    agent.serve(fill=False)
    work = work_of(agent)
    eventually(lambda: "disk is full" in work.status)
    store.write(lambda tx: tx.execute("DROP TRIGGER full")).result()
    work.sync().wait(30)
    assert len(subjects(work)) == 1500
