from __future__ import annotations

from agent.app import Agent
from agent.console.keyhelp import help_lines


def shown(agent: Agent, context: str) -> list[str]:
    lines = help_lines(agent.context.commands, agent.context.keymap, context)
    return [" ".join("".join(text for _, text in line).split()) for line in lines]


def test_every_key_of_the_context_is_told_with_its_help(idle: Agent) -> None:
    lines = shown(idle, "index")
    assert "a :archive Move to the archive" in lines
    assert "gg, Home :go-to Go to a line: the first, or that of the count" in lines
    assert "ZZ :quit End the program; what is queued goes on at the next start" in lines
    assert not any(line.startswith("J ") for line in lines)


def test_commands_without_a_key_are_told_with_their_usage(idle: Agent) -> None:
    assert any(line.startswith(":py STATEMENT") for line in shown(idle, "index"))


def test_what_the_user_bound_is_told(idle: Agent) -> None:
    idle.context.keymap.bind("x", "tag todo", "index")
    assert any(line.startswith("x :tag") and line.endswith("tag todo") for line in shown(idle, "index"))
