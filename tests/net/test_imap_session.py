"""All folders at once, and what is told of folders that are not selected."""

from __future__ import annotations

import re

import pytest

from agent.errors import Refused
from agent.net.base import FolderState, Pushed, Told
from agent.net.imap_watch import Watch
from agent.net.wire import Response
from tests.harness.agents import mail
from tests.harness.dovecot import Dovecot
from tests.harness.scripted import SELECTED, Peer, imap, replying
from tests.net.connections import connected, facing

PUSHED = b"* STATUS Lists (MESSAGES 4 UIDNEXT 9 HIGHESTMODSEQ 12)"
TOLD = Told("Lists", None, 9, 4, 12)
LISTED = (
    b'* LIST () "/" INBOX',
    b'* LIST (\\Noselect) "/" Top',
    b'* LIST () "/" Lists',
    b'* LIST () "/" Odd',
)


def everything(name: str) -> bool:
    return True


def test_one_list_tells_the_states_of_all_folders(dovecot: Dovecot, user: str) -> None:
    dovecot.save(user, mail(1), "Archive")
    with connected(dovecot, user) as backend:
        backend.create_folder("Läden")
        told = {info.name: info.state for info in backend.survey(everything)}
        assert told["Archive"] == backend.status("Archive")
        assert told["Läden"] == backend.status("Läden")
        assert backend.pushed() == Pushed()
        select = backend.select("Archive")
        state = told["Archive"]
        assert state is not None
        assert (state.uidvalidity, state.uidnext, state.exists, state.modseq) == (
            select.uidvalidity, select.uidnext, 1, select.modseq,
        )  # fmt: skip


def test_the_selected_folder_is_told_without_a_state_when_something_happened_there(
    dovecot: Dovecot, user: str
) -> None:
    with connected(dovecot, user) as backend:
        backend.select("Archive")
        states = {info.name: info.state for info in backend.survey(everything)}
        assert states["Archive"] is not None
        dovecot.save(user, mail(1), "Archive")
        states = {info.name: info.state for info in backend.survey(everything)}
        assert states["Archive"] is None
        assert backend.pushed().arrivals


def test_without_list_status_each_wanted_folder_is_asked_and_none_waits_for_another() -> None:
    waiting: list[bytes] = []

    def status(peer: Peer, tag: bytes, rest: bytes) -> None:
        waiting.append(tag)
        if len(waiting) < 2:
            return  # the next question comes although this one has no answer yet
        peer.send(
            b"* STATUS INBOX (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 7)", waiting[0] + b" OK done",
            b"* STATUS Lists (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 8)", waiting[1] + b" OK done",
        )  # fmt: skip

    with facing(imap({"LIST": replying(*LISTED), "STATUS": status}), select=False) as (backend, server):
        found = {info.name: info.state for info in backend.survey(lambda name: name != "Odd")}
    assert found == {
        "INBOX": FolderState(7, 4, 3), "Top": None, "Lists": FolderState(8, 2, 1), "Odd": None,
    }  # fmt: skip
    assert b"Odd" not in server.received


def test_a_folder_whose_status_is_refused_is_told_without_one() -> None:
    def status(peer: Peer, tag: bytes, rest: bytes) -> None:
        if b"Lists" in rest:
            peer.send(tag + b" NO not for you")
        else:
            peer.send(b"* STATUS INBOX (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 7)", tag + b" OK done")

    with facing(imap({"LIST": replying(*LISTED), "STATUS": status}), select=False) as (backend, _):
        found = {info.name: info.state for info in backend.survey(everything)}
        assert found["Lists"] is None
        assert found["INBOX"] == FolderState(7, 4, 3)
        assert backend.connected


def test_a_refused_list_is_an_error() -> None:
    script = imap({"LIST": replying(end=b"NO later")}, capabilities="IMAP4rev1 LIST-EXTENDED LIST-STATUS")
    with facing(script, select=False) as (backend, _), pytest.raises(Refused, match="list of folders"):
        backend.survey(everything)


# -- many messages ---------------------------------------------------------------------------

SCATTERED = ",".join(str(uid) for uid in range(10_001, 20_000, 2))  # a set for four commands


