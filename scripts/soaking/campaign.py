"""A scenario's campaign: once undisturbed, then once for each step with a fault at that step.

Each run has a user and a data folder of its own, copied from how things stood before. After the
fault the agent runs again until nothing is left to do; then once more, which must write nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from scripts.soaking import outcome
from scripts.soaking.faults import KILL, LOSE
from scripts.soaking.outcome import Facts, Outcome
from scripts.soaking.scenario import LETTER, Scenario
from scripts.soaking.server import Mailbox
from scripts.soaking.zygote import Request, Zygote
from tests.harness.dovecot import Dovecot
from tests.harness.sink import Sink

# What changes something on a server.
_CHANGES = re.compile(
    r"before (?:sending|saying) (?:\d+ octets more of )?(?:UID )?"
    r"(?:APPEND|STORE|COPY|MOVE|EXPUNGE|CREATE|DELETE|RENAME|SUBSCRIBE|UNSUBSCRIBE|mail FROM|DATA)\b.*",
    re.IGNORECASE,
)
# What only asks.
_ASKS = re.compile(
    r"(?:before sending|with the answer to|with leave to go on with) (?:\d+ octets more of )?"
    r"(CAPABILITY|AUTHENTICATE|LOGIN|ENABLE|NOTIFY|LIST|STATUS|SELECT|UNSELECT|NOOP|UID SEARCH|UID FETCH|LOGOUT)\b"
)
_DATA_SENT = "after the commit of core.outbound.Outbound._change"
_SENT = "after the commit of core.outbound.Outbound._sent"
_LOST = "its answer is lost"


class Different(AssertionError):
    """A run came out otherwise than the undisturbed one."""


@dataclass(frozen=True, slots=True)
class Place:
    """The users and the folder of a run."""

    users: Mapping[str, str]  # by account
    folder: Path

    @property
    def database(self) -> Path:
        """The store."""
        return self.folder / "data" / "mail.db"


@dataclass(frozen=True, slots=True)
class Point:
    """A fault at a step."""

    fault: str  # kill, lose
    at: int
    label: str

    def __str__(self) -> str:
        return f"{self.fault} {self.at}: {self.label}"


def sample(points: Sequence[Point], count: int) -> Sequence[Point]:
    """Return at most `count` of the points, spread evenly."""
    return [points[(2 * i + 1) * len(points) // (2 * count)] for i in range(min(count, len(points)))]


class Campaign:
    """One scenario on one server; `prepare` comes first, then `points` can be tried in any order."""

    def __init__(self, scenario: Scenario, dovecot: Dovecot, sink: Sink, scratch: Path) -> None:
        self.scenario = scenario
        self._dovecot = dovecot
        self._sink = sink
        self._scratch = scratch
        self._runs = 0
        self.points: list[Point] = []

    # -- undisturbed -------------------------------------------------------------------------

    def prepare(self, zygote: Zygote) -> None:
        """Set the scene, run undisturbed, and remember steps and outcome; raises Different."""
        scenario = self.scenario
        self._scene = self._new_place("scene")
        self._scene.folder.mkdir(parents=True)
        boxes = self._mailboxes(self._scene)
        scenario.fill(boxes)
        for box in boxes.values():
            box.seen()
        self._configure(self._scene)
        if scenario.synced:
            self._run(zygote, self._scene, "sync", "sync")
        if scenario.offline:
            self._run(zygote, self._scene, "offline", "offline")
        if scenario.elsewhere is not None:
            scenario.elsewhere(boxes)
        self._known = outcome.known(self._scene.database)
        place = self._copy()
        request = self._run(zygote, place, "run", "undisturbed")
        self._expected = self._outcome(place)
        self._expect_right(self._expected)
        self._expect_silence(zygote, place)
        self._remember(request.trace.read_text().splitlines())
        self._discard(place)

    def telling(self) -> list[Point]:
        """Return the points without those that find server and store as another one does.

        Between two commits and commands that change something, one question to the server is as good
        as another to be killed at; and of answers that tell and change nothing, the first and the last
        of each kind stand for all that may be lost.
        """
        kept = []
        killing = [point for point in self.points if point.fault == KILL]
        for point, following in zip(killing, [*killing[1:], None], strict=True):
            if not (_ASKS.match(point.label) and following is not None and _ASKS.match(following.label)):
                kept.append(point)
        losing: dict[str, list[Point]] = {}
        for point in self.points:
            if point.fault == LOSE:
                asks = _ASKS.match(point.label)
                losing.setdefault(asks[1] if asks else str(point.at), []).append(point)
        return kept + [point for points in losing.values() for point in {points[0]: 0, points[-1]: 0}]

    def _remember(self, steps: list[str]) -> None:
        answers = [
            step for step in steps
            if (step.startswith("before sending") and "LOGOUT" not in step) or step.startswith("with the reply")
        ]  # fmt: skip
        self.points = [Point(KILL, number, step) for number, step in enumerate(steps, 1)]
        self.points += [Point(LOSE, number, step) for number, step in enumerate(answers, 1)]

    # -- with a fault ------------------------------------------------------------------------

    def attempt(self, zygote: Zygote, point: Point) -> bool:
        """Run with a fault at a point and to the end after it; return whether the point was reached.

        Raises Different, and leaves data and logs of such a run where they are.
        """
        place = self._copy()
        try:
            reached = self._disturb(zygote, place, point)
            self._compare(self._outcome(place), place)
            self._expect_silence(zygote, place)
        except Different as error:
            raise Different(f"{self.scenario.name}, {point}\n{error}\nsee {place.folder}") from None
        self._discard(place)
        return reached

    def _disturb(self, zygote: Zygote, place: Place, point: Point) -> bool:
        request = Request(self.scenario.name, "run", str(place.folder), "disturbed", point.fault, point.at)
        status = zygote.run(request)
        if status not in (0, -signal.SIGKILL):
            raise Different(f"the run failed:\n{_tail(request.log)}")
        if point.fault == KILL:
            self._run(zygote, place, "run", "again")
            return status == -signal.SIGKILL
        return _LOST in request.trace.read_text()

    def _compare(self, got: Outcome, place: Place) -> None:
        expected, found = self._expected.facts, got.facts
        self._expect_right(got)
        if self.scenario.doubtful and any("uncertain" in line for line in found["outbox"]):
            self._expect_doubt(place)
            if len(found["sent"]) > len(expected["sent"]):
                raise Different(f"delivered more than once: {found['sent']}")
            expected, found = _but_for_mail(expected), _but_for_mail(found)
        if lines := outcome.difference(expected, found):
            raise Different("\n".join(lines))

    def _expect_doubt(self, place: Place) -> None:
        """Mail may be in doubt where the fault hit between `data-sent` and `sent`, and nowhere else."""
        steps = (place.folder / "trace-disturbed").read_text().splitlines()
        if _LOST in steps:
            steps = steps[: steps.index(_LOST)]
        begun = any(_DATA_SENT in step for step in steps)
        if not begun or any(_SENT in step for step in steps):
            raise Different("mail is in doubt although it was clear what became of it")

    # -- what holds of every run -------------------------------------------------------------

    def _expect_right(self, found: Outcome) -> None:
        if found.wrong:
            raise Different("\n".join(found.wrong))

    def _expect_silence(self, zygote: Zygote, place: Place) -> None:
        """Run once more: there is nothing to do, so nothing is written here or there."""
        before = outcome.dump(place.database)
        request = self._run(zygote, place, "run", "silent")
        said = [step for step in request.trace.read_text().splitlines() if _CHANGES.match(step)]
        after = outcome.dump(place.database)
        lines = outcome.difference(
            {table: list(rows.elements()) for table, rows in before.items()},
            {table: list(rows.elements()) for table, rows in after.items()},
        )
        if said or lines:
            raise Different("a run with nothing to do wrote:\n" + "\n".join([*said, *lines]))

    # -- places ------------------------------------------------------------------------------

    def _new_place(self, name: str) -> Place:
        stem = f"{self.scenario.name.replace(' ', '-')}-{name}"
        users = {account: f"{account}-{stem}-{os.getpid()}" for account in self.scenario.accounts}
        return Place(users, self._scratch / stem)

    def _copy(self) -> Place:
        """Copy the scene for one run."""
        self._runs += 1
        place = self._new_place(str(self._runs))
        shutil.copytree(self._scene.folder, place.folder)
        for account, box in self._mailboxes(self._scene).items():
            box.copy_to(Mailbox(self._dovecot, place.users[account]))
        self._configure(place)
        return place

    def _discard(self, place: Place) -> None:
        shutil.rmtree(place.folder)
        for box in self._mailboxes(place).values():
            box.remove()

    def _mailboxes(self, place: Place) -> dict[str, Mailbox]:
        return {account: Mailbox(self._dovecot, user) for account, user in place.users.items()}

    def _configure(self, place: Place) -> None:
        accounts = {}
        for account, user in place.users.items():
            imap = {
                "host": self._dovecot.host, "port": self._dovecot.ports["imap"], "security": "none",
                "user": user, "password": self._dovecot.password,
            }  # fmt: skip
            smtp = {"host": self._sink.host, "port": self._sink.port, "security": "none", "auth": "none"}
            accounts[account] = {
                "address": f"{user}@example.org", "imap": imap, "smtp": smtp,
                "fetch": {"idle": False, "on_start": False, "every": "never", "folders": ["*"]},
                "offline": {"bodies": self.scenario.bodies}, **self.scenario.options,
            }  # fmt: skip
        file = place.folder / "config.yaml"
        file.write_text(yaml.safe_dump({"accounts": accounts}))
        file.chmod(0o600)

    # -- runs --------------------------------------------------------------------------------

    def _run(self, zygote: Zygote, place: Place, part: str, name: str) -> Request:
        request = Request(self.scenario.name, part, str(place.folder), name)
        if status := zygote.run(request):
            raise Different(f"the {name} run ended with {status}:\n{_tail(request.log)}\nsee {place.folder}")
        return request

    def _outcome(self, place: Place) -> Outcome:
        senders = {f"{user}@example.org" for user in place.users.values()}
        sent = [
            f"{_subject(stored.data)} to {' '.join(stored.recipients)}"
            for stored in self._sink.messages
            if stored.sender in senders
        ]
        leftovers = {"MOVE", "UIDPLUS"} <= set(self.scenario.lacking)
        return outcome.take(
            self._dovecot, place.users, place.database, sent, self._known, leftovers=leftovers
        )


def _but_for_mail(facts: Facts) -> Facts:
    """Leave out what is known of a mail only when it is known to have been sent: its copy, whom it answers."""
    return {
        topic: [
            line.replace(" \\Answered", "").replace("\\Answered", "") for line in lines if LETTER not in line
        ]
        for topic, lines in facts.items()
        if topic not in ("sent", "outbox", "threads", "jobs")
    }


def _subject(raw: bytes) -> str:
    match = re.search(rb"(?m)^Subject: (.*?)\r?$", raw)
    return match[1].decode("ascii", "replace") if match else "?"


def _tail(file: Path) -> str:
    lines = file.read_text(errors="replace").splitlines() if file.exists() else []
    return "\n".join(lines[-40:])
