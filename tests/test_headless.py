"""`agent rules`, `agent run` and `agent send` as processes on a Dovecot; and SIGKILL at every step."""

from __future__ import annotations

import signal
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from tests.harness import agents as harness
from tests.harness.agents import Agents, mail, on_server
from tests.harness.conditions import eventually
from tests.harness.dovecot import Dovecot, free_ports
from tests.harness.sink import Sink

make_agent = harness.make_agent

INIT = """
vacation("I am away.")

@rule("subject:bill", order=10, stop=True)
def bills(m): m.move("Bills")
"""


class Desk:
    """One user and the agent's processes on its mail."""

    def __init__(self, agents: Agents, dovecot: Dovecot, sink: Sink, user: str) -> None:
        self.agents, self.dovecot, self.sink, self.user = agents, dovecot, sink, user

    def write_init(self, text: str) -> None:
        paths = self.agents.paths
        paths.config_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.init_file.write_text(text)
        paths.init_file.chmod(0o600)

    def run(self, *arguments: str, **options: Any) -> tuple[int, list[str], list[str]]:
        """Run `agent ARGUMENTS`; return its status and the lines of its output and errors."""
        child = self.agents.spawn(*arguments, users=(self.user,), fetch={"idle": False}, **options)
        out, errors = child.communicate(timeout=60)
        # The tests' config.yaml has the password in it, which is told each time.
        told = [line for line in errors.splitlines() if "a secret in a file" not in line]
        return child.returncode, out.splitlines(), told

    def take_base_line(self) -> None:
        """Sync once, so that what comes from now on is new."""
        agent = self.agents(self.user, lazy=True, fetch={"idle": False})
        agent.context.accounts["work"].sync().wait(20)
        self.agents.stop(agent)

    def deliver(self, number: int, **headers: str) -> None:
        to = f"{self.user}@example.org"
        sender = f"sender{number}@example.com"
        message = mail(f"{self.user}{number}", To=to, From=sender, **headers)
        self.dovecot.deliver(self.user, message, sender)

    def answered(self) -> list[str]:
        """Return who was answered, in the order of the answers."""
        return [recipient for stored in self.sink.messages for recipient in stored.recipients]


@pytest.fixture
def desk(make_agent: Agents, dovecot: Dovecot, sink: Sink, user: str) -> Desk:
    for folder in ("Bills", "Sent"):
        dovecot.doveadm("mailbox", "create", "-u", user, folder)
    return Desk(make_agent, dovecot, sink, user)


def test_rules_once_tells_the_base_line_then_answers_and_files_what_is_new(desk: Desk) -> None:
    desk.write_init(INIT)
    desk.deliver(1)
    desk.deliver(2, Subject="bill")
    status, out, errors = desk.run("rules", "--once")
    assert (status, out, errors) == (0, ["work/INBOX: 2 messages taken as base line"], [])
    assert desk.answered() == []
    desk.deliver(3)
    desk.deliver(4, Subject="bill")
    desk.deliver(5, List_Id="<x.example.com>")
    for _ in range(2):
        assert desk.run("rules", "--once") == (0, [], [])
    assert desk.answered() == ["sender3@example.com"]
    subjects = {
        name: [copy[0] for copy in copies] for name, copies in on_server(desk.dovecot, desk.user).items()
    }
    assert subjects["Bills"] == ["bill"]
    assert len(subjects["INBOX"]) == 4
    reply = message_from_bytes(desk.sink.messages[0].data)
    assert reply["Auto-Submitted"] == "auto-replied"
    assert reply["References"] == f"<m{desk.user}3@example.com>"


def test_rules_once_fails_when_a_handler_does_and_still_does_the_rest(desk: Desk) -> None:
    desk.write_init('@on.message_new\ndef hook(ev): 1 / 0\n\n@rule("")\ndef flags(m): m.flag()\n')
    desk.take_base_line()
    desk.deliver(1)
    status, out, _ = desk.run("rules", "--once")
    assert status == 1
    assert out == ["init.hook (init.py:2): ZeroDivisionError: division by zero"]
    [copy] = on_server(desk.dovecot, desk.user)["INBOX"]
    assert copy[2] == ("\\Flagged",)


