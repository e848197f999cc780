"""init.py: its mistakes are told with their lines, the rest works, loading it again replaces."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import api, builtin, userconf
from agent.app import Agent
from agent.config.load import load_text
from agent.config.paths import Paths
from agent.core.context import Context

CONFIG = "accounts: {work: {address: ann@example.org, local: true}}"


class Init:
    """An init.py and the agent that loads it."""

    def __init__(self, agent: Agent, path: Path) -> None:
        self.agent, self.path = agent, path

    @property
    def context(self) -> Context:
        return self.agent.context

    def load(self, text: str, mode: int = 0o600) -> list[str]:
        """Write init.py and load it; return what went wrong, without the folder's name."""
        self.path.write_text(text)
        self.path.chmod(mode)
        problems = userconf.load(self.context, self.path)
        return [problem.replace(f"{self.path.parent}/", "") for problem in problems]

    @property
    def rules(self) -> list[str]:
        return [rule.name for rule in self.context.rules]


@pytest.fixture
def init(tmp_path: Path) -> Iterator[Init]:
    paths = Paths.under(tmp_path)
    paths.config_dir.mkdir(mode=0o700)
    agent = Agent(load_text(CONFIG, "config.yaml"), paths)
    agent.start()
    builtin.install(agent.context)
    api.activate(agent.context)
    yield Init(agent, paths.init_file)
    agent.stop()
    api.activate(None)


RULE = '@rule("{query}")\ndef {name}(m): m.flag()\n'


def test_without_a_file_nothing_is_wrong(init: Init) -> None:
    assert userconf.load(init.context, init.path) == []


def test_the_names_of_the_api_and_the_accounts_are_in_scope(init: Init) -> None:
    text = "found = [inbox, mail, accounts, work.address, compose, on, rule, every, at, option, bind]\n"
    assert init.load(text) == []
    assert init.load("from agent.api import *\nassert work is accounts['work']\n") == []


def test_rules_hooks_timers_commands_and_keys_are_registered_and_replaced(init: Init) -> None:
    text = """
@rule("from:bob")
def first(m): pass

@on.message_new
def hook(ev): pass

@every("10m")
def tidy(): pass

@command("shout", key=",s", context="index")
def shout(): "Shout"
"""
    for _ in range(3):
        assert init.load(text) == []
        registries = (init.context.rules.registry, init.context.hooks.registry, init.context.timers.registry)
        assert [len(registry) for registry in registries] == [1, 1, 1]
        assert "shout" in init.context.commands
        assert len(init.context.keymap.keys_of("shout")) == 1
    assert init.load(text.replace("first", "second").replace("shout", "whisper")) == []
    assert init.rules == ["init.second"]
    assert "shout" not in init.context.commands


def test_what_was_removed_from_the_file_is_gone(init: Init) -> None:
    init.load(RULE.format(query="from:a", name="a") + RULE.format(query="from:b", name="b"))
    init.load(RULE.format(query="from:b", name="b"))
    assert init.rules == ["init.b"]
    init.load("option('wrap', 50)")
    assert init.context.options["wrap"] == 50
    init.load("")
    assert init.context.options["wrap"] == 100


MISTAKES = {
    "x = 1 / 0": "init.py:2: ZeroDivisionError: division by zero",
    "on.mesage_new(lambda ev: None)": (
        "init.py:2: there is no event 'mesage_new'; did you mean 'message_new'?; known are message_new"
    ),
    "option('wrapp', 10)": "init.py:2: unknown option 'wrapp'; did you mean 'wrap'?",
    "option('wrap', 'wide')": "init.py:2: option wrap: expected a whole number, not 'wide'",
    "every('soon')": "init.py:2: cannot read the time span 'soon'; write it like 10m, 3h, 7d or 2w",
    "every('0s')": "init.py:2: every('0s'): at least 1 second",
    "at('2020-01-01')": "init.py:2: at('2020-01-01') is over",
    "rule(5)": "init.py:2: a rule matches a query or a function, not 5",
    "rule('form:bob')": "init.py:2: ",
    "on.message_new(match='is:unred')": "init.py:2: ",
    "vacation('')": "init.py:2: vacation: the text is empty",
    "accounts['wrok']": "init.py:2: there is no account 'wrok'; did you mean 'work'?",
    "raise SystemExit": "init.py:2: SystemExit",
    "import no_such_module": "init.py:2: ModuleNotFoundError: No module named 'no_such_module'",
    "return 5": "init.py:2: 'return' outside function",
    "bind('g i', 'opn-inbox')": "init.py:2: ",
}


