"""Maildirs, folders of .eml files, and finding out what a place holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.archive.found import Label
from agent.archive.places import Sources, writer
from agent.errors import CommandError
from agent.mail import flags

RAW = b"Subject: one\r\n\r\nHello.\r\n"


def label(**changes: object) -> Label:
    values = {"key": "1-abc", "flags": 0, "tags": (), "sender": "bob@example.com", "subject": "one",
              "received": 1_790_000_000} | changes  # fmt: skip
    return Label(**values)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_maildir_keeps_bytes_flags_and_time(tmp_path: Path) -> None:
    place = writer(tmp_path / "box", "maildir")
    assert place.add(RAW, label(flags=flags.SEEN | flags.ANSWERED | flags.DRAFT))
    place.close()
    assert files(tmp_path / "box") == ["cur/1790000000.1-abc.agent:2,DRS"]
    (found,) = Sources([tmp_path / "box"])
    assert (found.raw, found.flags) == (RAW, flags.SEEN | flags.ANSWERED | flags.DRAFT)
    assert found.received == 1_790_000_000


@pytest.mark.parametrize("kind", ["maildir", "eml"])
def test_an_export_that_was_cut_off_goes_on(kind: str, tmp_path: Path) -> None:
    assert writer(tmp_path / "box", kind).add(RAW, label())
    again = writer(tmp_path / "box", kind)
    assert not again.add(RAW, label())
    assert again.add(RAW + b"more\r\n", label(key="2-def"))
    assert len(files(tmp_path / "box")) == 2


def test_an_eml_file_has_a_safe_name_and_the_very_bytes(tmp_path: Path) -> None:
    place = writer(tmp_path / "box", "eml")
    place.add(RAW, label(subject="../../etc/passwd\x1b[31m"))
    (name,) = files(tmp_path / "box")
    assert name == "2026-09-21 .._.._etc_passwd_[31m 1-abc.eml"
    assert (tmp_path / "box" / name).read_bytes() == RAW
    assert os.stat(tmp_path / "box" / name).st_mode & 0o777 == 0o600


def test_a_file_with_other_bytes_is_not_overwritten(tmp_path: Path) -> None:
    place = writer(tmp_path / "box", "eml")
    place.add(RAW, label())
    (name,) = files(tmp_path / "box")
    (tmp_path / "box" / name).write_text("mine")
    assert place.add(RAW, label())
    assert (tmp_path / "box" / name).read_text() == "mine"
    assert len(files(tmp_path / "box")) == 2


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    place = writer(tmp_path / "box", "eml")
    place.add(RAW, label())
    (name,) = files(tmp_path / "box")
    (tmp_path / "box" / name).unlink()
    (tmp_path / "box" / name).symlink_to(tmp_path / "elsewhere")
    assert place.add(RAW, label())
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("kind", ["mbox", "maildir", "eml"])
def test_a_place_that_is_something_else_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CommandError, match="already"):
        writer(tmp_path / "file", kind)
    with pytest.raises(CommandError, match="make it first"):
        writer(tmp_path / "no" / "where", kind)
    if kind == "maildir":
        with pytest.raises(CommandError, match="is not a Maildir"):
            writer(tmp_path, kind)


def test_an_unknown_format_gets_a_hint(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="did you mean 'maildir'"):
        writer(tmp_path / "x", "mailder")


def test_several_places_are_read_in_order_and_counted_together(tmp_path: Path) -> None:
    (tmp_path / "one.eml").write_bytes(RAW)
    (tmp_path / "box").write_bytes(b"From x\nSubject: two\n\n.\n")
    folder = writer(tmp_path / "dir", "eml")
    folder.add(RAW, label())
    sources = Sources([tmp_path / "one.eml", tmp_path / "box", tmp_path / "dir"])
    found = list(sources)
    assert [each.raw[9:12] for each in found] == [b"one", b"two", b"one"]
    assert found[-1].read == sources.octets
    assert [each.read for each in found] == sorted(each.read for each in found)


def test_line_ends_become_those_of_the_wire(tmp_path: Path) -> None:
    (tmp_path / "one.eml").write_bytes(b"Subject: x\n\na\r\nb\n")
    (found,) = Sources([tmp_path / "one.eml"])
    assert found.raw == b"Subject: x\r\n\r\na\r\nb\r\n"


def test_places_without_mail_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, why in (
        ("absent", "is not there"),
        ("pipe", "neither a file nor a folder"),
        ("", "holds no .eml"),
    ):
        with pytest.raises(CommandError, match=why):
            Sources([tmp_path / name])


def test_links_and_hidden_files_in_a_folder_are_not_read(tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.mkdir()
    (box / "one.eml").write_bytes(RAW)
    (box / ".two.eml").write_bytes(RAW)
    (tmp_path / "secret").write_bytes(b"secret")
    (box / "three.eml").symlink_to(tmp_path / "secret")
    assert [Path(found.place).name for found in Sources([box])] == ["one.eml"]


def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.mkdir()
    for name in ("a.eml", "b.eml", "c.eml"):
        (box / name).write_bytes(RAW)
    (box / "d.eml").write_bytes(b"\n")
    sources = Sources([box])
    (box / "b.eml").unlink()
    assert [each.problem for each in sources] == [
        "",
        "No such file or directory",
        "",
        "there is nothing in it",
    ]
