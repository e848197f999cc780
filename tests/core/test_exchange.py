"""Import into a server's folder and export from it, through the whole agent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.archive.places import Sources, writer
from agent.core import exchange
from agent.core.exchange import Exported, Imported
from agent.core.folder import Folder
from agent.core.messages import Messages
from agent.core.progress import Progress
from agent.errors import CommandError
from tests.harness.agents import Agents, assert_equal, mail, on_server, synced
from tests.harness.dovecot import Dovecot
from tests.harness.proxy import Proxy


def bring(folder: Folder, *paths: Path, seen: list[Progress] | None = None) -> Imported:
    sources = Sources(paths)
    return exchange.bring_in(folder, sources, sources.octets, [].append if seen is None else seen.append)


def take(messages: Messages, path: Path, kind: str) -> Exported:
    return exchange.take_out(messages, writer(path, kind), [].append)


def box(path: Path, numbers: range) -> Path:
    text = b"".join(
        b"From bob@example.com Mon Nov  2 10:00:00 2026\nStatus: RO\n"
        + mail(n).replace(b"\r\n", b"\n")
        + b"\n"
        for n in numbers
    )
    path.write_bytes(text)
    return path


def test_an_mbox_lands_on_the_server_with_flags_and_dates(
    make_agent: Agents, dovecot: Dovecot, user: str, tmp_path: Path
) -> None:
    work = synced(make_agent(user))
    result = bring(work.inbox, box(tmp_path / "box", range(3)))
    result.job.wait(30)
    assert (result.added, result.there, result.problems) == (3, 0, [])
    assert on_server(dovecot, user)["INBOX"] == [(f"number {n}", n + 1, ("\\Seen",)) for n in range(3)]
    received = dovecot.doveadm("fetch", "-u", user, "date.received", "mailbox", "INBOX", "all")
    assert received.count("2026-11-02 10:00:00") == 3
    assert "imported 3 messages into" in result.job.label


def test_a_second_import_adds_nothing(
    make_agent: Agents, dovecot: Dovecot, user: str, tmp_path: Path
) -> None:
    work = synced(make_agent(user))
    bring(work.inbox, box(tmp_path / "box", range(60))).job.wait(30)
    result = bring(work.inbox, box(tmp_path / "more", range(50, 70)), tmp_path / "more")
    result.job.wait(30)
    assert (result.added, result.there) == (10, 30)
    assert len(on_server(dovecot, user)["INBOX"]) == 70


def test_what_the_server_lists_is_not_imported_again(
    make_agent: Agents, dovecot: Dovecot, user: str, tmp_path: Path
) -> None:
    dovecot.save(user, mail(1))
    work = synced(make_agent(user))
    assert not work.inbox[0].fetched
    assert bring(work.inbox, box(tmp_path / "box", range(2))).there == 1


def test_an_import_offline_waits_in_the_journal(
    make_agent: Agents, dovecot: Dovecot, user: str, tmp_path: Path
) -> None:
    agent = make_agent(user)
    synced(agent)
    make_agent.stop(agent)
    agent = make_agent(user, serve=False)
    result = bring(agent.context.accounts["work"].inbox, box(tmp_path / "box", range(3)))
    assert agent.context.accounts["work"].inbox.count() == 3
    assert result.job.state == "queued"
    seen = exchange.appended(agent.context, result.job)
    assert seen == Progress("bringing it to the server", 0, 3)
    agent.serve()
    result.job.wait(30)
    assert len(on_server(dovecot, user)["INBOX"]) == 3


def through(proxy: Proxy) -> dict[str, object]:
    return {"port": proxy.port, "security": "none"}


def nameless(path: Path, count: int) -> Path:
    """Write messages without a Message-ID, of the same size and days apart."""
    path.mkdir()
    for n in range(count):
        date = f"Mon, {n + 1:02d} Nov 2021 10:00:00 +0000"
        raw = mail(7, body=f"text {n % 10}\r\n", Message_ID="", Date=date)
        (path / f"{n:02d}.eml").write_bytes(raw)
    return path


def test_many_go_with_one_command_and_one_that_is_refused_is_named(
    make_agent: Agents, dovecot: Dovecot, user: str, tmp_path: Path, start_proxy: Callable[[int], Proxy]
) -> None:
    dovecot.limit(user, "1M")
    proxy = start_proxy(dovecot.ports["imap"])
    agent = make_agent(user, imap=through(proxy), fetch={"idle": False, "every": "never"})
    work = synced(agent)
    paths = [tmp_path / f"{n}.eml" for n in range(30)]
    for n, path in enumerate(paths):
        path.write_bytes(mail(n, "x\r\n" * (400_000 if n == 7 else 10)))
    make_agent.stop(agent)
    agent = make_agent(user, imap=through(proxy), fetch={"idle": False, "every": "never"}, serve=False)
    work = agent.context.accounts["work"]
    result = bring(work.inbox, *paths)
    agent.serve()
    with pytest.raises(CommandError, match=r"(?i)quota"):
        result.job.wait(30)
    [told] = exchange.refused(agent.context, result.job)
    assert told.startswith("'number 7': ")
    assert "OVERQUOTA" in told
    assert_equal(work, dovecot, user)
    assert len(on_server(dovecot, user)["INBOX"]) == 29
    assert proxy.sent.count(b"APPEND") < 28


LACKING = [(), ("UIDPLUS",), ("MULTIAPPEND",), ("MULTIAPPEND", "UIDPLUS")]


@pytest.mark.parametrize("lacking", LACKING, ids=str)
@pytest.mark.parametrize("how", ["cut within it", "answer lost"])
def test_an_import_happens_once_when_the_connection_is_cut(
    make_agent: Agents, dovecot: Dovecot, user: str, tmp_path: Path, start_proxy: Callable[[int], Proxy],
    how: str, lacking: tuple[str, ...],
) -> None:  # fmt: skip
    proxy = start_proxy(dovecot.ports["imap"])
    for name in lacking:
        proxy.replace("down", f" {name}".encode(), b"")
    agent = make_agent(user, imap=through(proxy), fetch={"idle": False, "every": "never"})
    work = synced(agent)
    # After a message that is not the last of its command the next one begins.
    end = rb"(text \d|Hello\.)\r\n\r\n"
    cut = proxy.lose_reply(end) if how == "answer lost" else proxy.cut("up", at=rb"number 12", keep=False)
    result = bring(work.inbox, nameless(tmp_path / "nameless", 20), box(tmp_path / "box", range(20)))
    assert cut.done.wait(20)
    result.job.wait(40)
    found = Counter(copy[0] for copy in on_server(dovecot, user)["INBOX"])
    assert found == Counter({f"number {n}": 1 for n in range(20)}) + Counter({"number 7": 20})
    assert_equal(work, dovecot, user)


def test_progress_counts_octets_and_problems_are_told(make_agent: Agents, user: str, tmp_path: Path) -> None:
    work = synced(make_agent(user))
    (tmp_path / "empty.eml").write_bytes(b"\n")
    seen: list[Progress] = []
    result = bring(work.inbox, tmp_path / "empty.eml", box(tmp_path / "box", range(120)), seen=seen)
    assert [problem.split(": ")[1] for problem in result.problems] == ["there is nothing in it"]
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    assert seen[-1].fraction == 1.0
    result.job.wait(30)


@pytest.mark.parametrize("kind", ["mbox", "maildir", "eml"])
def test_an_export_can_be_imported_elsewhere_and_is_the_same(
    kind: str, make_agent: Agents, dovecot: Dovecot, user: str, tmp_path: Path
) -> None:
    for number in range(3):
        dovecot.save(user, mail(number, body="From here\r\n>From there\r\n"))
    agent = make_agent(user)
    work = synced(agent)
    work.inbox[0].flag().wait(30)
    result = take(work.inbox, tmp_path / "out", kind)
    assert (result.written, result.problems) == (3, [])
    assert bring(work.inbox, tmp_path / "out").added == 0
    again = bring(work["Archive"], tmp_path / "out")
    again.job.wait(30)
    assert again.added == 3
    copied = [(m.subject, m.raw, m.flagged and kind != "eml") for m in work["Archive"]]
    assert sorted(copied) == sorted((m.subject, m.raw, m.flagged and kind != "eml") for m in work.inbox)


def test_a_second_export_to_a_folder_writes_nothing(
    make_agent: Agents, dovecot: Dovecot, user: str, tmp_path: Path
) -> None:
    for number in range(3):
        dovecot.save(user, mail(number))
    work = synced(make_agent(user))
    take(work.inbox.search("id:m1@example.com"), tmp_path / "out", "eml")
    result = take(work.inbox, tmp_path / "out", "eml")
    assert (result.written, result.there) == (2, 1)


def test_what_cannot_be_fetched_is_told_and_the_rest_is_written(
    make_agent: Agents, dovecot: Dovecot, user: str, tmp_path: Path
) -> None:
    for number in range(3):
        dovecot.save(user, mail(number))
    work = synced(make_agent(user, fetch={"idle": False, "every": "1h"}))
    work.inbox[0].fetch().wait(30)
    dovecot.doveadm("expunge", "-u", user, "mailbox", "INBOX", "uid", "2")
    result = take(work.inbox, tmp_path / "out", "mbox")
    assert (result.written, len(result.problems)) == (2, 1)
    assert "number 1" in result.problems[0]
    assert "removed on the server" in result.problems[0]


def test_a_folder_without_messages_is_refused(make_agent: Agents, user: str, tmp_path: Path) -> None:
    agent = make_agent(user)
    work = synced(agent)
    agent.context.commit(lambda tx: tx.execute("UPDATE folder SET selectable = 0 WHERE name = 'Archive'"))
    with pytest.raises(CommandError, match="holds no messages"):
        bring(work["Archive"], box(tmp_path / "box", range(1)))
