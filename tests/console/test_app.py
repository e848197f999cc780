"""The console on the demo account, as a person has it before them."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.conditions import eventually
from tests.harness.console import Console, edit_with

# Rows of the demo's inbox, newest first.
FIRST, SECOND, THIRD = "Welcome", "tickets", "build 1841"
START = r"Inbox  \d+ unread of \d+"

pytestmark = pytest.mark.timeout(90)
Start = Callable[..., Console]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start consoles on the demo account: `start(rows=60, columns=200, editor="...")`."""
    opened: list[Console] = []

    def begin(editor: str = "", **options: int) -> Console:
        env = {"EDITOR": edit_with(tmp_path, editor or "pass"), "VISUAL": ""}
        opened.append(Console(["demo"], env=env, **options))
        opened[-1].wait(START)
        return opened[-1]

    yield begin
    for console in opened:
        console.close()


@pytest.fixture
def console(start: Start) -> Console:
    return start()


def test_keys_move_the_cursor_with_counts(console: Console) -> None:
    console.wait_cursor(FIRST)
    console.type("2j")
    console.wait_cursor(THIRD)
    console.type("k")
    console.wait_cursor(SECOND)
    console.type("G")
    console.wait(r"(\d+)/\1$")
    console.type("gg")
    console.wait_cursor(FIRST)
    console.type("3g")
    console.wait(r" 3g$")
    console.type("g")
    console.wait_cursor(THIRD)
    console.type("<down><down><up><home>")
    console.wait_cursor(FIRST)


def test_a_message_opens_pages_and_closes(console: Console) -> None:
    console.type("j<enter>")
    console.wait(r"^Subject: .*tickets")
    console.wait("Row 7, seats 12 and 13")
    console.type("J")
    console.wait(r"^Subject: .*build 1841")
    console.type("K")
    console.wait(r"^Subject: .*tickets")
    console.type("Jq")
    console.wait(START)
    console.wait_cursor(THIRD)


def test_a_long_message_is_paged(start: Start) -> None:
    console = start(rows=16)
    console.type("/letter<enter>")
    console.wait_cursor("A long letter")
    console.type("<enter>")
    console.wait("Top *$")
    console.type("<space>")
    console.wait(r"\d+% *$")
    console.type("G")
    console.wait("End *$")
    console.type("gg")
    console.wait("Top *$")


def test_an_opened_message_becomes_read_after_a_while(console: Console) -> None:
    console.type(":set mark-read-after 0.1<enter>")
    console.wait("mark-read-after is 0.1")
    console.type("j<enter>")
    console.wait("Row 7")
    console.type("q")
    console.wait_gone(rf"● .*{SECOND}")


def test_archive_takes_the_row_away_and_goes_on_to_the_next(console: Console) -> None:
    total = int(console.wait(r"unread of (\d+)")[1])
    console.type("ja")
    console.wait("archived 1 message")
    console.wait(rf"unread of {total - 1} ")
    console.wait_cursor(THIRD)
    assert SECOND not in console.screen()
    console.type(":cf archive<enter>")
    console.wait(rf"{SECOND}")


def test_trash_from_inside_a_message_shows_the_next(console: Console) -> None:
    console.type("j<enter>")
    console.wait(r"^Subject: .*tickets")
    console.type("d")
    console.wait(r"^Subject: .*build 1841")
    console.type("q")
    console.wait_gone(SECOND)


def test_read_and_flag_toggle(console: Console) -> None:
    console.type("2j")
    console.wait_cursor("● ")
    console.type("S")
    console.wait_cursor(rf"^  +Build.*{THIRD}")
    console.type("SF")
    console.wait_cursor(rf"● ?★.*{THIRD}")


def test_marked_messages_are_acted_on_together(console: Console) -> None:
    total = int(console.wait(r"unread of (\d+)")[1])
    console.type("<space><space><space>")
    console.wait("3 marked")
    console.type("a")
    console.wait("archived 3 messages")
    console.wait(rf"of {total - 3}\b")
    console.wait_gone("marked")


def test_a_search_limits_the_list_and_escape_lifts_it(console: Console) -> None:
    console.type("/from:mum<enter>")
    console.wait(r"Inbox /from:mum .*1 ")
    console.wait_cursor("Sunday")
    console.type("<esc>")
    console.wait(START)
    console.wait_cursor("Sunday")


def test_a_bad_query_says_what_is_wrong(console: Console) -> None:
    console.type("/from:(<enter>")
    console.wait(r"\n.*:log|\n.*from:")
    console.wait(START)


def test_commands_are_typed_completed_and_corrected(console: Console) -> None:
    console.type(":arch")
    console.wait("Move to the archive")
    console.type("<tab><enter>")
    console.wait("archived 1 message")
    console.type(":arcive<enter>")
    console.wait("unknown command 'arcive'; did you mean 'archive'")
    console.type(":quti<esc>")
    console.wait_gone(":quti")
    console.type("x")
    console.wait("x is not bound here")


def test_what_a_key_does_not_know_is_asked_for(console: Console) -> None:
    console.type("s")
    console.wait(r"^:move$")
    console.type("Arch<tab><enter>")
    console.wait("moved 1 message to")
    console.wait_gone(FIRST)