@pytest.mark.parametrize("statement", MISTAKES)
def test_a_mistake_is_told_with_its_line_and_the_rest_works(init: Init, statement: str) -> None:
    [problem] = init.load(f"before = 1\n{statement}\n" + RULE.format(query="from:bob", name="after"))
    assert problem.startswith(str(MISTAKES[statement]))
    assert init.rules == ["init.after"]


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("rule('form:bob')", "from"),
        ("on.message_new(match='is:unred')", "unread"),
        ("bind('g i', 'opn')", "open"),
    ],
)
def test_a_word_that_is_nearly_right_gets_a_hint(init: Init, statement: str, word: str) -> None:
    [problem] = init.load(statement)
    assert f"did you mean '{word}" in problem


def test_a_syntax_error_leaves_everything_as_it_was(init: Init) -> None:
    init.load(RULE.format(query="from:a", name="a") + "option('wrap', 50)\n")
    problems = init.load("x = 1\ndef broken(:\n    pass\n")
    assert problems == ["init.py:2: invalid syntax"]
    assert init.rules == ["init.a"]
    assert init.context.options["wrap"] == 50


def test_two_mistakes_are_both_told(init: Init) -> None:
    problems = init.load("1 / 0\noption('wrapp', 1)\n")
    assert [problem.split(":")[1] for problem in problems] == ["1", "2"]


def test_an_error_inside_a_function_of_the_file_is_told_with_that_line(init: Init) -> None:
    [problem] = init.load("def deep():\n    return 1 / 0\n\ndeep()\n")
    assert problem.startswith("init.py:2: ZeroDivisionError")


def test_a_file_that_others_may_write_is_not_run(init: Init) -> None:
    [problem] = init.load("raise SystemExit('it was run')", mode=0o666)
    assert problem.startswith("init.py: refused: ")
    assert "chmod go-w" in problem


def test_a_folder_that_others_may_write_is_not_trusted_either(init: Init) -> None:
    init.path.parent.chmod(0o777)
    [problem] = init.load("raise SystemExit('it was run')")
    assert "may be written by others" in problem


def test_two_functions_of_one_name_are_not_lost_silently(init: Init) -> None:
    problems = init.load(RULE.format(query="from:a", name="_") + RULE.format(query="from:b", name="_"))
    assert problems == ["init.py:3: _ is registered already (init.py:1); give one of them another name"]
    assert init.rules == ["init._"]


def test_one_function_may_be_registered_for_several_things(init: Init) -> None:
    text = '@on.message_new(folder="A")\n@on.message_new(folder="B")\n@rule("from:bob")\ndef both(x): pass\n'
    assert init.load(text) == []
    assert len(init.context.hooks.registry) == 2
    assert init.rules == ["init.both"]


def test_async_functions_and_things_without_a_name_are_refused(init: Init) -> None:
    text = '@rule("")\nasync def slow(m): pass\n\nimport functools\nrule("")(functools.partial(print, 1))\n'
    first, second = init.load(text)
    assert "write `def`, not `async def`" in first
    assert "want the name of a `def`" in second


def test_a_hook_for_an_account_that_is_none_is_told(init: Init) -> None:
    [problem] = init.load('@on.message_new(account="wrok")\ndef hook(ev): pass\n')
    assert problem == "init.py:1: init.hook wants the account 'wrok'; there is none; did you mean 'work'?"


def test_modules_beside_it_can_be_imported_and_hide_none_of_pythons(init: Init) -> None:
    for name, text in (("my_rules", "WORD = 'mine'"), ("colorsys", "raise SystemExit('it was run')")):
        (init.path.parent / f"{name}.py").write_text(text)
    assert init.load("import my_rules, colorsys\nassert my_rules.WORD == 'mine'\n") == []


def test_it_is_compiled_as_it_asks_for_and_not_as_we_do(init: Init) -> None:
    text = "def f(x: int): pass\nassert f.__annotations__['x'] is int\n"
    assert init.load(text) == []
    assert init.load("from __future__ import annotations\n" + text.replace(" is int", " == 'int'")) == []


def test_dataclasses_in_it_find_their_module(init: Init) -> None:
    assert init.load("from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: 'int' = 1\n") == []
    assert dataclasses.is_dataclass(__import__("init").Point)


def test_a_timer_keeps_its_turn_when_the_file_is_loaded_again(init: Init) -> None:
    text = '@every("1d")\ndef daily(): pass\n'
    init.load(text)
    [before] = [timer.due for timer in init.context.timers.registry]
    init.load("x = 1\n" + text)
    assert [timer.due for timer in init.context.timers.registry] == [before]
    init.load(text.replace("1d", "2d"))
    assert [timer.due for timer in init.context.timers.registry] != [before]
