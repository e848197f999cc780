"""Content is stored and indexed once per hash; listings are indexed afterwards."""

from __future__ import annotations

from pathlib import Path

from agent.mail import query
from agent.store import contents, journal, messages, schema, search
from tests.store.store_case import NOW, Case, case, do, listed, raw, take, whole


def found(store_case: Case, word: str) -> list[int]:
    return search.ids(store_case.store.reader, query.Words("any", word))


def index_all(store_case: Case) -> None:
    while store_case.store.write(lambda tx: contents.index_some(tx, 10)).result():
        pass


def test_the_same_bytes_are_one_content(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        one, two = c.place(whole(1, "a"), whole(2, "a"))
        rows = messages.get_many(c.store.reader, [one, two])
        assert rows[0]["content"] == rows[1]["content"]
        assert messages.copies(c.store.reader, one) == [two]
        assert len(found(c, "hello")) == 2


def test_a_listing_is_found_by_words_once_it_is_indexed(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        (message,) = c.place(listed(1, "unmistakable"))
        assert contents.unindexed(c.store.reader) == 1
        index_all(c)
        assert contents.unindexed(c.store.reader) == 0
        assert found(c, "unmistakable") == [message]


def test_a_body_replaces_what_the_listing_had_in_the_index(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        (message,) = c.place(listed(1, "a", "bodyword"))
        index_all(c)
        item = whole(1, "a", "bodyword")
        assert item.body is not None
        body = item.body
        c.store.write(lambda tx: contents.add_bodies(tx, [(message, item.envelope, body)])).result()
        assert found(c, "bodyword") == [message]
        row = messages.get(c.store.reader, message)
        assert row is not None
        assert row["state"] == schema.WHOLE
        assert messages.raw(c.store.reader, row["content"]) == raw("a", "bodyword")
        # The index holds one entry for it, not two.
        count = c.store.read("SELECT count(*) FROM text WHERE text MATCH 'subject : number'")[0][0]
        assert count == 1


def test_a_body_that_is_known_already_is_shared(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        (old,) = c.place(whole(1, "a"))
        (new,) = c.place(listed(7, "a"), folder=c.archive)
        item = whole(7, "a")
        assert item.body is not None
        body = item.body
        c.store.write(lambda tx: contents.add_bodies(tx, [(new, item.envelope, body)])).result()
        rows = messages.get_many(c.store.reader, [old, new])
        assert rows[0]["content"] == rows[1]["content"]
        assert c.store.read("SELECT count(*) FROM content")[0][0] == 1


def test_a_body_that_is_known_already_is_shared_by_a_message_and_its_copy(tmp_path: Path) -> None:
    with case(tmp_path) as c:
        c.place(whole(1, "a"))
        (new,) = c.place(listed(7, "a"), folder=c.archive)
        do(c, "copy", [new], c.archive, c.account)
        [op] = take(c)
        c.store.write(lambda tx: journal.placed(tx, [op], {op["id"]: 8}, NOW)).result()
        index_all(c)
        item = whole(7, "a")
        assert item.body is not None
        both = [(message, item.envelope, item.body) for message in (new, op["message"])]
        c.store.write(lambda tx: contents.add_bodies(tx, both)).result()
        assert c.store.read("SELECT count(*) FROM content")[0][0] == 1
        assert len(found(c, "hello")) == 3


def test_a_rolled_back_batch_leaves_nothing(tmp_path: Path) -> None:
    with case(tmp_path) as c:

        def work(tx: object) -> None:
            contents.add(tx, [whole(1, "a")])  # type: ignore[arg-type]
            raise RuntimeError("the disk is full")

        assert isinstance(c.store.write(work).exception(), RuntimeError)
        assert c.store.read("SELECT count(*) FROM content")[0][0] == 0
        assert found(c, "hello") == []
