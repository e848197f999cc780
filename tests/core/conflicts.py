"""What should come of changes here while offline and changes on the server meanwhile: a model, and a check.

The model is the table of agent/help/offline.md for one message. `check` makes changes on both sides
of a real server at random and compares what is left with the model; soak runs it with more examples.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core.account import Account
from agent.core.job import Job
from agent.core.message import Message
from agent.errors import CommandError
from agent.net.base import Letter
from agent.net.imap import ImapBackend
from tests.harness.agents import in_store, mail, on_server
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot
from tests.harness.proxy import Proxy
from tests.net.connections import connected

FLAGS = {"seen": "\\Seen", "flagged": "\\Flagged", "answered": "\\Answered"}
# Different ones on the two sides: that both move to one folder is no conflict.
OURS, THEIRS = ("Archive", "Trash", "INBOX"), ("Junk", "Sent")
MESSAGES = 6

Action = tuple[str, str]  # on, off: flag; move, copy: folder; delete

_set = st.tuples(st.sampled_from(["on", "off"]), st.sampled_from(sorted(FLAGS)))
_ours = st.lists(
    _set
    | st.tuples(st.just("move"), st.sampled_from(OURS))
    | st.tuples(st.just("copy"), st.just("Drafts"))
    | st.tuples(st.just("delete"), st.just("")),
    max_size=4,
)
_away = st.none() | st.tuples(st.just("move"), st.sampled_from(THEIRS)) | st.just(("delete", ""))
_theirs = st.tuples(st.lists(_set, max_size=2), _away)


@dataclass(slots=True)
class Copy:
    """One message as it is somewhere: no folder, gone."""

    folder: str = "INBOX"
    flags: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Outcome:
    """What the table says: the copies there are in the end, and whether something is told."""

    copies: list[tuple[str, tuple[str, ...]]]
    told: bool = False


def apply(copy: Copy, action: Action) -> None:
    """Do one thing to a copy."""
    verb, what = action
    if verb == "on":
        copy.flags.add(what)
    elif verb == "off":
        copy.flags.discard(what)
    elif verb == "move":
        copy.folder = what
    elif verb == "delete":
        copy.folder = ""


def changes(copy: Copy, action: Action) -> bool:
    """Tell whether an action changes what it is done to."""
    verb, what = action
    if not copy.folder:
        return False
    return {
        "on": what not in copy.flags, "off": what in copy.flags, "move": what != copy.folder,
        "copy": True, "delete": True,
    }[verb]  # fmt: skip


def effective(ours: Sequence[Action]) -> list[Action]:
    """Return the actions that change something here: only those go to the server."""
    here, asked = Copy(), []
    for action in ours:
        if changes(here, action):
            asked.append(action)
            apply(here, action)
    return asked


def merged(ours: Sequence[Action], theirs: Sequence[Action]) -> list[Outcome]:
    """Return what the table allows for one message that lay unread in the inbox."""
    server = Copy()
    for action in theirs:
        apply(server, action)
    asked = effective(ours)
    copied = [verb for verb, _ in asked if verb == "copy"]
    if not server.folder:
        # What was deleted on both sides is as it should be.
        return [Outcome([], told=any(verb != "delete" for verb, _ in asked))]
    if server.folder != "INBOX":
        # Copied from where it is now, or told.
        others = len(asked) > len(copied)
        return [
            Outcome(
                _listed(server) + count * _listed(Copy("Drafts", server.flags)), others or count < len(copied)
            )
            for count in range(len(copied) + 1)
        ]
    copies = []
    for action in asked:
        if action[0] == "copy":
            copies += _listed(Copy(action[1], set(server.flags)))
        apply(server, action)
    return [Outcome(_listed(server) + copies)]


def _listed(copy: Copy) -> list[tuple[str, tuple[str, ...]]]:
    return [(copy.folder, tuple(sorted(FLAGS[name] for name in copy.flags)))] if copy.folder else []


def do(message: Message, action: Action) -> Job:
    """Do one thing as the user does it."""
    verb, what = action
    if verb in ("on", "off"):
        return {
            ("seen", "on"): message.mark_read, ("seen", "off"): message.mark_unread,
            ("flagged", "on"): message.flag, ("flagged", "off"): message.unflag,
            ("answered", "on"): lambda: message._flags("marked", add=4),
            ("answered", "off"): lambda: message._flags("marked", remove=4),
        }[(what, verb)]()  # fmt: skip
    return {"move": message.move, "copy": message.copy}[verb](what) if what else message.delete()


def do_there(client: ImapBackend, uid: int, action: Action) -> None:
    """Do one thing as another client does it."""
    verb, what = action
    if verb in ("on", "off"):
        words = [FLAGS[what]]
        client.change_flags(
            str(uid), add=words if verb == "on" else (), remove=words if verb == "off" else ()
        )
    elif verb == "move":
        client.move(str(uid), what)
    else:
        client.expunge(str(uid))


class Sides:
    """An account that can be taken off the line, and another client of the same mailbox."""

    def __init__(self, dovecot: Dovecot, user: str, proxy: Proxy, work: Account, client: ImapBackend) -> None:
        self.dovecot, self.user, self.proxy, self.work, self.client = dovecot, user, proxy, work, client
        self._numbers = itertools.count()

    def put(self, count: int) -> dict[str, int]:
        """Put messages into the inbox on the server and sync; return subject -> UID."""
        numbers = [next(self._numbers) for _ in range(count)]
        told = self.client.append_all("INBOX", [Letter(mail(number)) for number in numbers])
        assert told is not None
        self._come_back()
        return {f"number {number}": uid for number, uid in zip(numbers, told[1], strict=True)}

    def _come_back(self) -> None:
        """Let the account connect again, whatever it made of the line before."""
        self.proxy.refuse(False)

        def synced() -> bool:
            job = self.work.sync()
            with contextlib.suppress(CommandError):
                job.wait(30)
            return job.state == "done"

        eventually(synced, timeout_s=30)

    def go_offline(self) -> None:
        """Cut the account off; it finds out when it wants something."""
        self.proxy.refuse()
        self.proxy.cut_all()

    def go_online(self, jobs: Sequence[Job]) -> None:
        """Connect again and bring to an end what was asked for."""
        self._come_back()
        eventually(lambda: all(job.done for job in jobs), timeout_s=30)
        self.work.sync().wait(30)

    def found(self) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
        """Return subject -> folder and flags of each copy on the server, which the store shows as well."""
        here, there = in_store(self.work), on_server(self.dovecot, self.user)
        differing = {folder: (here.get(folder), there.get(folder)) for folder in here.keys() | there.keys()}
        assert here == there, {folder: two for folder, two in differing.items() if two[0] != two[1]}
        found: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        for folder, copies in there.items():
            for subject, _, flags in copies:
                found.setdefault(subject, []).append((folder, flags))
        return found

    def play(self, rows: Sequence[tuple[Sequence[Action], Sequence[Action]]]) -> None:
        """Put a message for each row, do both sides, and compare what comes of it with the table."""
        uids = self.put(len(rows))
        cases = dict(zip(uids, rows, strict=True))
        messages = {m.subject: m for m in self.work.inbox if m.subject in uids}
        self.go_offline()
        self.client.select("INBOX")
        jobs: dict[str, list[Job]] = {subject: [] for subject in uids}
        for subject, (ours, theirs) in cases.items():
            for action in ours:
                if messages[subject].folder is not None:
                    jobs[subject].append(do(messages[subject], action))
            for action in theirs:
                do_there(self.client, uids[subject], action)
        self.go_online([job for some in jobs.values() for job in some])
        found = self.found()
        for subject, (ours, theirs) in cases.items():
            told = [job.error for job in jobs[subject] if job.state == "failed"]
            left = found.get(subject, [])
            what = f"{subject}: ours {ours}, theirs {theirs}; left {left}, told {told}"
            allowed = [(Counter(each.copies), each.told) for each in merged(ours, theirs)]
            assert (Counter(left), bool(told)) in allowed, what
            moved = any(verb == "move" for verb, _ in theirs)
            if moved and any(verb != "copy" for verb, _ in effective(ours)):
                assert any("another client moved" in error for error in told), what


def check(
    dovecot: Dovecot, user: str, proxy: Proxy, work: Account, examples: int, *, deletes: bool = True
) -> None:
    """Play random rows; raises AssertionError with the smallest that the table does not bear out.

    Without UIDPLUS the agent refuses to delete for good: it wants `deletes` off.
    """
    with connected(dovecot, user) as client:
        sides = Sides(dovecot, user, proxy, work, client)

        @settings(
            max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(st.lists(st.tuples(_ours, _theirs), min_size=1, max_size=MESSAGES))
        def run(rows: list[tuple[list[Action], tuple[list[Action], Action | None]]]) -> None:
            played = []
            for ours, (flags, away) in rows:
                possible = [action for action in ours if deletes or action[0] != "delete"]
                played.append((possible, [*flags, *([away] if away else [])]))
            sides.play(played)

        run()
