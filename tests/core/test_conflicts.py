"""Changes here while offline against changes on the server: what comes of them is what the table says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from agent.core.account import Account
from tests.core import conflicts
from tests.core.conflicts import Action, Sides
from tests.harness.agents import Agents, synced
from tests.harness.dovecot import Dovecot
from tests.harness.proxy import Proxy
from tests.net.connections import connected

QUIET = {"idle": False, "every": "never"}


@pytest.fixture
def proxy(dovecot: Dovecot, start_proxy: Callable[[int], Proxy]) -> Proxy:
    return start_proxy(dovecot.ports["imap"])


@pytest.fixture(params=[(), ("QRESYNC", "NOTIFY"), ("MOVE",)], ids=str)
def work(request: pytest.FixtureRequest, make_agent: Agents, user: str, proxy: Proxy) -> Account:
    for name in request.param:
        proxy.replace("down", f" {name}".encode(), b"")
    return synced(make_agent(user, imap={"port": proxy.port, "security": "none"}, fetch=QUIET))


@pytest.fixture
def sides(dovecot: Dovecot, user: str, proxy: Proxy, work: Account) -> Iterator[Sides]:
    with connected(dovecot, user) as client:
        yield Sides(dovecot, user, proxy, work, client)


MOVED, DELETED, SEEN = ("move", "Junk"), ("delete", ""), ("on", "seen")

# Every row of the table that is about one message: ours, theirs.
ROWS: list[tuple[Sequence[Action], Sequence[Action]]] = [
    ([("on", "flagged")], [SEEN]),
    ([SEEN, ("off", "seen")], [SEEN]),
    ([("off", "seen")], [SEEN]),
    ([("on", "flagged")], [DELETED]),
    ([("on", "flagged")], [MOVED]),
    ([("move", "Archive")], [MOVED]),
    ([("move", "Archive"), ("on", "flagged"), ("move", "Trash")], [MOVED]),
    ([("move", "Archive")], [DELETED]),
    ([("move", "Archive"), ("on", "flagged")], [SEEN]),
    ([DELETED], [SEEN]),
    ([DELETED], [MOVED]),
    ([DELETED], [DELETED]),
    ([("copy", "Drafts")], [SEEN]),
    ([("copy", "Drafts")], [DELETED]),
    ([("copy", "Drafts")], [MOVED]),
    ([("on", "flagged"), ("copy", "Drafts"), ("off", "flagged")], []),
]


def test_every_row_of_the_table_for_one_message_comes_true(sides: Sides) -> None:
    sides.play(ROWS)


@pytest.mark.parametrize("work", [()], indirect=True)
def test_whatever_both_sides_do_comes_out_as_the_table_says(
    dovecot: Dovecot, user: str, proxy: Proxy, work: Account
) -> None:
    conflicts.check(dovecot, user, proxy, work, examples=5)