def test_the_keys_can_be_looked_up(console: Console) -> None:
    console.type("?")
    console.wait("^In the message list")
    console.type("G")
    console.wait("^Commands of the : line")
    console.type("q")
    console.wait(START)
    console.type("q")
    console.wait("ZZ or :quit ends")


def test_the_repl_has_live_objects_and_what_is_current(console: Console) -> None:
    console.type("2j~")
    console.wait("^>>>$")
    console.type("msg.subject<enter>")
    console.wait("^'.orchard. build 1841 failed on main'")
    console.type('inbox.search("is:unread").count() == len(inbox.unread)<enter>')
    console.wait("^True")
    console.type("<c-o>k~")
    console.type("msg.subject<enter>")
    console.wait("^'.*tickets")
    console.type("msg.archive()<enter>")
    console.wait("^<archived 1 message")
    console.wait_gone("●.*tickets")
    console.type("<c-d>")
    console.wait_gone("^>>>")


def test_a_statement_has_the_message_that_was_current_when_it_was_entered(console: Console) -> None:
    console.type("~")
    console.wait("^>>>$")
    console.type("import threading; gate = threading.Event()<enter>")
    console.type("gate.wait() and msg.subject<enter>")
    console.wait("▶ gate.wait")
    console.type("<c-o>jj")
    console.wait_cursor(THIRD)
    console.type(":py gate.set()<enter>")
    console.wait("▶ gate.wait.*[+]1")
    console.type("<c-o><c-c>")
    console.wait("KeyboardInterrupt")
    console.type("~msg.subject<enter>")
    console.wait("build 1841")


def test_ctrl_c_interrupts_a_statement_while_the_list_reacts(console: Console) -> None:
    console.type("~")
    console.wait("^>>>$")
    console.type("import time; time.sleep(60)<enter>")
    console.wait("▶ import time; time.sleep.60.")
    console.type("<c-o>2j")
    console.wait_cursor(THIRD)
    console.type("a")
    console.wait("archived 1 message")
    console.wait("▶ import time")
    console.type("<c-c>")
    console.wait("KeyboardInterrupt")
    console.wait_gone("▶")


def test_a_users_command_runs_on_main_with_the_selection(console: Console) -> None:
    console.type("~")
    console.wait("^>>>$")
    console.paste("@command('shout', key='X', context='index')\ndef shout(sel: Messages, times: int = 1):\n")
    console.paste("    import threading\n")
    console.paste("    return f'{sel.count()} on {threading.current_thread().name} ' * times\n\n")
    console.type("<enter>")
    console.wait(r"^>>> @command")
    console.type("<c-o>")
    console.type("<space><space>X")
    console.wait("^2 on MainThread *$")
    console.type(":shout 2<enter>")
    console.wait("^2 on MainThread 2 on MainThread")


def test_an_error_in_a_users_command_is_one_line_and_a_traceback_in_the_log(console: Console) -> None:
    console.type("~")
    console.wait("^>>>$")
    console.paste("@command('fail', key='X')\ndef fail():\n    return 1 / 0\n\n")
    console.type("<enter>")
    console.wait(r"^>>> @command")
    console.type("<c-o>X")
    console.wait("^fail: ZeroDivisionError: division by zero")
    console.type(":messages<enter>")
    console.wait("ZeroDivisionError: division by zero")


def test_pasted_text_does_not_run_as_keys(console: Console) -> None:
    console.paste("aaadddZZ")
    console.type("j")
    console.wait_cursor(SECOND)
    assert FIRST in console.screen()


def test_a_reply_is_edited_reviewed_and_sent(start: Start) -> None:
    console = start(editor="text = text.replace('\\n\\n', '\\n\\nSee you there.\\n', 1)")
    console.type("jr")
    console.wait("Review: Re: .*tickets")
    console.wait("^See you there")
    console.wait("^To: .*zoe@okafor.example")
    console.wait("^> Row 7")
    console.type("y")
    console.wait("on its way: Re:")
    console.wait(rf"r .*{SECOND}")
    console.type(":cf sent<enter>")
    console.wait("To: Zo. .*Re: ")


def test_a_draft_can_be_edited_again_kept_and_thrown_away(start: Start) -> None:
    console = start(
        editor="text = text.replace('Subject:', 'Subject: hi').replace('To: \\n', 'To: a@example.org\\n')"
    )
    console.type("m")
    console.wait("Review: hi")
    console.type("e")
    console.wait("Review: hi hi")
    console.type("q")
    console.wait("Keep it as a draft")
    console.type("<esc>")
    console.wait("y send")
    console.type("qn")
    console.wait("thrown away")
    console.type("m")
    console.wait("Review: hi")
    console.type("qy")
    console.wait("saved draft 'hi'")
    console.type(":cf drafts<enter>")
    console.wait("To: a@example.org +hi")


def test_a_reply_that_was_not_written_is_dropped(console: Console) -> None:
    console.type("r")
    console.wait("nothing was written")
    console.wait(START)


