from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.net.base import FolderInfo
from agent.net.imap_folders import decoded, encoded, listed, with_roles
from agent.net.wire import Response


def folders_of(*lines: bytes) -> list[FolderInfo]:
    return listed([Response("LIST", -1, (line,)) for line in lines])[0]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_names_survive_the_wire(name: str) -> None:
    assert decoded(encoded(name)) == name


@pytest.mark.parametrize("raw", [b"&broken", b"a&b", "Entwürfe".encode(), b"\xff\xfe", b"&AAA"])
def test_names_that_are_no_utf7_are_still_names(raw: bytes) -> None:
    assert decoded(raw)


def test_the_octets_of_an_odd_name_are_kept_to_ask_for_it_again() -> None:
    _, raw = listed([Response("LIST", -1, (b'() "/" "a&b"',))])
    assert raw == {"a&b": b"a&b"}


def test_a_list_is_read_with_literals_numbers_and_without_delimiter() -> None:
    responses = [
        Response("LIST", -1, (b'(\\HasNoChildren \\Sent) "/" ', b'we"ird', b"")),
        Response("LIST", -1, (b'() "/" 2024',)),
        Response("LIST", -1, (b"() NIL inbox",)),
        Response("LIST", -1, (b'(\\NoSelect) "\\\\" top',)),
        Response("STATUS", -1, (b"x (MESSAGES 1)",)),
    ]
    folders, _ = listed(responses)
    assert folders == [
        FolderInfo('we"ird', "/", "sent", True),
        FolderInfo("2024", "/", "", True),
        FolderInfo("INBOX", None, "inbox", True),
        FolderInfo("top", "\\", "", False),
    ]


def test_names_that_cannot_be_asked_for_are_left_out() -> None:
    assert listed([Response("LIST", -1, (b'() "/" ', b"a\r\nb", b""))])[0] == []


@pytest.mark.parametrize("answer", [b"", b"()", b'() "/"', b"x y z", b"(((", b'"'])
def test_nonsense_is_left_out(answer: bytes) -> None:
    assert folders_of(answer) == []


def test_well_known_names_have_roles_where_the_server_marks_none() -> None:
    found = with_roles(
        folders_of(
            b'() "." INBOX',
            b'() "." "INBOX.Sent Items"',
            b'() "." INBOX.spam',
            b'() "." Trash',
            b'() "." Projects.Archive',
            b'(\\Noselect) "." Drafts',
            b'() "." "Deleted Items"',
        ),
        marked=False,
    )
    assert {folder.name: folder.role for folder in found} == {
        "INBOX": "inbox",
        "INBOX.Sent Items": "sent",
        "INBOX.spam": "junk",
        "Trash": "trash",
        "Projects.Archive": "",
        "Drafts": "",
        "Deleted Items": "",
    }


def test_names_count_for_nothing_where_the_server_marks_roles() -> None:
    lines = (b'() "/" INBOX', b'(\\Sent) "/" Gesendet', b'() "/" Sent')
    for marked in (True, False):  # marks that are seen count as well as those that are announced
        found = with_roles(folders_of(*lines), marked)
        assert {folder.name: folder.role for folder in found} == {
            "INBOX": "inbox",
            "Gesendet": "sent",
            "Sent": "",
        }


def test_a_role_is_given_once() -> None:
    found = with_roles(folders_of(b'(\\Sent) "/" A/B/C', b'(\\Sent) "/" Top'), marked=True)
    assert [(folder.name, folder.role) for folder in found] == [("A/B/C", ""), ("Top", "sent")]
