"""Jobs and their operations: what waits for what, what is shown meanwhile, and how it all ends."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.mail import flags
from agent.store import changes, contents, folders, job_rows, journal, state
from agent.store.contents import Incoming
from agent.store.db import Row, Transaction
from tests.store.store_case import NOW, Case, case, do, job_of, kinds, listed, shown, take, whole


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Case]:
    with case(tmp_path) as made:
        yield made


# -- what is shown ---------------------------------------------------------------------------


def test_a_refusal_falls_back_to_the_server_and_to_what_else_is_asked(one: Case) -> None:
    [message] = one.place(listed(1, 1))
    do(one, "change_flags", [message], flags.FLAGGED, 0)
    [op] = take(one)
    later = do(one, "move", [message], one.archive)
    one.store.write(lambda tx: journal.failed(tx, [op], "no", NOW)).result()
    assert shown(one, message) == (one.archive, 0, "")
    assert job_of(one, op["job"]) == ("failed", "no")
    assert job_of(one, later)[0] == "queued"


def test_flags_from_the_server_show_below_what_is_asked(one: Case) -> None:
    [message] = one.place(listed(1, 1))
    do(one, "change_flags", [message], flags.FLAGGED, flags.SEEN)
    seen = flags.SEEN | flags.ANSWERED
    one.store.write(lambda tx: state.set_flags(tx, one.inbox, [(1, seen, " theirs ")])).result()
    assert shown(one, message) == (one.inbox, flags.FLAGGED | seen, " theirs ")


# -- what waits for what ---------------------------------------------------------------------


def test_operations_on_one_message_go_one_after_the_other(one: Case) -> None:
    [message] = one.place(listed(1, 1))
    do(one, "change_flags", [message], flags.FLAGGED, 0)
    do(one, "move", [message], one.archive)
    assert kinds(one) == ["flags"]
    ops = take(one)
    assert kinds(one) == []
    one.store.write(lambda tx: journal.done(tx, ops, NOW)).result()
    assert kinds(one) == ["move"]


def test_what_follows_a_move_waits_until_the_uid_is_known(one: Case) -> None:
    [message] = one.place(listed(1, 1))
    do(one, "move", [message], one.archive)
    do(one, "change_flags", [message], flags.FLAGGED, 0)
    ops = take(one)
    one.store.write(lambda tx: journal.placed(tx, ops, {}, NOW)).result()
    assert kinds(one) == []
    assert one.place(listed(50, 1), folder=one.archive) == [message]
    assert kinds(one) == ["flags"]
    assert job_of(one, ops[0]["job"]) == ("done", "")


def test_a_copy_is_of_its_moment(one: Case) -> None:
    [message] = one.place(whole(1, 1))
    do(one, "change_flags", [message], flags.FLAGGED, 0)
    do(one, "copy", [message], one.archive, one.account)
    do(one, "change_flags", [message], flags.SEEN, 0)
    do(one, "delete", [message])
    order = []
    while ops := take(one):
        order += [op["kind"] for op in ops]
        stay = [op for op in ops if op["kind"] != "copy"]
        go = [op for op in ops if op["kind"] == "copy"]
        one.store.write(lambda tx, go=go: journal.placed(tx, go, {op["id"]: 70 for op in go}, NOW)).result()
        one.store.write(lambda tx, stay=stay: journal.done(tx, stay, NOW)).result()
    assert order == ["flags", "copy", "flags", "delete"]


def test_a_copy_to_another_account_waits_for_the_bytes_and_the_original_for_the_copy(one: Case) -> None:
    other = one.store.write(lambda tx: folders.ensure_account(tx, "home")).result()
    there = one.store.write(lambda tx: folders.add(tx, other, "INBOX", "/")).result()
    [message] = one.place(listed(1, 1))
    do(one, "copy", [message], there, other)
    do(one, "delete", [message])
    assert kinds(one) == []
    assert journal.runnable(one.store.reader, other) == []
    assert [row["id"] for row in journal.wants_bytes(one.store.reader, one.account)] == [message]
    assert journal.accounts_with_work(one.store.reader) == {one.account, other}
    item = whole(1, 1)
    assert item.body is not None
    known = [(message, item.envelope, item.body)]
    one.store.write(lambda tx: contents.add_bodies(tx, known)).result()
    assert journal.wants_bytes(one.store.reader, one.account) == []
    assert [op["kind"] for op in journal.runnable(one.store.reader, other)] == ["append"]
    assert kinds(one) == ["delete"]


def test_the_source_of_a_failed_transfer_stays(one: Case) -> None:
    other = one.store.write(lambda tx: folders.ensure_account(tx, "home")).result()
    there = one.store.write(lambda tx: folders.add(tx, other, "INBOX", "/")).result()
    [message] = one.place(whole(1, 1))

    def work(tx: Transaction) -> int:
        job = job_rows.add_job(tx, "verb", "moved", NOW)
        made = changes.copy(tx, job, [message], there, other)
        changes.delete(tx, job, [message], after=made)
        return job

    job = one.store.write(work).result()
    assert kinds(one) == []
    ops = journal.runnable(one.store.reader, other)
    one.store.write(lambda tx: journal.failed(tx, ops, "no room", NOW)).result()
    assert job_of(one, job) == ("failed", "no room")
    assert shown(one, message) == (one.inbox, 0, "")
    assert one.store.read("SELECT count(*) FROM message WHERE folder IS NOT NULL")[0][0] == 1


def test_a_copy_of_what_was_removed_on_the_server_comes_to_an_end(one: Case) -> None:
    [message] = one.place(listed(1, 1))
    job = do(one, "copy", [message], one.archive, one.account)
    one.store.write(lambda tx: state.vanish(tx, one.inbox, [1], NOW)).result()
    ops = take(one)
    assert [op["kind"] for op in ops] == ["copy"]
    one.store.write(lambda tx: journal.failed(tx, ops, "removed", NOW)).result()
    assert job_of(one, job) == ("failed", "removed")
    assert one.store.read("SELECT id FROM message WHERE folder IS NOT NULL") == []


# -- all of it together ----------------------------------------------------------------------


class Server:
    """What a server would hold after what the journal does to it and others do."""

    def __init__(self, one: Case) -> None:
        self.one = one
        self.folders: dict[int, dict[int, tuple[str, int]]] = {one.inbox: {}, one.archive: {}}
        self._uids = itertools.count(1)
        for number in range(4):
            self.put(one.inbox, str(number), 0)
        self.sync()

    def put(self, folder: int, name: str, bits: int) -> int:
        uid = next(self._uids)
        self.folders[folder][uid] = (name, bits)
        return uid

    def carry_out(self, op: Row, tells: bool) -> dict[int, int]:
        """Do one operation; return its new UID when the server tells it."""
        here = self.folders[op["s_folder"]] if op["s_folder"] else {}
        if op["kind"] == "flags" and op["s_uid"] in here:
            name, bits = here[op["s_uid"]]
            here[op["s_uid"]] = (name, bits & ~op["remove_flags"] | op["add_flags"])
        elif op["kind"] == "delete":
            here.pop(op["s_uid"], None)
        elif op["kind"] == "move" and op["s_uid"] in here:
            return self._told(op, self.put(op["target"], *here.pop(op["s_uid"])), tells)
        elif op["kind"] == "copy":
            sql = "SELECT s_folder, s_uid FROM message WHERE id = ?"
            folder, uid = self.one.store.read(sql, (op["original"],))[0]
            if uid in self.folders[folder]:
                return self._told(op, self.put(op["target"], *self.folders[folder][uid]), tells)
        return {}

    def _told(self, op: Row, uid: int, tells: bool) -> dict[int, int]:
        return {op["id"]: uid} if tells else {}

    def sync(self) -> None:
        """Take over what the server holds, as a sync of each folder does."""
        one = self.one
        for folder, there in self.folders.items():
            awaited = state.unbound(one.store.reader, folder)
            known = state.uids(one.store.reader, folder)
            items = [self._item(uid, *there[uid]) for uid in there if uid not in known]

            def work(
                tx: Transaction, folder: int = folder, there: dict[int, tuple[str, int]] = there,
                items: list[Incoming] = items, awaited: list[int] = awaited, known: set[int] = known,
            ) -> None:  # fmt: skip
                state.vanish(tx, folder, [uid for uid in known if uid not in there], NOW)
                state.set_flags(tx, folder, [(uid, there[uid][1], "") for uid in known if uid in there])
                state.place(tx, one.account, folder, items, NOW, events=False)
                state.lose_missing(tx, folder, awaited, NOW)
                job_rows.finish_all(tx, NOW)

            one.store.write(work).result()

    def _item(self, uid: int, name: str, bits: int) -> Incoming:
        item = listed(uid, name)
        return Incoming(uid, bits, "", item.received, item.size, item.envelope)

    def wire(self, outcome: str) -> bool:
        """Let the wire carry out what can go; return whether there was anything."""
        one, ops = self.one, take(self.one)
        for op in ops:
            gone = "SELECT 1 FROM message WHERE id = ? AND gone IS NOT NULL"
            if outcome == "refused" or (op["kind"] == "copy" and one.store.read(gone, (op["original"],))):
                one.store.write(lambda tx, op=op: journal.failed(tx, [op], "no", NOW)).result()
                continue
            uids = self.carry_out(op, outcome == "told")
            if op["kind"] in ("move", "copy"):
                one.store.write(lambda tx, op=op, uids=uids: journal.placed(tx, [op], uids, NOW)).result()
            else:
                one.store.write(lambda tx, op=op: journal.done(tx, [op], NOW)).result()
        return bool(ops)


VERBS = st.tuples(
    st.sampled_from(["flag", "unflag", "move", "back", "copy", "delete"]), st.integers(0, 7)
)  # fmt: skip
OTHERS = st.tuples(st.sampled_from(["expunge", "seen", "arrive"]), st.integers(0, 7))
STEPS = st.lists(
    st.tuples(st.just("verb"), VERBS)
    | st.tuples(st.just("other"), OTHERS)
    | st.tuples(st.just("wire"), st.sampled_from(["told", "untold", "refused"]))
    | st.tuples(st.just("sync"), st.none())
    | st.tuples(st.just("cancel"), st.none()),
    max_size=25,
)  # fmt: skip


def act(server: Server, verb: str, number: int) -> None:
    one = server.one
    ids = [row[0] for row in one.store.read("SELECT id FROM message WHERE folder IS NOT NULL ORDER BY id")]
    if not ids:
        return
    chosen = [ids[number % len(ids)]]
    if verb == "copy":
        do(one, "copy", chosen, one.archive, one.account)
    elif verb in ("move", "back"):
        do(one, "move", chosen, one.archive if verb == "move" else one.inbox)
    elif verb == "delete":
        do(one, "delete", chosen)
    else:
        bits = (flags.FLAGGED, 0) if verb == "flag" else (0, flags.FLAGGED)
        do(one, "change_flags", chosen, *bits)


def meddle(server: Server, what: str, number: int) -> None:
    places = [(folder, uid) for folder, there in server.folders.items() for uid in there]
    if what == "arrive":
        server.put(server.one.inbox, f"new{number}", 0)
    elif places:
        folder, uid = places[number % len(places)]
        name, bits = server.folders[folder].pop(uid)
        if what == "seen":
            server.folders[folder][uid] = (name, bits | flags.SEEN)


def check_shown(one: Case) -> None:
    """What is shown is the server's state, as last seen, with the open operations applied."""
    before = one.store.read("SELECT id, folder, flags, tags FROM message ORDER BY id")
    ids = [row["id"] for row in before]
    one.store.write(lambda tx: state.refresh(tx, ids)).result()
    after = one.store.read("SELECT id, folder, flags, tags FROM message ORDER BY id")
    assert [tuple(row) for row in before] == [tuple(row) for row in after]


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_whatever_happens_server_and_store_are_equal_in_the_end(steps: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder, case(Path(folder)) as one:
        server = Server(one)
        for kind, what in steps:
            if kind == "verb":
                act(server, *what)  # type: ignore[misc]
            elif kind == "other":
                meddle(server, *what)  # type: ignore[misc]
            elif kind == "wire":
                server.wire(str(what))
            elif kind == "sync":
                server.sync()
            else:
                for row in job_rows.open_jobs(one.store.reader)[-1:]:
                    one.store.write(lambda tx, row=row: job_rows.cancel(tx, row["id"], NOW)).result()
            check_shown(one)
        server.sync()
        while server.wire("untold"):
            server.sync()
        server.sync()
        assert (
            one.store.read("SELECT kind, state FROM op WHERE state IN ('pending', 'sent', 'unmapped')") == []
        )
        assert job_rows.open_jobs(one.store.reader) == []
        sql = (
            "SELECT m.folder, replace(c.subject, 'number ', ''), m.flags, m.s_uid FROM message m"
            " JOIN content c ON c.id = m.content WHERE m.folder IS NOT NULL"
        )
        here = Counter(tuple(row) for row in one.store.read(sql))
        there = Counter(
            (folder, name, bits, uid)
            for folder, messages in server.folders.items()
            for uid, (name, bits) in messages.items()
        )
        assert here == there
