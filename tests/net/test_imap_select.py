from __future__ import annotations

import pytest

from agent.errors import Refused
from agent.net.base import Changes, FlagState
from agent.net.imap_select import Selecting, state_of_status
from agent.net.wire import Response


def selecting(*lines: tuple[str, int, bytes], since: tuple[int, int] | None = None) -> Selecting:
    result = Selecting(since)
    for kind, number, text in lines:
        result.note(Response(kind, number, (text,)))
    return result


USUAL = (("EXISTS", 3, b""), ("OK", -1, b"[UIDVALIDITY 7] x"), ("OK", -1, b"[HIGHESTMODSEQ 50] x"))


def test_what_came_before_closed_is_about_the_folder_that_was_left() -> None:
    state = selecting(
        ("EXISTS", 99, b""),
        ("VANISHED", -1, b"1:5"),
        ("OK", -1, b"[CLOSED] x"),
        *USUAL,
        since=(7, 40),
    ).state("x")
    assert (state.exists, state.changes) == (3, Changes((), ()))


def test_changes_are_flags_and_removals() -> None:
    state = selecting(
        *USUAL,
        ("VANISHED", -1, b"(EARLIER) 2,4:5"),
        ("FETCH", 1, b"(UID 8 FLAGS (\\Seen a) MODSEQ (45))"),
        since=(7, 40),
    ).state("x")
    assert state.changes == Changes((FlagState(8, 1, frozenset({"a"}), 45),), (2, 4, 5))


@pytest.mark.parametrize(
    ("since", "more"),
    [
        (None, ()),
        ((8, 40), ()),
        ((7, 60), ()),
        ((7, 40), (("OK", -1, b"[NOMODSEQ] x"), ("OK", -1, b"[HIGHESTMODSEQ] x"))),
        ((7, 40), (("VANISHED", -1, b"(EARLIER) 1:4294967295"),)),
    ],
    ids=["not asked", "other uidvalidity", "went back", "no modseq", "too many"],
)
def test_changes_that_cannot_be_relied_on_are_none(
    since: tuple[int, int] | None, more: tuple[tuple[str, int, bytes], ...]
) -> None:
    assert selecting(*USUAL, *more, since=since).state("x").changes is None


def test_read_only_and_keywords_are_seen() -> None:
    told = selecting(*USUAL, ("OK", -1, b"[PERMANENTFLAGS (\\Seen \\*)] x"))
    told.end(b"[READ-ONLY] done")
    state = told.state("x")
    assert (state.writable, state.keywords) == (False, True)


@pytest.mark.parametrize("text", [b"INBOX ()", b"INBOX", b""])
def test_a_status_that_tells_nothing_is_refused_for_now(text: bytes) -> None:
    with pytest.raises(Refused) as caught:
        state_of_status([Response("STATUS", -1, (text,))], "x")
    assert not caught.value.permanent
