"""Other programs on our terminal: the editor. Waits on a thread of its own, while the screen is theirs."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from agent.errors import CommandError

# Settings inside the file being edited come from a stranger: they are not obeyed.
_VIM = ("--cmd", "set nomodeline modelines=0 noexrc")
_EMACS = ("--eval", "(setq enable-local-variables nil)")
_NO_MODELINES = {"vim": _VIM, "nvim": _VIM, "gvim": _VIM, "emacs": _EMACS, "emacs-nox": _EMACS}


def editor_command(environ: Mapping[str, str], setting: str = "") -> list[str]:
    """Return the words of the editor to run: the option, $VISUAL, $EDITOR, else what is installed."""
    chosen = setting or environ.get("VISUAL") or environ.get("EDITOR") or ""
    if not chosen.strip():
        chosen = next((name for name in ("sensible-editor", "vi", "nano") if shutil.which(name)), "")
    if not chosen:
        raise CommandError("no editor: set $EDITOR, or option('editor', 'vim')")
    try:
        words = shlex.split(chosen)
    except ValueError as error:
        raise CommandError(f"editor {chosen!r}: {error}") from error
    if not shutil.which(words[0]):
        raise CommandError(f"editor {words[0]!r} was not found; set $EDITOR, or option('editor', 'vim')")
    return [*words, *_NO_MODELINES.get(Path(words[0]).name, ())]


def run_editor(command: list[str], path: Path, terminal: tuple[int, int]) -> None:
    """Run an editor on a file with the terminal as its own; raises CommandError when it fails."""
    reading, writing = terminal
    try:
        ended = subprocess.run(
            [*command, str(path)], stdin=reading, stdout=writing, stderr=writing, check=False
        )
    except OSError as error:
        raise CommandError(f"editor {command[0]!r} could not be started: {error.strerror}") from error
    if ended.returncode:
        raise CommandError(f"editor {Path(command[0]).name!r} ended with status {ended.returncode}")


def private_file(folder: Path, text: str) -> Path:
    """Write text to a new file of our own name in a new folder that only we can read."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="draft-", dir=folder))
    path = place / "message.eml"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def remove(path: Path) -> None:
    """Remove the file and its folder, with whatever the editor left there."""
    shutil.rmtree(path.parent, ignore_errors=True)
