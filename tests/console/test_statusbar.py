from __future__ import annotations

import pytest

from agent.console.fragments import Line, width_of
from agent.console.statusbar import Status, hint_line, status_line

FULL = Status(
    title="Inbox",
    detail="12 unread of 40",
    marked=3,
    accounts=[("work", "offline: connection refused by mail.example.org port 993")],
    jobs=2,
    outbox=1,
    running="import time; time.sleep(60) # and a very long comment",
    waiting=2,
    handler="file_bills",
    where="3/40",
)


def text(line: Line) -> str:
    return "".join(part for _, part in line)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("status", [FULL, Status("Inbox", where="All"), Status("x" * 300, where="End")])
def test_the_bar_is_exactly_as_wide_as_the_screen(status: Status, width: int) -> None:
    assert width_of(status_line(status, width)) == width


def test_a_quiet_bar_tells_title_counts_and_place() -> None:
    assert text(status_line(Status("Inbox", "12 unread of 40", where="3/40"), 80)).split("  ")[0] == " Inbox"
    assert text(status_line(Status("Inbox", "12 unread of 40", where="3/40"), 80)).endswith(" 3/40 ")


def test_a_busy_bar_tells_everything() -> None:
    shown = text(status_line(FULL, 250))
    for part in (
        "3 marked",
        "work: offline: connection refused",
        "⇅ 2",
        "outbox 1",
        "▶ import time",
        "+2",
        "C-c",
        "file_bills …",
    ):
        assert part in shown


def test_what_an_account_says_cannot_command_the_terminal() -> None:
    shown = text(status_line(Status("x", accounts=[("a\x1b[2J", "b\x9dc\x07")], running="\x1b]0;x\x07"), 120))
    assert not set(shown) & set("\x1b\x9d\x07")


def test_hints_are_left_out_whole_where_there_is_no_room() -> None:
    hints = [("Enter", "open"), ("r", "reply"), ("a", "archive")]
    assert text(hint_line(hints, 80)) == " Enter open  r reply  a archive "
    assert text(hint_line(hints, 25)) == " Enter open  r reply "


def test_of_many_accounts_only_the_states_are_told() -> None:
    accounts = [(f"a{number}", "connecting") for number in range(97)] + [
        (f"b{number}", f"offline: refused by {number}") for number in range(3)
    ]
    shown = text(status_line(Status("Inbox", accounts=accounts, where="3/40"), 80))
    assert "accounts: 97 connecting, 3 offline" in shown
    assert shown.startswith(" Inbox ")
