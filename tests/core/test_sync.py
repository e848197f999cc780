"""What lies on the server comes here, in order and for good, through the whole agent."""

from __future__ import annotations

from tests.harness.agents import Agents, assert_equal, mail, synced
from tests.harness.dovecot import Dovecot


def test_the_first_sync_takes_everything(make_agent: Agents, dovecot: Dovecot, user: str) -> None:
    for number in range(3):
        dovecot.save(user, mail(number))
    dovecot.save(user, mail("sent"), "Sent")
    work = synced(make_agent(user))
    assert_equal(work, dovecot, user)
    assert [m.subject for m in work.inbox] == ["number 2", "number 1", "number 0"]