def test_rules_once_with_a_broken_init_runs_what_works_and_fails(desk: Desk) -> None:
    desk.take_base_line()
    desk.write_init('option("wrapp", 1)\n\n@rule("")\ndef flags(m): m.flag()\n')
    desk.deliver(1)
    status, _, errors = desk.run("rules", "--once")
    assert status == 1
    assert errors == [f"agent: {desk.agents.paths.init_file}:1: unknown option 'wrapp'; did you mean 'wrap'?"]
    assert on_server(desk.dovecot, desk.user)["INBOX"][0][2] == ("\\Flagged",)


def test_rules_once_beside_another_owner_says_so(desk: Desk) -> None:
    desk.agents(desk.user, fetch={"idle": False})
    status, _, errors = desk.run("rules", "--once")
    assert status == 1
    assert errors == ["agent: another process runs the rules on this data folder already"]


def test_rules_as_a_daemon_answer_new_mail_and_end_by_sigterm(desk: Desk) -> None:
    desk.write_init(INIT + '\n@on.message_new\ndef bad(ev): raise ValueError("told")\n')
    child = desk.agents.spawn("rules", users=(desk.user,))
    assert child.stdout is not None
    assert child.stdout.readline() == "running 3 hooks, rules and timers on 1 accounts\n"
    status = desk.run("run", "-c", "work.sync().wait()")
    assert status[0] == 0
    desk.deliver(1)
    assert eventually(desk.answered, timeout_s=20) == ["sender1@example.com"]
    assert "init.bad (init.py:8): ValueError: told" in child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 0


def test_rules_take_over_when_the_owner_is_killed(desk: Desk) -> None:
    desk.write_init(INIT)
    first = desk.agents.spawn("rules", users=(desk.user,))
    assert first.stdout is not None
    assert first.stdout.readline().startswith("running")
    assert desk.run("run", "-c", "work.sync().wait()")[0] == 0
    second = desk.agents.spawn("rules", users=(desk.user,))
    assert second.stdout is not None
    assert second.stdout.readline().startswith("waiting")
    first.kill()
    first.wait(10)
    desk.deliver(1)
    assert eventually(desk.answered, timeout_s=30) == ["sender1@example.com"]
    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0


# -- SIGKILL ---------------------------------------------------------------------------------

# An init.py that ends its process by SIGKILL at the n-th commit after the handler was claimed,
# before or after that commit reaches the disk.
DEADLY = """
import os, signal
from agent.store import db, ledger

AT, WHEN = int(os.environ["DIE_AT"]), os.environ["DIE_WHEN"]
count = 0
commit, begin = db.Store._commit, ledger.begin

def counted(self, work, durable, future):
    global count
    if count and WHEN == "within" and count == AT:
        def deadly(tx):
            work(tx)
            os.kill(os.getpid(), signal.SIGKILL)
        commit(self, deadly, durable, future)
    commit(self, work, durable, future)
    if count:
        if count == AT:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

def claimed(*args):
    global count
    count = count or 1
    return begin(*args)

if AT:
    db.Store._commit, ledger.begin = counted, claimed
"""


@pytest.mark.parametrize("when", ["within", "after"])
@pytest.mark.parametrize("step", range(1, 8))
def test_kill_9_at_any_step_answers_once_and_files_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: int, when: str
) -> None:
    desk.write_init(DEADLY + INIT.replace(", stop=True", ""))
    monkeypatch.setenv("DIE_WHEN", when)
    desk.take_base_line()
    desk.deliver(1, Subject="bill")
    monkeypatch.setenv("DIE_AT", str(step))
    died = desk.run("rules", "--once")[0]
    monkeypatch.setenv("DIE_AT", "0")
    last = desk.run("rules", "--once")
    answers, state = desk.answered(), on_server(desk.dovecot, desk.user)
    uncertain = any("uncertain" in line for line in last[2])
    assert len(answers) == 1 or (uncertain and answers == [])
    assert [copy[0] for copy in state["Bills"]] == ["bill"]
    assert state.get("INBOX", []) == []
    assert died in (0, -signal.SIGKILL)


