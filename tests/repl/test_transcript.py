from __future__ import annotations

import pytest

from agent.repl.transcript import Transcript


def text(transcript: Transcript) -> list[str]:
    return ["".join(part for _, part in line) for line in transcript.lines()]


def test_what_is_printed_becomes_lines() -> None:
    transcript = Transcript()
    transcript.write("one\ntwo\n")
    assert text(transcript) == ["one", "two"]


def test_a_line_without_its_end_is_continued() -> None:
    transcript = Transcript()
    for piece in ("a", "b", "c\nd"):
        transcript.write(piece)
    assert text(transcript) == ["abc", "d"]


def test_what_is_shown_begins_on_a_line_of_its_own() -> None:
    transcript = Transcript()
    transcript.write("printed")
    transcript.show([("", "42")])
    transcript.write("more\n")
    assert text(transcript) == ["printed", "42", "more"]


def test_empty_lines_are_kept() -> None:
    transcript = Transcript()
    transcript.write("a\n\nb\n")
    assert text(transcript) == ["a", "", "b"]


def test_colours_of_programs_are_kept() -> None:
    transcript = Transcript()
    transcript.write("\x1b[31mred\x1b[0m plain\n")
    styles = {part: style for line in transcript.lines() for style, part in line}
    assert "ansired" in " ".join(style for part, style in styles.items() if part in "red")
    assert text(transcript) == ["red plain"]


def test_a_progress_bar_leaves_its_last_state() -> None:
    transcript = Transcript()
    transcript.write("10%\r50%\r100%\n")
    assert text(transcript) == ["100%"]


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b]0;pwned\x07",
        "\x1b]52;c;aGk=\x1b\\",
        "\x01\x1b]0;pwned\x07\x02",
        "\x9b31m\x9d0;pwned\x9c",
        "\x1b[2J\x1b[1;1H",
        "\x1bP1$r\x1b\\",
        "\x08\x08\x7f",
        "\u202eevil\u202c",
    ],
)
def test_nothing_that_comes_in_can_command_the_terminal(hostile: str) -> None:
    transcript = Transcript()
    transcript.write(f"a{hostile}b\n")
    transcript.show([("", f"a{hostile}b")])
    for line in transcript.lines():
        for style, part in line:
            assert "ZeroWidthEscape" not in style
            assert not set(part) & {*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e", "\u202c"}


def test_fragments_that_would_write_past_the_screen_are_dropped() -> None:
    transcript = Transcript()
    transcript.show([("[ZeroWidthEscape]", "\x1b]0;pwned\x07"), ("bold", "kept")])
    assert text(transcript) == ["kept"]


def test_only_the_last_lines_are_kept() -> None:
    transcript = Transcript(limit=3)
    for number in range(10):
        transcript.write(f"{number}\n")
    assert text(transcript) == ["7", "8", "9"]
    transcript.clear()
    assert text(transcript) == []


def test_each_change_is_told() -> None:
    transcript = Transcript()
    told: list[int] = []
    transcript.changed = lambda: told.append(transcript.revision)
    transcript.write("x\n")
    transcript.show([("", "y")])
    assert told == [1, 2]
