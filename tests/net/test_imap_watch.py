"""The ways in which news can arrive around IDLE; plain imapclient loses, spins or raises in most."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest

from agent.errors import NetworkError, Refused
from agent.net.base import Pushed
from agent.net.imap_watch import Watch
from agent.net.wire import Response
from tests.harness.scripted import Answer, Peer, imap, replying
from tests.net.connections import facing

Say = Callable[[Peer], None]


def idling(say: Say) -> Answer:
    """Return an answer to IDLE: what `say` sends, then the end of it after DONE."""

    def answer(peer: Peer, tag: bytes, rest: bytes) -> None:
        say(peer)
        while peer.line() != b"DONE":
            pass
        peer.send(tag + b" OK idle done")

    return answer


def pause() -> None:
    time.sleep(0.05)


def normal(peer: Peer) -> None:
    peer.send(b"+ idling")
    pause()
    peer.send(b"* 4 EXISTS")


def same_segment(peer: Peer) -> None:
    peer.raw(b"+ idling\r\n* 4 EXISTS\r\n")


def before_the_plus(peer: Peer) -> None:
    peer.raw(b"* 4 EXISTS\r\n+ idling\r\n")


def split_line(peer: Peer) -> None:
    peer.send(b"+ idling")
    pause()
    peer.raw(b"* 4 EX")
    pause()
    peer.raw(b"ISTS\r\n")


def literal(peer: Peer) -> None:
    peer.send(b"+ idling")
    peer.raw(b"* 3 FETCH (FLAGS () X {5}\r\n")
    pause()
    peer.raw(b"hello)\r\n")


def still_here(peer: Peer) -> None:
    peer.send(b"+ idling", b"* OK Still here", b"* BAD what", b"* NO what {5}")
    pause()
    peer.send(b"* 4 EXISTS")


def vanished(peer: Peer) -> None:
    peer.send(b"+ idling", b"* VANISHED 3:3")


def flags(peer: Peer) -> None:
    peer.send(b"+ idling", b"* 2 FETCH (UID 9 MODSEQ (77) FLAGS (\\Seen))")


def weird(peer: Peer) -> None:
    peer.send(b"+ idling", b"* FLAGS (\\Seen weird[flag)", b"* XYZZY (((", b"*", b"* 2 EXPUNGE")


@pytest.mark.parametrize(
    ("say", "pushed"),
    [
        (normal, Pushed(arrivals=True)),
        (same_segment, Pushed(arrivals=True)),
        (before_the_plus, Pushed(arrivals=True)),
        (split_line, Pushed(arrivals=True)),
        (literal, Pushed(flags=True)),
        (still_here, Pushed(arrivals=True)),
        (vanished, Pushed(removals=True)),
        (flags, Pushed(flags=True)),
        (weird, Pushed(removals=True)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_news_ends_the_rest_however_it_arrives(say: Say, pushed: Pushed) -> None:
    with facing(imap({"IDLE": idling(say)})) as (backend, _):
        begun = time.monotonic()
        assert backend.rest(10, -1) == pushed
        assert time.monotonic() - begun < 3
        assert backend.uids("ALL") == []  # the connection is in order


@pytest.mark.parametrize("ending", ["bye", "eof", "reset"])
def test_a_lost_connection_ends_the_rest_with_an_error(ending: str) -> None:
    def leave(peer: Peer) -> None:
        peer.send(b"+ idling")
        pause()
        if ending == "bye":
            peer.send(b"* BYE going down")
        elif ending == "eof":
            peer.close()
        else:
            peer.reset()

    with facing(imap({"IDLE": idling(leave)})) as (backend, _):
        begun = time.monotonic()
        with pytest.raises(NetworkError, match="going down" if ending == "bye" else "closed|broke"):
            backend.rest(10, -1)
        assert time.monotonic() - begun < 3
        assert not backend.connected


def test_news_from_an_earlier_command_ends_the_rest_before_it_begins() -> None:
    with facing(imap({"NOOP": replying(), "CREATE": replying(b"* 4 EXISTS")})) as (backend, server):
        backend.create_folder("x")
        assert backend.rest(10, -1) == Pushed(arrivals=True)
    assert b"IDLE" not in server.received


def test_news_from_before_that_idle_does_not_tell_is_asked_for() -> None:
    script = imap({"NOOP": replying(b"* 4 EXISTS"), "IDLE": idling(lambda peer: peer.send(b"+ idling"))})
    with facing(script) as (backend, _):
        begun = time.monotonic()
        assert backend.rest(10, -1) == Pushed(arrivals=True)
        assert time.monotonic() - begun < 3


def test_resting_costs_no_time_of_the_processor() -> None:
    with facing(imap({"IDLE": idling(lambda peer: peer.send(b"+ idling"))})) as (backend, _):
        begun = time.thread_time()
        assert backend.rest(0.5, -1) == Pushed()
        assert time.thread_time() - begun < 0.1


def test_news_that_comes_with_the_end_is_not_lost() -> None:
    def answer(peer: Peer, tag: bytes, rest: bytes) -> None:
        peer.send(b"+ idling")
        peer.line()
        peer.send(b"* 4 EXISTS", tag + b" OK done")

    with facing(imap({"IDLE": answer})) as (backend, _):
        assert backend.rest(0.05, -1) == Pushed(arrivals=True)


def test_a_refused_idle_is_told() -> None:
    with facing(imap({"IDLE": replying(end=b"NO not now")})) as (backend, _):
        with pytest.raises(Refused, match="not now"):
            backend.rest(1, -1)
        assert backend.connected


@pytest.mark.parametrize("refused", [True, False])
def test_the_answers_to_noop_and_idle_may_come_in_any_order(refused: bool) -> None:
    waiting: list[bytes] = []

    def noop(peer: Peer, tag: bytes, rest: bytes) -> None:
        waiting.append(tag)

    def idle(peer: Peer, tag: bytes, rest: bytes) -> None:
        peer.send(tag + b" BAD unknown command" if refused else b"+ idling")
        peer.send(waiting.pop() + b" OK noop done")
        if not refused:
            peer.send(b"* 4 EXISTS")
            while peer.line() != b"DONE":
                pass
            peer.send(tag + b" OK idle done")

    with facing(imap({"NOOP": noop, "IDLE": idle})) as (backend, _):
        if refused:
            with pytest.raises(Refused):
                backend.rest(10, -1)
        else:
            assert backend.rest(10, -1) == Pushed(arrivals=True)


def test_a_server_that_ends_idle_by_itself_is_no_trouble() -> None:
    def answer(peer: Peer, tag: bytes, rest: bytes) -> None:
        peer.send(b"+ idling", tag + b" OK enough")

    with facing(imap({"IDLE": answer})) as (backend, _):
        assert backend.rest(5, -1) == Pushed()
        assert backend.noop() == Pushed()


def test_without_idle_the_rest_waits_and_then_asks() -> None:
    script = imap({"NOOP": replying(b"* 4 EXISTS")}, capabilities="IMAP4rev1")
    with facing(script) as (backend, server):
        assert not backend.can_idle
        assert backend.rest(0.05, -1) == Pushed(arrivals=True)
    assert b"IDLE" not in server.received


def test_without_idle_the_rest_can_be_woken() -> None:
    here, there = socket.socketpair()
    with here, there, facing(imap(capabilities="IMAP4rev1")) as (backend, _):
        timer = threading.Timer(0.05, there.send, [b"x"])
        timer.start()
        assert backend.rest(10, here.fileno()) == Pushed(woken=True)
        timer.join()


def test_own_removals_are_no_news_and_one_more_is() -> None:
    watch = Watch()
    watch.select(10)
    watch.expect_removals(2)
    for _ in range(2):
        watch.note(Response("EXPUNGE", 1, (b"",)))
    assert not watch.pending
    watch.note(Response("EXPUNGE", 1, (b"",)))
    assert watch.take() == Pushed(removals=True)
    assert watch.exists == 7


def test_a_size_that_shrinks_without_a_word_is_a_removal() -> None:
    watch = Watch()
    watch.select(10)
    watch.note(Response("EXISTS", 8, (b"",)))
    assert watch.take() == Pushed(removals=True)