def dying_once(text: str, marker: Path) -> str:
    """Return an init.py in which die() ends the process by SIGKILL, but only the first time."""
    return f"""
import os, signal
from pathlib import Path

def die():
    marker = Path({str(marker)!r})
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)

{text}
"""


HANDLERS = {
    "between claim and send": "die()\n    m.auto_reply('Away')",
    "between two sends": (
        "m.auto_reply('Away')\n    die()\n    compose(to='pager@example.net', subject='New', text='x').send()"
    ),
    "after the send, before the end": "m.auto_reply('Away')\n    die()",
    "a forced draft": "m.reply('Forced').send(force=True)\n    die()",
}


@pytest.mark.parametrize("body", HANDLERS.values(), ids=HANDLERS)
def test_kill_9_inside_the_handler_answers_once(desk: Desk, tmp_path: Path, body: str) -> None:
    desk.write_init(dying_once(f'@rule("")\ndef answers(m):\n    {body}\n', tmp_path / "died"))
    desk.take_base_line()
    # Nothing leaves before the crash, so that the outcome does not hang on who is faster.
    fault = desk.sink.refuse("mail", "451 4.3.0 not now")
    desk.deliver(1)
    assert desk.run("rules", "--once")[0] == -signal.SIGKILL
    fault.times = fault.hits
    desk.run("rules", "--once")
    desk.run("run", "-c", "for item in outbox: item.retry()")
    assert desk.answered().count("sender1@example.com") == 1
    assert desk.answered().count("pager@example.net") == body.count("pager")


def test_kill_9_while_the_server_has_the_message_is_uncertain_and_never_sent_again(desk: Desk) -> None:
    desk.write_init(INIT)
    desk.take_base_line()
    fault = desk.sink.hang("end")
    desk.deliver(1)
    child = desk.agents.spawn("rules", "--once", users=(desk.user,), fetch={"idle": False})
    desk.sink.wait_for(1, 20)
    child.kill()
    child.wait(10)
    fault.times = fault.hits
    for _ in range(2):
        status, _, errors = desk.run("rules", "--once")
    assert status == 75
    assert errors == [f"still queued: mail 'Auto: number {desk.user}1': uncertain"]
    assert desk.answered() == ["sender1@example.com"]


# -- run, send -------------------------------------------------------------------------------


def test_what_stays_queued_is_listed_and_the_status_is_75(desk: Desk, dovecot: Dovecot) -> None:
    desk.deliver(1)
    desk.take_base_line()
    [nowhere] = free_ports(1)
    status, out, errors = desk.run("run", "-c", "print(inbox[0].flag())", imap={"port": nowhere})
    assert (status, out) == (75, ["<flagged 1 message · syncing>"])
    assert errors == ["still queued: flagged 1 message"]
    # What somebody else left queued is not this program's concern.
    assert desk.run("run", "-c", "pass", imap={"port": nowhere})[0] == 0
    assert desk.run("run", "-c", "pass")[0] == 0
    eventually(lambda: on_server(dovecot, desk.user)["INBOX"][0][2] == ("\\Flagged",))


def test_send_says_that_it_is_queued_then_that_it_is_sent(desk: Desk, tmp_path: Path) -> None:
    attached = tmp_path / "note.txt"
    attached.write_text("attached")
    arguments = ["--to", "bob@example.com", "--subject", "Grüße", "--attach", str(attached)]
    status, out, errors = desk.run("send", *arguments)
    assert (status, out, errors) == (0, ["queued: Grüße", "done"], [])
    message = message_from_bytes(desk.sink.messages[0].data)
    assert [part.get_filename() for part in message.walk()][-1] == "note.txt"


def test_send_to_a_server_that_is_away_is_queued_durably(desk: Desk) -> None:
    desk.sink.refuse("mail", "451 4.3.0 not now")
    status, out, _ = desk.run("send", "--to", "bob@example.com", "--subject", "Later")
    assert status == 0
    assert out[:2] == ["queued: Later", "queued"]
    assert "is sent when the server can be reached" in out[2]
    assert desk.run("run", "-c", "print(outbox)")[1][0].startswith("<queued 'Later' to bob@example.com: ")
