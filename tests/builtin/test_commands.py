"""The built-in commands, run as the console runs them.

agent.builtin.filing, agent.builtin.moving, agent.builtin.program, agent.builtin.reading, agent.builtin.writing.
"""

from __future__ import annotations

from typing import Any

import pytest

from agent.app import Agent
from agent.core.commands import Situation
from agent.core.folder import Folder
from agent.core.job import Job
from agent.core.keymap import CONTEXTS
from agent.core.message import Message
from agent.core.messages import Messages
from agent.core.screen import Screen
from agent.errors import CommandError
from agent.mail import query
from tests.harness.demo import Recorder


class Desk:
    """Runs command lines on the first message of the inbox."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.screen = Recorder()
        self.inbox = Messages(agent.context, query.In("inbox"))
        first = self.inbox.first()
        assert first is not None
        self.msg: Message = first

    def run(self, line: str, count: int | None = None) -> Any:
        chosen = Messages(self.agent.context, query.Ids((int(self.msg.id),)))
        values: dict[type, object] = {Message: self.msg, Messages: chosen, Screen: self.screen}
        return self.agent.context.commands.parse(line).prepare(Situation(values, count))()

    @property
    def asked(self) -> list[tuple[Any, ...]]:
        """What the screen was asked since the last look."""
        calls, self.screen.calls = self.screen.calls, []
        return calls


@pytest.fixture
def desk(agent: Agent) -> Desk:
    return Desk(agent)


def test_every_command_has_help_and_names_its_contexts(idle: Agent) -> None:
    for command in idle.context.commands:
        assert command.help, command.name
        assert command.help[0].isupper()
        assert set(command.contexts) <= set(CONTEXTS), command.name
        assert command.ui, f"{command.name}: built-in commands run on the ui thread"


def test_moving(desk: Desk) -> None:
    for line, count, call in [
        ("next", 3, ("move", 3)), ("previous", None, ("move", -1)), ("go-to", None, ("go_to", 1)),
        ("go-to", 7, ("go_to", 7)), ("go-to-last", None, ("go_to", -1)), ("go-to-last", 7, ("go_to", 7)),
        ("page-down", 2, ("scroll", 2)), ("page-up", None, ("scroll", -1)), ("half-page-down", 1, ("scroll", 0.5)),
        ("half-page-up", 1, ("scroll", -0.5)), ("next-unread", None, ("next_unread", 1)),
        ("previous-unread", 2, ("next_unread", -2)), ("next-message", None, ("step", 1)),
        ("previous-message", None, ("step", -1)), ("12", None, ("go_to", 12)),
    ]:  # fmt: skip
        desk.run(line, count)
        assert desk.asked == [call]


@pytest.mark.parametrize(("line", "label"), [("archive", "archived 1 message"), ("trash", "trashed 1 message"),
                                             ("junk", "moved 1 message"), ("move Sent", "moved 1 message to"),
                                             ("delete --confirm", "deleted 1 message")])  # fmt: skip
def test_filing_moves_the_message_and_goes_on(desk: Desk, line: str, label: str) -> None:
    before = desk.inbox.count()
    job = desk.run(line)
    assert isinstance(job, Job)
    assert job.label.startswith(label)
    assert desk.inbox.count() == before - 1
    assert [call[0] for call in desk.asked] == ["advance"]
    job.wait(30)


def test_deleting_for_good_is_asked_for_twice(desk: Desk) -> None:
    with pytest.raises(CommandError, match="say :delete --confirm"):
        desk.run("delete")
    assert desk.msg in desk.inbox


def test_flags_toggle(desk: Desk) -> None:
    unread, flagged = desk.msg.unread, desk.msg.flagged
    desk.run("toggle-read")
    desk.run("toggle-flag")
    assert (desk.msg.unread, desk.msg.flagged) == (not unread, not flagged)
    desk.run("toggle-read")
    desk.run("toggle-flag")
    assert (desk.msg.unread, desk.msg.flagged) == (unread, flagged)


def test_tags_are_added_and_taken_off(desk: Desk) -> None:
    desk.run("tag todo +later")
    assert set(desk.msg.tags) >= {"todo", "later"}
    desk.run("tag -todo soon")
    assert "todo" not in desk.msg.tags
    assert "soon" in desk.msg.tags
    with pytest.raises(CommandError, match="name a tag"):
        desk.run("tag")


def test_a_copy_is_made(desk: Desk) -> None:
    desk.run("copy Archive").wait(30)
    assert desk.msg in desk.inbox


def test_folders_are_found_by_name_in_any_case(desk: Desk) -> None:
    desk.run("open-folder archive")
    (call,) = desk.asked
    assert call[0] == "show"
    assert isinstance(call[1], Folder)
    assert call[1].name == "Archive"
    with pytest.raises(CommandError, match="there is no folder 'Archvie'; did you mean"):
        desk.run("open-folder Archvie")


def test_reading(desk: Desk) -> None:
    for line, call in [
        ("open", ("open",)), ("back", ("back",)), ("toggle-headers", ("toggle_headers",)),
        ("search from:bob is:unread", ("limit", "from:bob is:unread")), ("search", ("limit", "")),
        ("search-line", ("command_line", ("prompt", "/"))), ("mark", ("mark", "toggle")),
        ("mark-all", ("mark", "all")), ("unmark-all", ("mark", "none")),
    ]:  # fmt: skip
        desk.run(line)
        assert desk.asked == [call]


def test_the_source_of_a_message_is_shown(desk: Desk) -> None:
    desk.msg.fetch().wait(30)
    desk.run("show-source")
    ((name, title, text),) = desk.asked
    assert (name, title) == ("show_text", "Source")
    assert "Subject:" in text


@pytest.mark.parametrize(
    "line", ["compose a@example.org", "reply", "reply-all", "forward b@example.org", "edit-as-new"]
)
def test_writing_makes_a_draft(desk: Desk, line: str) -> None:
    desk.msg.fetch().wait(30)
    desk.run(line)
    ((name, make, *_),) = desk.asked
    assert name == "write"
    draft = make()
    assert draft.from_.addr
    assert draft.to or line == "edit-as-new"


def test_a_review_is_answered(desk: Desk) -> None:
    for line, answer in [
        ("send", "send"),
        ("edit", "edit"),
        ("postpone", "keep"),
        ("discard", "drop"),
        ("abandon", "ask"),
    ]:
        desk.run(line)
        assert desk.asked == [("review", answer)]


def test_the_program(desk: Desk) -> None:
    for line, call in [
        ("quit", ("quit",)), ("q", ("quit",)), ("command-line", ("command_line",)), ("repl", ("focus", "repl")),
        ("focus-views", ("focus", "views")), ("py 1 + 1", ("statement", "1 + 1")), ("messages", ("show_log",)),
        ("keys", ("show_keys",)), ("redraw", ("redraw",)), ("suspend", ("suspend",)),
        ("set wrap 80", ("tell", "wrap is 80")), ("set wrap", ("tell", "wrap is 80")),
    ]:  # fmt: skip
        desk.run(line)
        assert desk.asked == [call]
    desk.run("sync").wait(30)
