from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import NetworkError, Refused
from agent.mail.flags import SEEN
from agent.net.base import ShortBody
from tests.harness.scripted import Answer, Peer, imap, replying
from tests.net.connections import facing

DATE = b'INTERNALDATE "17-Jul-2026 02:44:25 +0200"'
RECEIVED = 1784249065


def row(uid: int, body: bytes, size: int | None = None, flags: bytes = b"\\Seen") -> bytes:
    announced = len(body) if size is None else size
    head = b"* %d FETCH (UID %d FLAGS (%s) %s RFC822.SIZE %d " % (uid, uid, flags, DATE, announced)
    return head + b"BODY[] {%d}\r\n%s)\r\n" % (len(body), body)


def octets(data: bytes, end: bytes = b"OK done") -> Answer:
    def answer(peer: Peer, tag: bytes, rest: bytes) -> None:
        peer.raw(data + tag + b" " + end + b"\r\n")

    return answer


def test_rows_come_with_all_that_was_asked() -> None:
    with facing(imap({"UID FETCH": octets(row(5, b"Subject: x\r\n\r\nhi\r\n"))})) as (backend, _):
        (message,) = backend.messages("5")
    assert (message.uid, message.bits, message.received, message.size) == (5, SEEN, RECEIVED, 18)
    assert message.raw == b"Subject: x\r\n\r\nhi\r\n"


def test_remarks_of_the_server_between_rows_do_no_harm() -> None:
    data = (
        b"* OK Still here\r\n"
        + row(1, b"one")
        + b"* 4 EXISTS\r\n* 9 FETCH (FLAGS (\\Seen))\r\n* OK Still here {3}\r\n"
        + row(2, b"two")
        + b"* 7 EXPUNGE\r\n"
    )
    with facing(imap({"UID FETCH": octets(data)})) as (backend, _):
        assert [message.raw for message in backend.messages("1:2")] == [b"one", b"two"]
        pushed = backend.noop()
    assert (pushed.arrivals, pushed.flags, pushed.removals) == (True, True, True)


@pytest.mark.parametrize(
    "line",
    [
        b"* 1 FETCH (BODY[] {3}\r\none UID 1 RFC822.SIZE 3 FLAGS (\\Seen) " + DATE + b")\r\n",
        b"* 1 FETCH (UID 1 RFC822.SIZE 3 FLAGS (\\Seen) " + DATE + b" BODY[] {3}\r\none)\r\n",
        b'* 1 FETCH (UID 1 RFC822.SIZE 3 FLAGS (\\Seen) BODY[] "one" ' + DATE + b")\r\n",
        b"* 1  FETCH  (UID 1 FLAGS (\\Seen)  RFC822.SIZE 3  " + DATE + b" BODY[] {3}\r\none)\r\n",
        b"* 1 fetch (uid 1 flags (\\Seen) rfc822.size 3 " + DATE + b" body[] {3}\r\none)\r\n",
        b"* 1 FETCH (X-NEW (a (b) NIL) UID 1 FLAGS (\\Seen) RFC822.SIZE 3 "
        + DATE
        + b" BODY[] {3}\r\none)\r\n",
    ],
    ids=["body first", "usual", "quoted body", "double blanks", "small letters", "unknown item"],
)
def test_any_order_and_spelling_is_read(line: bytes) -> None:
    with facing(imap({"UID FETCH": octets(line)})) as (backend, _):
        (message,) = backend.messages("1")
    assert (message.uid, message.bits, message.size, message.raw) == (1, SEEN, 3, b"one")
    assert message.received == RECEIVED


def test_a_short_body_is_never_handed_out_and_the_others_are() -> None:
    data = row(1, b"one") + row(2, b"tw", size=900) + row(3, b"three")
    with facing(imap({"UID FETCH": octets(data)})) as (backend, _):
        got = []
        with pytest.raises(ShortBody, match="UID 2 came with 2 of 900 octets") as caught:
            got.extend(message.uid for message in backend.messages("1:3"))
        assert got == [1, 3]
        assert caught.value.sizes == {2: (2, 900)}
        assert backend.uids() == []  # the connection is in order


def test_a_body_cut_off_by_the_end_of_the_connection_is_never_handed_out() -> None:
    def cut(peer: Peer, tag: bytes, rest: bytes) -> None:
        peer.raw(row(1, b"one") + row(2, b"x" * 500)[:300])
        peer.close()

    with facing(imap({"UID FETCH": cut})) as (backend, _):
        got = []
        with pytest.raises(NetworkError, match="closed"):
            got.extend(message.uid for message in backend.messages("1:2"))
        assert got == [1]
        assert not backend.connected


def test_a_message_that_has_gone_is_left_out() -> None:
    data = b"* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 10 BODY[] NIL)\r\n" + row(2, b"two")
    with facing(imap({"UID FETCH": octets(data)})) as (backend, _):
        assert [message.uid for message in backend.messages("1:2")] == [2]


