"""No room for the store while mail comes and goes: told, nothing lost or sent twice, over when there is room."""

from __future__ import annotations

from typing import Any

import pytest

from agent.app import Agent
from agent.core import drafting as drafts
from agent.core.account import Account
from agent.errors import AgentError, StoreError
from tests.harness.agents import Agents, assert_equal, mail, synced, work_of
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot
from tests.harness.sink import Sink

QUIET = {"idle": False, "every": "never"}


def fill_up(agent: Agent, pages: int = 0) -> None:
    """Leave room for some pages only."""

    def work(tx: Any) -> None:
        free = tx.execute("PRAGMA freelist_count").fetchone()[0]
        if free:
            tx.execute("CREATE TABLE IF NOT EXISTS filler (octets BLOB)")
            tx.execute("INSERT INTO filler VALUES (zeroblob(?))", (free * 4096,))
        now = tx.execute("PRAGMA page_count").fetchone()[0]
        tx.execute(f"PRAGMA max_page_count = {now + pages}")

    agent.context.store.write(work)


def make_room(agent: Agent) -> None:
    agent.context.store.write(lambda tx: tx.execute(f"PRAGMA max_page_count = {1 << 30}").fetchall()).result()


@pytest.mark.logs("full")
@pytest.mark.parametrize("kind", ["old", "new"])
def test_what_did_not_fit_is_fetched_when_there_is_room(
    kind: str, make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    agent = make_agent(user, fetch=QUIET)
    work = synced(agent) if kind == "new" else work_of(agent)
    if kind == "old":
        eventually(lambda: work.online)
    for number in range(40):
        dovecot.save(user, mail(number, body="text that takes room\r\n" * 2000))
    fill_up(agent, 20)
    with pytest.raises(AgentError, match="full"):
        work.sync().wait(20)
    assert 0 <= work.inbox.count() < 40 or kind == "old"
    make_room(agent)
    eventually(lambda: work.sync().wait(20), timeout_s=60)
    assert_equal(work, dovecot, user)
    assert work.inbox.count() == 40


def test_a_verb_that_cannot_be_stored_says_so_and_changes_nothing(
    make_agent: Agents, dovecot: Dovecot, user: str
) -> None:
    dovecot.save(user, mail(1))
    agent = make_agent(user, fetch=QUIET)
    work = synced(agent)
    fill_up(agent)
    # Small changes still fit into pages that are there; enough of them do not.
    with pytest.raises(StoreError, match="the disk is full; nothing of this was stored, make room"):
        _tag_many(work)
    shown = set(work.inbox[0].tags)
    make_room(agent)
    work.inbox[0].tag("after").wait(20)
    assert set(work.inbox[0].tags) == shown | {"after"}


def _tag_many(work: Account) -> None:
    for number in range(2000):
        work.inbox[0].tag(f"a-tag-that-takes-room-{number}")


def test_a_draft_that_cannot_be_queued_is_not_lost(
    make_agent: Agents, dovecot: Dovecot, user: str, sink: Sink
) -> None:
    agent = make_agent(user, fetch=QUIET)
    synced(agent)
    draft = drafts.compose(agent.context, to="bob@example.com", subject="big", text="long line\n" * 20_000)
    fill_up(agent)
    with pytest.raises(StoreError, match="full"):
        draft.send().wait(20)
    assert draft.text.startswith("long line")
    assert agent.context.store.read("SELECT count(*) FROM outbox")[0][0] == 0
    make_room(agent)
    draft.send().wait(20)
    assert [message.recipients for message in sink.messages] == [("bob@example.com",)]


@pytest.mark.logs("is sent, which cannot be stored yet")
def test_what_the_server_took_is_noted_when_there_is_room_and_not_sent_again(
    make_agent: Agents, dovecot: Dovecot, user: str, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    agent = make_agent(user, fetch=QUIET)
    synced(agent)
    store, state = agent.context.store, "SELECT state FROM outbox"
    seen: list[str] = []

    def fill_when_all_but_the_end_is_sent() -> None:
        if not seen and [row[0] for row in store.read(state)] == ["data-sent"]:
            seen.append("data-sent")
            fill_up(agent)

    unsubscribe = store.subscribe(fill_when_all_but_the_end_is_sent)
    drafts.compose(agent.context, to="bob@example.com", subject="big", text="long line\n" * 20_000).send()
    eventually(lambda: "cannot be stored yet" in caplog.text, timeout_s=20)
    unsubscribe()
    assert store.read(state)[0][0] == "data-sent"
    make_room(agent)
    agent._outbound[work_of(agent).id].wake()
    eventually(lambda: store.read(state)[0][0] == "sent", timeout_s=20)
    assert len(sink.messages) == 1
