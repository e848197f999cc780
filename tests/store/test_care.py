"""The care of the store's file: what is noticed when it is opened, a full disk, copies."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.errors import Damaged, StoreError
from agent.mail import query
from agent.store import care, changes, job_rows, messages, reindex, schema, search
from agent.store.db import Store
from tests.store import damaged
from tests.store.damaged import NOW, filled, ids, subject_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "mail.db"
    filled(path)
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(whole, tmp_path / "mail.db"))


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    store.start()
    yield store
    store.stop()


# -- opening ---------------------------------------------------------------------------------


def test_nothing_is_looked_at_as_a_whole_without_a_reason(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5000] ^= 1
    path.write_bytes(data)
    care.before_open(path)
    begun = time.perf_counter()
    for _ in range(100):
        care.before_open(path)
    assert (time.perf_counter() - begun) / 100 < 0.002


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: b"x" + data[1:], "does not begin as a store does"),
        (lambda data: data[:50], "does not begin as a store does"),
        (lambda data: data[:16] + b"\x03\x07" + data[18:], "first page is not readable"),
        (lambda data: data[:20_000], "cut off: 20000 of"),
    ],
)
def test_a_wrong_header_and_a_cut_file_are_noticed_at_once(
    change: Callable[[bytes], bytes], why: str, path: Path
) -> None:
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(Damaged, match=why):
        Store(path).start()


def test_a_log_from_before_the_machine_went_down_is_a_reason(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(path.read_bytes())
    data[-4096:] = bytes(4096)
    path.write_bytes(data)
    log = path.with_name("mail.db-wal")
    log.write_bytes(b"x" * 100)
    care.before_open(path)  # a program was killed: no harm
    os.utime(log, (1000, 1000))
    with pytest.raises(Damaged):
        care.before_open(path)


def test_a_whole_file_after_a_power_cut_is_opened(path: Path) -> None:
    log = path.with_name("mail.db-wal")
    log.write_bytes(b"x" * 100)
    os.utime(log, (1000, 1000))
    care.before_open(path)


def test_damage_that_is_met_is_found_at_the_next_start(path: Path, store: Store) -> None:
    wrong = store.look(ids)[subject_of(5)]
    content = store.read("SELECT content FROM message WHERE id = ?", (wrong,))[0][0]
    store.write(lambda tx: tx.execute("UPDATE raw SET bytes = x'00' WHERE content = ?", (content,))).result()
    assert care.examine(path, full=False) == []
    assert store.look(messages.raw, content) is None
    store.stop()
    with pytest.raises(Damaged, match="the bytes of 1 messages"):
        care.before_open(path)


def test_a_suspicion_that_was_wrong_is_dropped(path: Path) -> None:
    care.suspect(path)
    care.before_open(path)
    assert not list(path.parent.glob("*.suspect"))


def test_a_store_of_a_newer_version_says_so_and_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(StoreError, match="written by a newer agent") as raised:
        Store(path).start()
    assert not isinstance(raised.value, Damaged)


def test_a_file_that_may_not_be_read_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "mail.db").mkdir()
    with pytest.raises(StoreError, match="permissions"):
        Store(tmp_path / "mail.db").start()


# -- a full disk -----------------------------------------------------------------------------


def limit(store: Store, more: int | None) -> None:
    """Give the file room for some pages more, or all it wants."""

    def work(tx: sqlite3.Connection) -> None:
        pages = tx.execute("PRAGMA page_count").fetchone()[0] + more if more is not None else 1 << 30
        tx.execute(f"PRAGMA max_page_count = {pages}")

    store.write(work).result()


def test_a_full_disk_is_told_changes_nothing_and_is_over_when_there_is_room(store: Store) -> None:
    limit(store, 0)

    def work(tx: sqlite3.Connection) -> int:
        job = job_rows.add_job(tx, "verb", "saved a draft", NOW)
        return changes.append(tx, job, 1, 2, damaged.incoming("x" * 100_000, None))

    jobs = store.read("SELECT count(*) FROM job")[0][0]
    for durable in (True, False):
        with pytest.raises(StoreError, match="the disk is full; nothing of this was stored"):
            store.write(work, durable=durable).result()
    assert store.read("SELECT count(*) FROM job")[0][0] == jobs
    assert care.examine(store.path) == []
    limit(store, None)
    assert store.write(work, durable=True).result() > 0


def test_a_limit_of_the_system_is_survived_too(tmp_path: Path) -> None:
    """Writes really fail, in a process that may not make files larger."""
    code = f"""
        import resource, sys
        from pathlib import Path
        from agent.errors import StoreError
        from agent.store import care, changes, job_rows
        from agent.store.db import Store
        from tests.store import damaged

        path = Path({str(tmp_path / "mail.db")!r})
        damaged.filled(path)
        store = Store(path)
        store.start()
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50_000, resource.RLIM_INFINITY))

        def work(tx):
            job = job_rows.add_job(tx, "verb", "saved a draft", 1.0)
            return changes.append(tx, job, 1, 2, damaged.incoming("x" * 1_000_000, None))

        try:
            store.write(work, durable=True).result()
            print("stored")
        except StoreError as error:
            print(error)
        print(store.read("SELECT count(*) FROM job")[0][0])
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store.write(work, durable=True).result()
        print(store.read("SELECT count(*) FROM job")[0][0])
        store.stop()
        print(care.examine(path))
    """
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=root, timeout=60
    )
    assert done.stderr == ""
    told, before, after, problems = done.stdout.splitlines()
    assert "nothing of this was stored" in told
    assert (before, after, problems) == ("3", "4", "[]")


# -- copies ----------------------------------------------------------------------------------


def test_a_backup_is_a_whole_store_of_its_own(store: Store, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    target = tmp_path / "copy.db"
    size = care.backup(store.path, target, lambda done, total: seen.append((done, total)))
    assert size == target.stat().st_size
    assert os.stat(target).st_mode & 0o777 == 0o600
    assert seen[-1][0] == seen[-1][1]
    assert not list(tmp_path.glob("copy.db-*"))
    copy = Store(target)
    copy.start()
    try:
        assert copy.look(ids) == store.look(ids)
    finally:
        copy.stop()


def test_a_backup_has_what_is_only_in_the_log_yet(store: Store, tmp_path: Path) -> None:
    store.write(lambda tx: job_rows.add_job(tx, "verb", "the last one", NOW)).result()
    care.backup(store.path, tmp_path / "copy.db", lambda done, total: None)
    with sqlite3.connect(tmp_path / "copy.db") as db:
        assert db.execute("SELECT label FROM job ORDER BY id DESC").fetchone()[0] == "the last one"
    db.close()


def test_a_backup_never_overwrites(store: Store, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("copy.db", "link"):
        with pytest.raises(StoreError, match="is there already"):
            care.backup(store.path, tmp_path / name, lambda done, total: None)
    assert (tmp_path / "copy.db").read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


def test_a_backup_of_a_damaged_store_is_refused_and_leaves_nothing(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-4096:] = bytes(4096)
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"not whole|damaged"):
        care.backup(path, tmp_path / "copy.db", lambda done, total: None)
    assert not (tmp_path / "copy.db").exists()


def test_a_backup_into_nowhere_says_so(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="name another place"):
        care.backup(store.path, tmp_path / "no" / "copy.db", lambda done, total: None)
    with pytest.raises(StoreError, match="nothing to back up"):
        care.backup(tmp_path / "absent.db", tmp_path / "copy.db", lambda done, total: None)


def test_a_backup_without_room_leaves_nothing(store: Store, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(StoreError):
            care.backup(store.path, tmp_path / "copy.db", lambda done, total: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.glob("copy.db*"))


# -- the text index --------------------------------------------------------------------------


def found(store: Store, word: str) -> int:
    return store.look(search.count, query.Words("any", word, "word"))


def test_the_index_is_made_anew_piece_by_piece(store: Store) -> None:
    assert store.write(reindex.begin).result() is False
    assert found(store, "word7") == 0
    while store.write(lambda tx: reindex.step(tx, 30)).result():
        pass
    assert (found(store, "word7"), found(store, "number")) == (1, damaged.MESSAGES + 1)
    assert store.look(reindex.left)[0] == 0


def test_a_reindex_that_was_cut_off_goes_on(store: Store) -> None:
    store.write(reindex.begin).result()
    store.write(lambda tx: reindex.step(tx, 30)).result()
    left = store.look(reindex.left)
    store.stop()
    again = Store(store.path)
    again.start()
    try:
        assert again.write(reindex.begin).result() is True
        assert again.look(reindex.left) == left
        while again.write(lambda tx: reindex.step(tx, 30)).result():
            pass
        assert found(again, "number") == damaged.MESSAGES + 1
        assert again.write(reindex.begin).result() is False
    finally:
        again.stop()
