"""A process that has imported the agent once and forks a child for each run.

It takes requests as lines of JSON and answers each with how the child ended. It has one thread, so
that forking is safe; what a child prints goes into the log of its run.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import gc
import json
import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

_PATIENCE_S = 90.0
ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One run: a scenario's part on the data below a folder, with a fault at one of its steps."""

    scenario: str
    part: str  # sync, offline, run
    folder: str  # holds config.yaml, data; gets trace-<run>, log-<run>
    run: str
    fault: str = ""
    at: int = 0

    @property
    def trace(self) -> Path:
        """What steps the run took, one a line."""
        return Path(self.folder) / f"trace-{self.run}"

    @property
    def log(self) -> Path:
        """What the run printed and logged."""
        return Path(self.folder) / f"log-{self.run}"


class Zygote:
    """The other end: starts the process, asks it for runs."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.soaking.zygote"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, request: Request) -> int:
        """Run to the end; return 0, or minus the signal the run died of, or another status for failure."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(dataclasses.asdict(request)) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the process that forks the runs is gone")
        return int(answer)

    def stop(self) -> None:
        """End the process."""
        self._process.communicate()


def _main() -> None:
    from scripts.soaking import script, tuning  # both import the agent: once, before any fork

    tuning.shrink()
    logging.getLogger("agent").setLevel(logging.INFO)
    gc.freeze()  # pages that nobody writes to need not be copied for each child
    for line in sys.stdin:
        request = Request(**json.loads(line))
        child = os.fork()
        if child == 0:
            _be(request, script.carry_out)
        sys.stdout.write(f"{_await(child)}\n")
        sys.stdout.flush()


def _be(request: Request, carry_out: object) -> None:
    """Be the child, which never returns."""
    log = os.open(request.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    logging.basicConfig(stream=sys.stderr, format="%(relativeCreated)d %(threadName)s %(name)s: %(message)s")
    faulthandler.dump_traceback_later(_PATIENCE_S - 10, exit=True)
    status = 1
    try:
        assert callable(carry_out)
        carry_out(request)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _await(child: int) -> int:
    deadline = time.monotonic() + _PATIENCE_S
    pause = 0.001
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            deadline += _PATIENCE_S
        time.sleep(pause)
        pause = min(0.01, pause * 1.5)


if __name__ == "__main__":
    _main()
