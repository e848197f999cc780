"""The command line as people and programs use it: output, errors in one line, exit status."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent import __version__
from agent.cli import main

Capture = pytest.CaptureFixture[str]


def agent(*arguments: str, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run `agent ARGUMENTS` as a process."""
    return subprocess.run(
        [sys.executable, "-m", "agent", *arguments],
        input=stdin, capture_output=True, check=False, timeout=60, cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config.yaml with one account that lives on this machine only."""
    folder = tmp_path / "config"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("AGENT_CONFIG", str(folder))
    monkeypatch.setenv("AGENT_DATA", str(tmp_path / "data"))
    path = folder / "config.yaml"
    path.write_text("accounts: {work: {address: ann@example.org, local: true}}\n")
    path.chmod(0o600)
    return path


# -- without an account ----------------------------------------------------------------------


def test_the_version(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"agent {__version__}\n"


def test_the_version_loads_next_to_nothing() -> None:
    probe = (
        "import sys\nfrom agent.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass\n"
        "print(*[name for name in sys.modules if name.startswith('agent')])\n"
        "print(*({'sqlite3', 'ssl', 'yaml', 'imapclient', 'asyncio', 'email'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[1:] == ["agent agent.errors agent.cli", ""]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["nonsense"], "invalid choice"),
        (["run"], "run: give a FILE, - for standard input, or -c CODE"),
        (["search", "-n", "0", "x"], "not a positive number"),
        (["search", "-n", "many", "x"], "invalid"),
        (["show"], "required: ID"),
        (["show", "--raw", "--json", "1"], "not allowed with"),
        (["send"], "required: --to"),
        (["sync", "--fast"], "unrecognized arguments"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_usage_errors_end_with_2(arguments: list[str], word: str, capsys: Capture) -> None:
    try:
        status: object = main(arguments)
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert word in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["run", "-c", "pass"], ["rules", "--once"], ["sync"], ["search", "x"], ["show", "1"]],
    ids=" ".join,
)
def test_without_a_configuration_every_command_says_what_to_do(arguments: list[str], capsys: Capture) -> None:
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith("agent: there is no ")
    assert err.endswith("config.yaml; write one with `agent init`, or try `agent demo`\n")


def test_the_console_wants_a_terminal(config: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main([]) == 1
    assert "the console needs a terminal" in capsys.readouterr().err


def test_every_mistake_of_config_yaml_is_told_at_once(config: Path, capsys: Capture) -> None:
    config.write_text(
        "accounts:\n  home:\n    address: a@example.org\n    imap: {hots: imap.example.org, port: 99999}\n"
    )
    assert main(["sync"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("agent: ") and "config.yaml:4:" in line for line in lines)
    assert any("did you mean 'host'?" in line for line in lines)


def test_a_config_that_others_may_write_is_refused(config: Path, capsys: Capture) -> None:
    config.chmod(0o666)
    assert main(["sync"]) == 1
    assert "refused: " in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_folder_that_cannot_be_written_is_one_line(
    config: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    assert main(["run", "-c", "pass"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_data_folder_that_is_a_file_is_one_line(config: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "data").write_text("no folder")
    assert main(["run", "-c", "pass"]) == 1
    assert capsys.readouterr().err.startswith(f"agent: {tmp_path / 'data'}: ")


def test_init_writes_two_private_files_that_load(config: Path, capsys: Capture) -> None:
    config.unlink()
    assert main(["init"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in out] == ["wrote", "wrote", "next:"]
    for name in ("config.yaml", "init.py"):
        assert (config.parent / name).stat().st_mode & 0o777 == 0o600
    assert main(["init"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["kept", "kept", "next:"]
    assert main(["doctor", "--offline"]) == 0
    assert "0 rules, 0 hooks" in capsys.readouterr().out


def test_init_overwrites_only_by_force(config: Path) -> None:
    before = config.read_text()
    assert main(["init"]) == 0
    assert config.read_text() == before
    assert main(["init", "--force"]) == 0
    assert config.read_text() != before


# -- run -------------------------------------------------------------------------------------


def test_run_takes_code_arguments_and_the_status_of_sys_exit(config: Path, capsys: Capture) -> None:
    assert main(["run", "-c", "import sys; print(sys.argv)", "one", "--two", "-c"]) == 0
    assert capsys.readouterr().out == "['<code>', 'one', '--two', '-c']\n"
    assert main(["run", "-c", "raise SystemExit(7)"]) == 7
    assert main(["run", "-c", "raise SystemExit"]) == 0
    assert main(["run", "-c", "raise SystemExit('why')"]) == 1
    assert capsys.readouterr().err == "why\n"


def test_run_takes_a_file_with_its_arguments(config: Path, tmp_path: Path, capsys: Capture) -> None:
    program = tmp_path / "program.py"
    program.write_text("import sys\nfrom beside import WORD\nprint(__name__, __file__, sys.argv[1:], WORD)\n")
    (tmp_path / "beside.py").write_text("WORD = 'found'\n")
    assert main(["run", str(program), "--json", "x"]) == 0
    assert capsys.readouterr().out == f"__main__ {program} ['--json', 'x'] found\n"


def test_run_takes_standard_input_in_any_encoding(config: Path) -> None:
    run = agent("run", "-", "arg", stdin="import sys; print(sys.argv, 'ü')".encode("latin-1"))
    assert (run.returncode, run.stdout.decode()) == (0, "['<stdin>', 'arg'] ü\n")


def test_run_of_a_file_that_is_not_there_is_one_line(config: Path, capsys: Capture) -> None:
    assert main(["run", "/nowhere/program.py"]) == 1
    assert capsys.readouterr().err == "agent: cannot read /nowhere/program.py: No such file or directory\n"


def test_an_error_shows_a_traceback_without_our_frames(config: Path, capsys: Capture) -> None:
    code = "def deep():\n    inbox.search('form:bob')\n\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    deep()\n"
    assert main(["run", "-c", code]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err
    assert "During handling" in err
    assert 'File "<code>", line 2, in deep' in err
    assert "did you mean 'from'" in err
    assert "agent/core" not in err


def test_a_syntax_error_is_shown_where_it_is(config: Path, capsys: Capture) -> None:
    assert main(["run", "-c", "x = (1,\n"]) == 1
    err = capsys.readouterr().err
    assert 'File "<code>", line 1' in err
    assert "SyntaxError" in err


def test_what_an_error_says_cannot_reach_the_terminal_raw(config: Path, capsys: Capture) -> None:
    assert main(["run", "-c", r"raise ValueError('\x1b]0;pwned\x07\x9b31m')"]) == 1
    err = capsys.readouterr().err
    assert "pwned" in err
    assert not {"\x1b", "\x07", "\x9b"} & set(err)


def test_a_program_has_the_module_main_to_itself(config: Path, capsys: Capture) -> None:
    before = sys.modules["__main__"]
    code = "import __main__, pickle\nclass A: pass\nprint(__main__.A is A, type(pickle.loads(pickle.dumps(A()))))"
    assert main(["run", "-c", code]) == 0
    assert capsys.readouterr().out == "True <class '__main__.A'>\n"
    assert sys.modules["__main__"] is before


def test_nothing_is_imported_from_where_we_stand(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mail"
    folder.mkdir()
    for name in ("email", "json", "colorsys", "yaml"):
        (folder / f"{name}.py").write_text("raise SystemExit('it was run')\n")
    run = agent("run", "-c", "import colorsys, json; print('safe')", cwd=folder)
    assert (run.returncode, run.stdout) == (0, b"safe\n"), run.stderr


def test_a_reader_that_has_enough_causes_no_complaint(config: Path) -> None:
    command = [sys.executable, "-m", "agent", "run", "-c", "for n in range(100000): print(n)"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.readline() == b"0\n"
    child.stdout.close()
    assert "Exception ignored" not in child.stderr.read().decode()
    child.stderr.close()
    assert child.wait(20) == 1


def test_text_that_the_terminal_cannot_show_is_no_error(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    run = agent("run", "-c", r"print('\u4f60\u597d')")
    assert (run.returncode, run.stdout) == (0, b"\\u4f60\\u597d\n")


# -- the demo --------------------------------------------------------------------------------


def test_search_prints_lines_or_one_array(capsys: Capture) -> None:
    assert main(["--demo", "search", "from:bob", "-n", "1"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert "Bob" in line
    assert main(["search", "--demo", "--json", "from:bob"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found[0]) == set(
        "id message_id thread account folder date from to cc subject flags tags size snippet".split()
    )
    assert all("bob" in each["from"].casefold() for each in found)


def test_search_without_a_hit_is_an_empty_array_and_no_error(capsys: Capture) -> None:
    assert main(["--demo", "search", "--json", "xylophonequartz"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_bad_query_points_at_the_place(capsys: Capture) -> None:
    assert main(["--demo", "search", "form:bob"]) == 1
    first, query, mark = capsys.readouterr().err.splitlines()
    assert first.startswith("agent: ")
    assert query.strip() == "form:bob"
    assert mark.strip() == "^"


def test_search_leaves_trash_and_junk_out_unless_they_are_named(capsys: Capture) -> None:
    def folders(*query: str) -> set[str]:
        assert main(["--demo", "run", "-c", SYNC_AND_SEARCH, *query]) == 0
        return set(json.loads(capsys.readouterr().out))

    everywhere = folders()
    assert not everywhere & {"Trash", "Junk"}
    assert "INBOX" in everywhere
    assert folders("in:trash") == {"Trash"}
    assert folders("in:junk OR in:inbox") == {"Junk", "INBOX"}
    assert folders("in:Trash is:read OR in:Trash is:unread") == {"Trash"}


SYNC_AND_SEARCH = """
import json, sys
sync().wait()
print(json.dumps([m.folder.name for m in mail.search(" ".join(sys.argv[1:]))]))
"""


def test_show_prints_text_json_or_the_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    # Ids are given in the same order for the same samples.
    assert main(["--demo", "show", "1"]) == 0
    assert capfdbinary.readouterr().out.startswith(b"From: ")
    assert main(["--demo", "show", "--json", "1"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["text"]
    assert main(["--demo", "show", "--raw", "1"]) == 0
    assert b"\r\nSubject: " in capfdbinary.readouterr().out


def test_show_of_an_unknown_id_is_one_line(capsys: Capture) -> None:
    assert main(["--demo", "show", "nobody@nowhere"]) == 1
    assert capsys.readouterr().err == (
        "agent: there is no message 'nobody@nowhere'; ids are listed by `agent search --json`\n"
    )


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["doctor"], "everything is in order"),
        (["init"], "wrote "),
        (["sync"], "demo: "),
        (["sync", "home"], "home: "),
        (["rules", "--once"], "taken as base line"),
        (["run", "-c", "print(accounts['demo'].address.addr)"], "robin@demo.example"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_demo_works_with_every_command(
    arguments: list[str], word: str, capsys: Capture, tmp_path: Path
) -> None:
    assert main(["--demo", *arguments]) == 0
    captured = capsys.readouterr()
    assert word in captured.out
    assert captured.err == ""
    assert not (Path(os.environ["HOME"]) / ".config").exists()


def test_sync_of_an_unknown_account_has_a_hint(capsys: Capture) -> None:
    assert main(["--demo", "sync", "hone"]) == 1
    assert capsys.readouterr().err == "agent: there is no account 'hone'; did you mean 'home'?\n"


def test_send_on_the_demo_arrives() -> None:
    run = agent(
        "--demo", "send", "--to", "robin@demo.example", "--subject", "Hi", stdin="Grüße".encode("latin-1")
    )
    assert (run.returncode, run.stdout) == (0, b"queued: Hi\ndone\n"), run.stderr


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--to", "nobody"], "'nobody' is not an address"),
        (["--to", "bob@example.com", "--from", "eve@example.com"], "is none of our addresses"),
        (["--to", "bob@example.com", "--attach", "/nowhere/file"], "cannot attach /nowhere/file"),
        (["--to", "bob@example.com", "--account", "wrok"], "there is no account 'wrok'"),
        (["--to", "bob@example.com", "--subject", "a\nBcc: eve@example.com"], "line break"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_send_refuses_in_one_line(arguments: list[str], error: str) -> None:
    run = agent("--demo", "send", *arguments)
    lines = run.stderr.decode().splitlines()
    assert run.returncode == 1
    assert len(lines) == 1
    assert lines[0].startswith("agent: ")
    assert error in lines[0]