def test_an_address_that_cannot_be_read_keeps_the_text(start: Start) -> None:
    console = start(editor="text = text.replace('Subject:', 'Subjet:', 1)")
    console.type("m")
    console.wait("^Check: +line 5: 'Subjet: ' is none of")
    console.type("y")
    console.wait("press e to edit again")


def test_an_editor_that_fails_loses_nothing(start: Start) -> None:
    console = start(editor="sys.exit(3)")
    console.type("r")
    console.wait("ended with status 3; the text is in")


def test_prints_of_hooks_and_children_do_not_disturb_the_screen(console: Console) -> None:
    console.type("~")
    console.wait("^>>>$")
    console.type("import os; os.system('echo child; echo error >&2'); print('printed')<enter>")
    console.wait("^child")
    console.wait("^error")
    console.wait("^printed")


@pytest.mark.parametrize("way", ["ZZ", ":quit<enter>", ":q<enter>"])
def test_quitting_gives_the_terminal_back(console: Console, way: str) -> None:
    console.type(way)
    assert console.wait_end() == 0
    assert console.restored()


def test_quitting_interrupts_a_statement(console: Console) -> None:
    console.type("~")
    console.wait("^>>>$")
    console.type("import time; time.sleep(60)<enter>")
    console.wait("▶")
    console.type("<c-o>ZZ")
    assert console.wait_end(10) == 0
    assert console.restored()


def test_a_statement_that_ignores_interrupts_cannot_keep_the_program(console: Console) -> None:
    console.type("~")
    console.wait("^>>>$")
    console.paste("import time\nwhile True:\n    try: time.sleep(60)\n    except KeyboardInterrupt: pass\n\n")
    console.type("<enter>")
    console.wait("▶")
    console.type("<c-o>ZZ")
    assert console.wait_end(15) == 1
    assert console.restored()


def test_exit_in_the_repl_ends_with_its_status(console: Console) -> None:
    console.type("~")
    console.wait("^>>>$")
    console.type("raise SystemExit(4)<enter>")
    assert console.wait_end() == 4
    assert console.restored()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_program_and_gives_the_terminal_back(console: Console, number: int) -> None:
    console.signal(number)
    assert console.wait_end() == 128 + number
    assert console.restored()


def test_a_crash_of_the_screen_is_told_after_the_terminal_is_back(console: Console) -> None:
    console.type("~")
    console.wait("^>>>$")
    console.type(
        "import agent.console.ui as u; u.Ui.quit = lambda self: self.app.exit(exception=RuntimeError('boom'))"
    )
    console.type("<enter><c-o>ZZ")
    assert console.wait_end() == 1
    assert console.restored()
    assert b"RuntimeError: boom" in console.sent[console.sent.rfind(b"\x1b[?1049l") :]


def test_the_screen_follows_the_size_of_the_terminal(console: Console) -> None:
    console.resize(40, 120)
    eventually(lambda: console.line(38).startswith(" Inbox") and len(console.line(0)) > 100)
    console.resize(10, 40)
    eventually(lambda: console.line(8).startswith(" Inbox"))
    console.wait_cursor("The demo")
    console.type("G")
    console.wait(r"(\d+)/\1$")


def test_suspending_gives_the_terminal_back_until_it_is_continued() -> None:
    # Under a shell with job control: a process without one cannot be stopped by the terminal.
    shell = ["bash", "-c", 'set -m; "$0" -m agent demo; echo it is stopped; read -r line; fg', sys.executable]
    with Console([], program=shell) as console:
        console.wait(START)
        console.type("<c-z>")
        console.wait("it is stopped")
        assert console.restored()
        console.type("<enter>")
        console.wait(START)
        console.type("j")
        console.wait_cursor(SECOND)


def test_new_mail_comes_in_while_the_cursor_stays(console: Console) -> None:
    total = int(console.wait(r"unread of (\d+)")[1])
    console.type("2j")
    console.wait_cursor(THIRD)
    console.wait(rf"unread of {total + 1}\b", timeout_s=45)
    console.wait_cursor(THIRD)


def test_only_our_own_sequences_reach_the_terminal(console: Console) -> None:
    console.type("~")
    console.wait("^>>>$")
    hostile = r"\x1b]0;pwned\x07\x01\x1b]52;c;aGk=\x07\x02\x9d0;pwned\x9c\u202e"
    console.type(f'compose(to="robin@demo.example", subject="Nice try", text="{hostile} end").send()<enter>')
    console.wait("● .*Nice try")
    console.type(f'print("{hostile} printed")<enter>')
    console.wait("^.*printed")
    console.type(f'"{hostile}"; raise ValueError("{hostile} raised")<enter>')
    console.wait("raised")
    console.type("<c-o>gg")
    console.wait_cursor("Nice try")
    console.type("<enter>")
    console.wait("end *$")
    # Only colours, cursor movement and modes: no OSC, DCS or other strings, no C1, no directions.
    rest = re.sub(r"\x1b\[[0-9;?]*[A-HJKhlmn]", "", console.sent.decode())
    assert not set(rest) & {*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e"} - set("\r\n\b")
