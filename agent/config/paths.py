"""Where the agent's files are, and that nobody else can write or read them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.errors import ConfigError

# sun_path holds 108 bytes on Linux, one of them the NUL at the end.
_SOCKET_PATH_BYTES = 107


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of one agent and the files in them."""

    config_dir: Path
    data_dir: Path
    runtime_dir: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Paths:
        """Return the folders named by AGENT_CONFIG, AGENT_DATA and XDG_RUNTIME_DIR, or the usual ones."""
        env = os.environ if environ is None else environ
        config = env.get("AGENT_CONFIG")
        data = env.get("AGENT_DATA")
        runtime = env.get("XDG_RUNTIME_DIR")
        data_dir = _absolute(data) if data else _usual("data")
        return cls(
            config_dir=_absolute(config) if config else _usual("config"),
            data_dir=data_dir,
            runtime_dir=Path(runtime) / "agent" if runtime and os.path.isabs(runtime) else data_dir,
        )

    @classmethod
    def under(cls, folder: Path) -> Paths:
        """Return the paths of an agent that lives in one folder, such as a throw-away one."""
        return cls(config_dir=folder / "config", data_dir=folder / "data", runtime_dir=folder / "data")

    @property
    def config_file(self) -> Path:
        return self.config_dir / "config.yaml"

    @property
    def init_file(self) -> Path:
        return self.config_dir / "init.py"

    @property
    def database(self) -> Path:
        return self.data_dir / "mail.db"

    @property
    def log_file(self) -> Path:
        return self.data_dir / "agent.log"

    @property
    def lock_file(self) -> Path:
        return self.data_dir / "lock"

    @property
    def socket(self) -> Path:
        """The Unix socket of this data folder; always short enough to be bound.

        Its folder has to be made by `ensure_private` before the socket is.
        """
        key = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
        path = self.runtime_dir / f"{key}.sock"
        if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
            return path
        return Path("/tmp") / f"agent-{os.geteuid()}" / f"{key}.sock"

    def ensure(self) -> None:
        """Make the folders of data and socket, private; the one of the configuration is the user's."""
        for folder in (self.data_dir, self.socket.parent):
            ensure_private(folder)


def _usual(kind: Literal["config", "data"]) -> Path:
    import platformdirs  # not needed where the environment names the folders

    return (
        platformdirs.user_config_path("agent") if kind == "config" else platformdirs.user_data_path("agent")
    )


def _absolute(text: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(text)))


def ensure_private(folder: Path) -> Path:
    """Make a folder that only the user may enter, or make an existing one of the user so.

    Raises ConfigError when it belongs to somebody else or is no folder.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.lstat() if _is_shared(folder.parent) else folder.stat()
        if not stat.S_ISDIR(state.st_mode):
            raise ConfigError(f"{folder}: is not a folder of its own; remove it, or name another place")
        if state.st_uid != os.geteuid():
            raise ConfigError(f"{folder}: belongs to another user; name another place in AGENT_DATA")
        if stat.S_IMODE(state.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made a private folder: {error.strerror}") from None
    return folder


def _is_shared(folder: Path) -> bool:
    # In a folder where everybody may write, a link could lead anywhere.
    return bool(folder.stat().st_mode & 0o022)


def check_private_code(path: Path) -> None:
    """Refuse a file that others could have written: it is run, or names commands that are.

    The file, what its links point to and all folders above belong to the user or root and are not
    writable by group or others; a sticky folder such as /tmp passes, for there nobody can replace the
    files of somebody else. Raises ConfigError, or FileNotFoundError when there is no such file.
    """
    reasons = []
    for each in _chain(path):
        reason = _why_unsafe(each)
        if reason and reason not in reasons:
            reasons.append(reason)
    if reasons:
        raise ConfigError(*(f"{path}: refused: {reason}" for reason in reasons))


def _chain(path: Path) -> list[Path]:
    """Return the file and the folders that decide what it contains, links and their targets both."""
    absolute = Path(os.path.abspath(path))
    real = absolute.resolve(strict=True)
    chain = [real, *real.parents]
    return chain if real == absolute else [*chain, *(p for p in absolute.parents if p not in chain)]


def _why_unsafe(path: Path) -> str:
    state = path.stat()
    if state.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to another user; make it yours: chown {os.geteuid()} {path}"
    sticky = stat.S_ISDIR(state.st_mode) and state.st_mode & stat.S_ISVTX
    if state.st_mode & 0o022 and not sticky:
        return f"{path} may be written by others; chmod go-w {path}"
    return ""


def readable_by_others(path: Path) -> bool:
    """Tell whether group or others may read the file."""
    return bool(path.stat().st_mode & 0o044)
