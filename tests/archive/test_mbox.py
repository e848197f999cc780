"""mbox files: what is read is what was written, and what others write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.archive import mbox
from agent.archive.found import Found, Label
from agent.errors import CommandError
from agent.mail import flags


def label(**changes: object) -> Label:
    values = {"key": "1-abc", "flags": 0, "tags": (), "sender": "bob@example.com", "subject": "x",
              "received": 1_790_000_000} | changes  # fmt: skip
    return Label(**values)


def written(path: Path, *messages: tuple[bytes, Label]) -> Path:
    writer = mbox.MboxWriter(path)
    for raw, one in messages:
        writer.add(raw, one)
    writer.close()
    return path


def read(path: Path, text: bytes | None = None) -> list[Found]:
    if text is not None:
        path.write_bytes(text)
    return list(mbox.read(path))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    raw = b"Subject: one\r\n\r\nFrom here\r\n>From there\r\n\r\n"
    path = written(
        tmp_path / "box",
        (raw, label(flags=flags.SEEN | flags.FLAGGED | flags.FORWARDED, tags=("$Muted", "work"))),
        (b"Subject: two\r\n\r\n", label(received=86_400)),
    )
    first, second = read(path)
    assert (first.raw, first.received) == (raw, 1_790_000_000)
    assert (first.flags, first.tags) == (flags.SEEN | flags.FLAGGED | flags.FORWARDED, ("$Muted", "work"))
    assert (second.raw, second.flags, second.received) == (b"Subject: two\r\n\r\n", 0, 86_400)
    assert b"\n>From here\n>>From there\n" in path.read_bytes()


_LINES = st.sampled_from(
    [
        b"",
        b"From me",
        b">From you",
        b"From a@b Mon Nov  2 10:00:00 2026",
        b"text",
        b"Status: RO",
        b"X-Keywords: a",
    ]
)


@given(bodies=st.lists(st.lists(_LINES, min_size=1, max_size=6), min_size=1, max_size=4))
def test_no_text_breaks_the_format(
    bodies: list[list[bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    messages = [b"Subject: x\r\n\r\n" + b"\r\n".join(lines) + b"\r\n" for lines in bodies]
    path = tmp_path_factory.mktemp("box") / "box"
    written(path, *((raw, label()) for raw in messages))
    assert [found.raw for found in read(path)] == messages


def test_unquoted_from_in_a_text_does_not_split_a_message(tmp_path: Path) -> None:
    text = b"From a@b Mon Nov  2 10:00:00 2026\nSubject: x\n\nFrom now on we quote.\n\nFrom there to here\n"
    assert [found.raw.count(b"From") for found in read(tmp_path / "box", text)] == [2]


@pytest.mark.parametrize(
    ("separator", "moment"),
    [
        (b"From a@b Mon Nov  2 10:00:00 2026", 1_793_613_600),
        (b"From a@b Mon Nov  2 10:00 2026", 1_793_613_600),
        (b"From a@b Mon Nov  2 10:00:00 UTC 2026", 1_793_613_600),
        (b"From a@b Mon Nov  2 10:00:00 2026 +0000", 1_793_613_600),
        (b"From a@b Mon Foo 99 10:00:00 2026", None),
        (b"From nobody", None),
    ],
)
def test_the_separator_tells_when_it_came(separator: bytes, moment: int | None, tmp_path: Path) -> None:
    (found,) = read(tmp_path / "box", separator + b"\nSubject: x\n\ntext\n")
    assert found.received == moment


def test_status_lines_of_other_programs_are_flags_and_stay_in_the_header(tmp_path: Path) -> None:
    (found,) = read(tmp_path / "box", b"From x\nSubject: x\nStatus: RO\nX-Status: AF\n\nStatus: no\n")
    assert found.flags == flags.SEEN | flags.ANSWERED | flags.FLAGGED
    assert found.raw == b"Subject: x\r\nStatus: RO\r\nX-Status: AF\r\n\r\nStatus: no\r\n"


def test_empty_messages_are_told_not_taken(tmp_path: Path) -> None:
    found = read(tmp_path / "box", b"From x\n\nFrom a@b Mon Nov  2 10:00:00 2026\nSubject: x\n\n.\n")
    assert [each.problem for each in found] == ["there is nothing in it", ""]


def test_a_message_that_is_too_large_is_told_and_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mbox, "LARGEST", 1000)
    start = b"From a@b Mon Nov  2 10:00:00 2026\nSubject: x\n\n"
    found = read(tmp_path / "box", start + b"y" * 2000 + b"\n\n" + start + b"small\n")
    assert [bool(each.problem) for each in found] == [True, False]


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_text("mine")
    with pytest.raises(CommandError, match="is there already"):
        mbox.MboxWriter(path)
    path.unlink()
    writer = mbox.MboxWriter(path)
    path.write_text("mine")
    with pytest.raises(CommandError, match="is there already"):
        writer.close()
    assert [each.name for each in tmp_path.iterdir()] == ["box"]
    assert path.read_text() == "mine"


def test_nothing_appears_before_it_is_complete_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    writer = mbox.MboxWriter(tmp_path / "box")
    writer.add(b"Subject: x\r\n\r\n", label())
    assert not (tmp_path / "box").exists()
    writer.discard()
    assert not list(tmp_path.iterdir())
    path = written(tmp_path / "box", (b"Subject: x\r\n\r\n", label()))
    assert os.stat(path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("sender", ["", "a b@c", "a@b\nX: y", "ü@example.org"])
def test_a_hostile_sender_does_not_get_into_the_separator(sender: str, tmp_path: Path) -> None:
    path = written(tmp_path / "box", (b"Subject: x\r\n\r\n", label(sender=sender)))
    assert path.read_bytes().startswith(b"From MAILER-DAEMON Mon Sep 21")
