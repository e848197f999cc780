"""The names of the API: exact, documented, and only there while an agent runs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import api
from agent.app import Agent
from agent.config.load import load_text
from agent.config.paths import Paths
from agent.core.messages import Everything
from agent.errors import NoAgentError

ACCOUNTS = """
accounts:
  work: {address: ann@example.org, local: true}
  class: {address: b@example.org, local: true}
  my-mail: {address: c@example.org, local: true}
  inbox: {address: d@example.org, local: true}
  msg: {address: e@example.org, local: true}
"""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(load_text(ACCOUNTS, "config.yaml"), Paths.under(tmp_path))
    agent.start()
    yield agent
    agent.stop()
    api.activate(None)


def test_without_an_agent_the_live_names_say_so() -> None:
    for name in ("inbox", "accounts", "mail", "jobs"):
        with pytest.raises(NoAgentError, match="no agent is running"):
            getattr(api, name)
    with pytest.raises(NoAgentError):
        api.compose()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = api.nonsense


def test_every_name_is_there_and_has_help(agent: Agent) -> None:
    names = api.namespace(agent.context)
    assert set(api.__all__) <= set(names)
    for name in api.__all__:
        assert inspect.getdoc(names[name]) or isinstance(names[name], dict), name


def test_star_import_gives_what_the_namespace_has(agent: Agent) -> None:
    api.activate(agent.context)
    names: dict[str, object] = {}
    exec("from agent.api import *", names)
    assert set(names) - {"__builtins__"} == set(api.__all__)


def test_accounts_are_variables_unless_their_name_is_taken(agent: Agent) -> None:
    names = api.namespace(agent.context)
    assert names["work"] is agent.context.accounts["work"]
    assert not hasattr(names["inbox"], "address")
    assert "my-mail" not in names
    told = " ".join(agent.context.messages)
    for name in ("class", "my-mail", "inbox", "msg"):
        assert f"account '{name}' is only accounts['{name}']" in told
        assert name == "inbox" or name not in names


def test_mail_is_everything_and_stays_so_when_it_is_narrowed(agent: Agent) -> None:
    api.activate(agent.context)
    assert isinstance(api.mail, Everything)
    assert isinstance(api.mail.unread.search("from:bob").sort("-size"), Everything)
    assert "trash" in str(api.mail.search("from:bob").query)
    assert "trash" not in str(api.mail.search("from:bob").search("in:trash is:unread").query).replace(
        "in:trash", ""
    )
    assert "junk" not in str(api.mail.search("in:junk").query).replace("in:junk", "")
