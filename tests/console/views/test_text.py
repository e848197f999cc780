from __future__ import annotations

from agent.console.fragments import Line
from agent.console.views.text import LogView, TextView
from agent.console.views.view import Stack, View


def draw(view: View, height: int = 5, width: int = 20) -> list[str]:
    content = view.create_content(width, height)
    return ["".join(text for _, text in content.get_line(n)).rstrip() for n in range(height)]


def numbered(count: int) -> TextView:
    return TextView.of_text("Numbers", "\n".join(f"line {n}" for n in range(count)))


def test_text_is_wrapped_to_the_width_and_again_when_it_changes() -> None:
    view = TextView.of_text("T", "one two three four five")
    assert draw(view, width=10)[:3] == ["one two", "three four", "five"]
    assert draw(view, width=30)[0] == "one two three four five"


def test_text_scrolls_by_lines_and_pages_and_stops_at_its_ends() -> None:
    view = numbered(20)
    assert draw(view)[0] == "line 0"
    assert view.where == "Top"
    view.move(2)
    assert draw(view)[0] == "line 2"
    view.scroll(1)
    assert draw(view)[0] == "line 5"
    view.move(100)
    assert draw(view)[-1] == "line 19"
    assert view.where == "End"
    view.go_to(1)
    assert draw(view)[0] == "line 0"
    view.go_to(-1)
    assert draw(view)[-1] == "line 19"
    view.scroll(-0.5)
    assert view.where.endswith("%")


def test_a_short_text_does_not_scroll() -> None:
    view = numbered(3)
    draw(view)
    view.move(5)
    assert draw(view)[0] == "line 0"
    assert view.where == "All"


def test_hostile_text_is_harmless() -> None:
    view = TextView.of_text("\x1b]0;x\x07", "a\x1b[2Jb\x9dc")
    assert not set("".join(draw(view)) + view.title) & {"\x1b", "\x9d", "\x07"}


def test_a_log_follows_its_end_until_one_scrolls_away() -> None:
    lines: list[Line] = [[("", f"line {n}")] for n in range(10)]
    view = LogView("Log", lambda: list(lines))
    view.top = 1_000
    draw(view)
    view.go_to(-1)
    assert draw(view)[-1] == "line 9"
    lines.append([("", "line 10")])
    assert draw(view)[-1] == "line 10"
    view.go_to(1)
    lines.append([("", "line 11")])
    assert draw(view)[0] == "line 0"


def test_the_first_view_of_a_stack_stays() -> None:
    first, second = numbered(1), numbered(2)
    stack = Stack(first)
    assert not stack.pop()
    stack.push(second)
    assert stack.top is second
    assert stack.below is first
    assert list(stack) == [first, second]
    assert stack.pop()
    assert stack.top is first
    assert stack.below is None
    stack.replace(second)
    assert stack.top is second
