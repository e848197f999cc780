"""Changes here while offline against changes on the server: what comes of them is what the table says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import agent
from agent.core.account import Account
from tests.core import conflicts, test_draft, test_exchange, test_replay
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


HELP = Path(agent.__file__).parent / "help" / "offline.md"
MOVED, DELETED, SEEN = ("move", "Junk"), ("delete", ""), ("on", "seen")
FLAG, MOVE, COPY = ("on", "flagged"), ("move", "Archive"), ("copy", "Drafts")

# The rows of the table that are about one message, with what is done on both sides.
ROWS: dict[tuple[str, str], list[tuple[list[Action], list[Action]]]] = {
    ("change a flag or tag", "another flag or tag is changed"): [([FLAG], [SEEN])],
    ("change a flag or tag", "the same one is changed"): [
        ([SEEN, ("off", "seen")], [SEEN]), ([("off", "seen")], [SEEN]), ([SEEN], [SEEN, ("off", "seen")]),
    ],
    ("change a flag or tag", "the message is deleted"): [([FLAG], [DELETED])],
    ("change a flag or tag", "the message is moved"): [([FLAG], [MOVED]), ([FLAG], [SEEN, MOVED])],
    ("move a message", "its flags are changed"): [([MOVE], [SEEN]), ([MOVE, FLAG], [SEEN])],
    ("move a message", "it is deleted"): [([MOVE], [DELETED]), ([MOVE, FLAG], [DELETED])],
    ("move a message", "it is moved elsewhere"): [([MOVE], [MOVED]), ([MOVE, FLAG, ("move", "Trash")], [MOVED])],
    ("delete a message", "its flags are changed"): [([DELETED], [SEEN])],
    ("delete a message", "it is deleted"): [([DELETED], [DELETED])],
    ("delete a message", "it is moved"): [([DELETED], [MOVED])],
    ("copy a message", "its flags are changed"): [([COPY], [SEEN]), ([FLAG, COPY, ("off", "flagged")], [SEEN])],
    ("copy a message", "it is deleted"): [([COPY], [DELETED])],
    ("copy a message", "it is moved"): [([COPY], [MOVED])],
}  # fmt: skip

# The other rows, and where they are tested.
ELSEWHERE = {
    ("move or copy into a folder", "the folder is deleted"): (
        test_replay.test_a_move_into_a_folder_that_is_gone_is_taken_back_and_told
    ),
    ("import, or move in from another account", "the mailbox is full, or a message is refused"): (
        test_exchange.test_many_go_with_one_command_and_one_that_is_refused_is_named,
        test_replay.test_a_full_mailbox_takes_no_copy_and_no_append,
    ),
    ("save a draft", "its folder is deleted, or the mailbox is full"): (
        test_draft.test_a_draft_that_no_folder_takes_keeps_its_text_and_the_one_before
    ),
    ("change mail of a folder", "the folder is read-only for you now"): (
        test_replay.test_a_folder_made_read_only_refuses_and_what_is_shown_falls_back
    ),
    ("change mail of a folder", "the folder is numbered anew (UIDVALIDITY)"): (
        test_replay.test_operations_of_before_a_new_uidvalidity_hit_the_right_messages
    ),
    ("do anything", "the server says that it cannot just now"): (
        test_replay.test_a_refusal_that_may_pass_waits_and_stops_nothing_else
    ),
}


def test_every_row_of_the_table_is_tested() -> None:
    lines = [line.split("|") for line in HELP.read_text().splitlines() if line.startswith("| ")]
    told = [(cells[1].strip(), cells[2].strip()) for cells in lines[1:]]
    assert told == [*ROWS, *ELSEWHERE]


def test_every_row_of_the_table_for_one_message_comes_true(sides: Sides) -> None:
    sides.play([each for rows in ROWS.values() for each in rows])


@pytest.mark.parametrize("work", [()], indirect=True)
def test_whatever_both_sides_do_comes_out_as_the_table_says(
    dovecot: Dovecot, user: str, proxy: Proxy, work: Account
) -> None:
    conflicts.check(dovecot, user, proxy, work, examples=15)
