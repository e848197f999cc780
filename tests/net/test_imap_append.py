"""Many messages with one APPEND: all of them with flags and dates under told UIDs, or none."""

from __future__ import annotations

import pytest

from agent.errors import CommandError, Refused
from agent.mail.flags import FLAGGED, SEEN
from agent.net import imap_append
from agent.net.base import Letter
from tests.harness.dovecot import Dovecot
from tests.net.connections import connected


def raw(number: int | str, size: int = 0) -> bytes:
    return f"Subject: n{number}\r\nMessage-ID: <n{number}@x.org>\r\n\r\n{'x' * size}\r\n".encode()


def letters(*sizes: int) -> list[Letter]:
    flags = [("\\Seen",), (), ("\\Flagged", "tag")]
    return [Letter(raw(n, size), flags[n % 3], 1_000_000_000 + n) for n, size in enumerate(sizes)]


@pytest.mark.parametrize("compress", [False, True])
def test_many_are_stored_at_once_in_their_order(dovecot: Dovecot, user: str, compress: bool) -> None:
    # Small ones, one that waits for the server's consent, and one of NUL octets.
    given = [*letters(0, 500, 200_000, 5000, 70_000), Letter(b"Subject: nul\r\n\r\na\0b\r\n")]
    with connected(dovecot, user, compress=compress) as backend:
        assert backend.appends_many
        told = backend.append_all("Archive", given)
        assert told == (backend.select("Archive").uidvalidity, [1, 2, 3, 4, 5, 6])
        found = list(backend.messages("1:*"))
    # Dovecot keeps other octets in the place of NULs.
    assert [each.raw.replace(b"\x80", b"\0") for each in found if each.raw] == [
        letter.raw for letter in given
    ]
    assert [each.received for each in found[:5]] == [1_000_000_000 + n for n in range(5)]
    assert [(each.bits, each.tags) for each in found[:3]] == [(SEEN, set()), (0, set()), (FLAGGED, {"tag"})]


@pytest.mark.parametrize(
    "sizes", [(0, 2_000_000, 0), (40_000,) * 40, (0, 0, 60_000) * 20], ids=["one", "all", "some"]
)
def test_where_one_is_refused_none_is_stored(dovecot: Dovecot, user: str, sizes: tuple[int, ...]) -> None:
    dovecot.limit(user, "1M")
    with connected(dovecot, user) as backend:
        with pytest.raises(Refused, match=r"OVERQUOTA") as caught:
            backend.append_all("INBOX", letters(*sizes))
        assert caught.value.permanent
        assert backend.select("INBOX").exists == 0
        assert backend.append_all("INBOX", letters(0, 1)) is not None


def test_a_folder_that_is_gone_takes_nothing_and_the_connection_goes_on(dovecot: Dovecot, user: str) -> None:
    with connected(dovecot, user) as backend:
        with pytest.raises(Refused, match="TRYCREATE"):
            backend.append_all("Nowhere", letters(10, 100_000, 10))
        assert backend.append_all("INBOX", letters(10)) is not None


def test_what_cannot_be_said_is_refused_before_anything_goes_out() -> None:
    with pytest.raises(CommandError, match="NUL"):
        imap_append.words_of([Letter(b"fine"), Letter(b"a\0b")], binary=False)
    with pytest.raises(CommandError, match="cannot be a tag"):
        imap_append.words_of([Letter(b"fine", ("two words",))], binary=True)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"[APPENDUID 7 3:5] done", (7, [3, 4, 5])),
        (b"[APPENDUID 7 3,9,4] done", (7, [3, 9, 4])),
        (b"[APPENDUID 7 3:4] done", None),
        (b"[appenduid 7 3:6] done", None),
        (b"done", None),
    ],
)
def test_uids_are_believed_when_there_are_as_many_as_messages(answer: bytes, told: object) -> None:
    assert imap_append.uids_of(answer, 3) == told