def test_flags_of_many_messages_go_without_waiting_in_commands_below_8_kb() -> None:
    waiting: list[bytes] = []

    def store(peer: Peer, tag: bytes, rest: bytes) -> None:
        assert len(rest) < 8000
        waiting.append(tag)
        if len(waiting) == 4:  # none has been answered so far
            for each in waiting:
                peer.send(b"* 1 FETCH (UID 3 MODSEQ (9))", each + b" OK done")

    with facing(imap({"UID STORE": store})) as (backend, server):
        backend.change_flags(SCATTERED, add=["\\Seen"])
        assert backend.uids() == []  # every answer was read
        assert len(waiting) == 4
        assert backend.pushed() == Pushed()
    sets = re.findall(rb"UID STORE ([\d,]+) ", server.received)
    assert b",".join(sets) == SCATTERED.encode()


@pytest.mark.parametrize("text", [b" NO not that one", b" NO "])
def test_a_refusal_among_many_is_told_when_all_are_answered(text: bytes) -> None:
    told: list[bytes] = []

    def store(peer: Peer, tag: bytes, rest: bytes) -> None:
        told.append(tag)
        peer.send(tag + (text if len(told) == 2 else b" OK done"))

    with facing(imap({"UID STORE": store})) as (backend, _):
        with pytest.raises(Refused, match="the flags are refused"):
            backend.change_flags(SCATTERED, add=["\\Seen"], remove=["\\Flagged"])
        assert len(told) == 4
        assert backend.connected
        assert backend.uids() == []


# -- told unasked ----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["SELECT", "UID FETCH", "SUBSCRIBE", "NOOP", "UID SEARCH", "NOTIFY"])
def test_what_is_told_of_another_folder_with_any_answer_is_kept(command: str) -> None:
    answers = {command: replying(*(SELECTED if command == "SELECT" else ()), PUSHED)}
    script = imap(answers, capabilities="IMAP4rev1 IDLE NOTIFY")
    with facing(script, select=command != "SELECT") as (backend, server):
        backend.select("INBOX")
        assert list(backend.messages("1:3")) == []
        backend.create_folder("x")
        backend.uids()
        assert backend.watch_all()
        if command != "NOOP":
            assert backend.rest(10, -1) == Pushed(elsewhere=(TOLD,))
            assert b"IDLE" not in server.received
        else:
            assert backend.noop() == Pushed(elsewhere=(TOLD,))
        assert backend.pushed() == Pushed()


def test_the_answer_to_a_status_is_no_news() -> None:
    status = replying(PUSHED[:-1] + b" UIDVALIDITY 3)")
    with facing(imap({"STATUS": status})) as (backend, _):
        assert backend.status("Lists").uidnext == 9
        assert backend.pushed() == Pushed()


def test_news_of_other_folders_is_told_where_none_is_selected() -> None:
    with facing(imap({"NOOP": replying(PUSHED)}), select=False) as (backend, _):
        assert backend.rest(0.01, -1) == Pushed(elsewhere=(TOLD,))


def test_a_server_without_notify_is_not_asked_and_one_that_refuses_is_believed() -> None:
    with facing(imap()) as (backend, server):
        assert not backend.watch_all()
        assert b"NOTIFY" not in server.received
    refusing = imap({"NOTIFY": replying(end=b"BAD no")}, capabilities="IMAP4rev1 NOTIFY")
    with facing(refusing) as (backend, _):
        assert not backend.watch_all()
        assert backend.connected


def test_an_overflow_is_told_once() -> None:
    watch = Watch()
    watch.note(Response("OK", -1, (b"[NOTIFICATIONOVERFLOW] too much",)))
    assert watch.pending
    assert watch.take() == Pushed(overflow=True)
    assert watch.take() == Pushed()


def test_a_server_that_tells_of_folders_without_end_fills_no_memory() -> None:
    watch = Watch()
    for number in range(20_000):
        watch.note(Response("STATUS", -1, (b"f%d (UIDNEXT 2)" % number,)))
    pushed = watch.take()
    assert len(pushed.elsewhere) == 10_000
    assert pushed.overflow


@pytest.mark.parametrize("text", [b"", b"(", b"NIL ()", b"x", b"(a b) c", b'"a" (UIDNEXT)', b"a (UIDNEXT x)"])
def test_a_strange_status_breaks_nothing(text: bytes) -> None:
    watch = Watch()
    watch.note(Response("STATUS", -1, (text,)))
    assert all(told.uidnext is None for told in watch.take().elsewhere)
