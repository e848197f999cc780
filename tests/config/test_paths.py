"""The agent's files are where they are said to be, and nobody else's."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from agent.config.paths import Paths, check_private_code, ensure_private
from agent.errors import ConfigError


def test_folders_come_from_the_environment(tmp_path: Path) -> None:
    paths = Paths.from_environment(
        {
            "AGENT_CONFIG": str(tmp_path / "c"),
            "AGENT_DATA": str(tmp_path / "d"),
            "XDG_RUNTIME_DIR": "/run/user/7",
        }
    )
    assert paths.config_file == tmp_path / "c/config.yaml"
    assert paths.init_file == tmp_path / "c/init.py"
    assert paths.database == tmp_path / "d/mail.db"
    assert paths.socket.parent == Path("/run/user/7/agent")


def test_without_them_the_folders_are_those_of_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AGENT_CONFIG", "AGENT_DATA", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    paths = Paths.from_environment()
    assert paths.config_dir == tmp_path / "config/agent"
    assert paths.data_dir == tmp_path / "share/agent"
    assert paths.socket.parent == paths.data_dir


def test_a_relative_folder_is_made_absolute_and_a_home_is_expanded() -> None:
    paths = Paths.from_environment({"AGENT_CONFIG": "c", "AGENT_DATA": "~/mail"})
    assert paths.config_dir == Path.cwd() / "c"
    assert paths.data_dir == Path.home() / "mail"


def test_two_data_folders_have_two_sockets(tmp_path: Path) -> None:
    one, two = (
        Paths(config_dir=tmp_path, data_dir=tmp_path / name, runtime_dir=tmp_path / "run") for name in "ab"
    )
    assert one.socket != two.socket


def test_a_socket_can_be_bound_however_long_the_folders_name_is(tmp_path: Path) -> None:
    paths = Paths.under(tmp_path / ("long" * 40))
    assert len(os.fsencode(paths.socket)) <= 107
    paths.ensure()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(paths.socket))
        paths.socket.unlink()
    assert stat.S_IMODE(paths.socket.parent.stat().st_mode) == 0o700


def test_folders_are_made_private_or_become_so(tmp_path: Path) -> None:
    folder = ensure_private(tmp_path / "new/data")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    ensure_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_file_or_a_planted_link_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made a private folder"):
        ensure_private(tmp_path / "file")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "link").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="is not a folder of its own"):
        ensure_private(shared / "link")


def code(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "init.py"
    path.write_text("pass")
    path.chmod(0o600)
    return path


def test_private_code_passes(tmp_path: Path) -> None:
    check_private_code(code(tmp_path / "config"))


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_code_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = code(tmp_path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=r"init.py may be written by others"):
        check_private_code(path)


def test_code_in_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = code(tmp_path / "open")
    path.parent.chmod(0o777)
    with pytest.raises(ConfigError, match="open may be written by others"):
        check_private_code(path)
    path.parent.chmod(0o1777)
    check_private_code(path)


def test_code_behind_a_link_is_judged_by_both_ends(tmp_path: Path) -> None:
    target = code(tmp_path / "there")
    (tmp_path / "here").mkdir()
    link = tmp_path / "here/init.py"
    link.symlink_to(target)
    check_private_code(link)
    target.parent.chmod(0o777)
    with pytest.raises(ConfigError, match="there may be written"):
        check_private_code(link)
    target.parent.chmod(0o700)
    link.parent.chmod(0o777)
    with pytest.raises(ConfigError, match="here may be written"):
        check_private_code(link)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_code_of_another_user_is_refused(tmp_path: Path) -> None:
    path = code(tmp_path)
    os.chown(path, 65534, -1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        check_private_code(path)


def test_code_that_is_not_there_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_private_code(tmp_path / "init.py")