def test_an_empty_message_is_a_message() -> None:
    data = b"* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 0 BODY[] NIL)\r\n" + row(2, b"")
    with facing(imap({"UID FETCH": octets(data)})) as (backend, _):
        assert [message.raw for message in backend.messages("1:2")] == [b"", b""]


def test_no_at_the_end_comes_after_the_rows() -> None:
    with facing(imap({"UID FETCH": octets(row(1, b"one"), b"NO [EXPUNGEISSUED] some gone")})) as (backend, _):
        got = []
        with pytest.raises(Refused, match="some gone"):
            got.extend(message.uid for message in backend.messages("1:2"))
        assert got == [1]
        assert backend.connected


def test_rows_that_nobody_wants_any_more_are_read_past() -> None:
    data = b"".join(row(uid, b"x" * 1000) for uid in range(1, 200))
    with facing(imap({"UID FETCH": octets(data), "UID SEARCH": replying(b"* SEARCH 3")})) as (backend, _):
        rows = backend.messages("1:*")
        assert next(rows).uid == 1
        rows.close()  # type: ignore[attr-defined]
        assert backend.uids() == [3]


def test_a_command_between_rows_is_an_error_of_the_caller_not_a_silent_loss() -> None:
    data = b"".join(row(uid, b"x") for uid in range(1, 5))
    with facing(imap({"UID FETCH": octets(data), "UID SEARCH": replying(b"* SEARCH 3")})) as (backend, _):
        rows = backend.messages("1:*")
        next(rows)
        assert backend.uids() == [3]
        with pytest.raises(RuntimeError, match="another command"):
            list(rows)


def test_a_literal_of_four_gigabytes_is_refused_at_once() -> None:
    head = b"* 1 FETCH (UID 1 RFC822.SIZE 9 BODY[] {4294967296}\r\n"
    with facing(imap({"UID FETCH": octets(head)})) as (backend, _):
        begun = time.monotonic()
        with pytest.raises(NetworkError, match="octets"):
            list(backend.messages("1"))
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize(
    "data",
    [
        b"* 1 FETCH (" + b"(" * 1_000_000 + b"\r\n",
        b"\x16\x03\x01\x02\x00garbage\r\n",
        b"A999 OK never asked\r\n",
        b"* 1 FETCH (UID 1 BODY[] {-1}\r\n",
    ],
    ids=["deep", "noise", "foreign tag", "negative"],
)
def test_nonsense_is_a_network_error_or_nothing(data: bytes) -> None:
    with facing(imap({"UID FETCH": octets(data)})) as (backend, _):
        try:
            assert list(backend.messages("1")) == []
        except NetworkError:
            pass


def test_a_line_without_end_is_refused() -> None:
    def endless(peer: Peer, tag: bytes, rest: bytes) -> None:
        for _ in range(40):
            peer.raw(b"x" * (1 << 20))

    with facing(imap({"UID FETCH": endless})) as (backend, _), pytest.raises(NetworkError, match="16 MB"):
        list(backend.headers("1"))


def test_flags_are_read_with_and_without_modseq() -> None:
    data = (
        b"* 1 FETCH (UID 1 FLAGS (\\Seen $Forwarded a) MODSEQ (12))\r\n"
        b"* 2 FETCH (FLAGS () UID 2)\r\n* 3 FETCH (FLAGS (\\Seen))\r\n* VANISHED (EARLIER) 5:6\r\n"
    )
    with facing(imap({"UID FETCH": octets(data)})) as (backend, _):
        states = list(backend.flags("1:*"))
    assert [(state.uid, state.modseq) for state in states] == [(1, 12), (2, None)]
    assert states[0].tags == {"a"}


def test_a_hundred_thousand_rows_cost_little() -> None:
    header = b"Date: Mon, 1 Jun 2026 10:00:00 +0200\r\nFrom: Ann <ann@example.org>\r\nSubject: x\r\n\r\n"
    data = b"".join(row(uid, header) for uid in range(1, 100_001)).replace(b"BODY[]", b"BODY[HEADER]")
    with facing(imap({"UID FETCH": octets(data)})) as (backend, _):
        begun = time.thread_time()
        assert sum(1 for _ in backend.headers("1:*")) == 100_000
        spent = time.thread_time() - begun
    assert spent < 2.5  # 0.35 s when measured alone; the limit allows for a busy machine


@given(
    bodies=st.lists(
        st.binary(max_size=300) | st.just(b")\r\n* 1 FETCH (UID 7 BODY[] {3}\r\nabc)\r\n"), max_size=8
    ),
    cuts=st.lists(st.integers(min_value=1, max_value=400), max_size=12),
)
def test_rows_are_the_same_however_they_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    data = b"".join(row(uid, body) for uid, body in enumerate(bodies, 1))

    def answer(peer: Peer, tag: bytes, rest: bytes) -> None:
        left = data + tag + b" OK done\r\n"
        for cut in cuts:
            peer.raw(left[:cut])
            left = left[cut:]
        peer.raw(left)

    with facing(imap({"UID FETCH": answer}), select=False) as (backend, _):
        assert [(m.uid, m.raw) for m in backend.messages("1:*")] == list(enumerate(bodies, 1))
