"""What a run came to: on the server, in the store, in the post; and how two outcomes differ."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.mail import flags
from agent.store.messages import split_tags
from tests.harness.dovecot import Dovecot

Facts = dict[str, list[str]]

# Tables and columns that a run may change although nothing has happened:
_PASSING = {
    "folder": {"synced"},  # when it was last known to equal the server, which it was again
    "setting": {"value"},  # whether the account is online just now
}
_KEY = "CASE WHEN c.message_id LIKE '%@example.com' THEN c.message_id ELSE 'ours ' || c.subject END"
_INDEX = """
SELECT v.doc, group_concat(v.term || ' ' || v.col || ' ' || v.offset, char(10))
FROM (SELECT * FROM temp.words ORDER BY doc, col, offset) v GROUP BY v.doc
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Facts by topic; `wrong` are those that are wrong whatever was to happen."""

    facts: Facts
    wrong: list[str]


def take(
    dovecot: Dovecot,
    users: Mapping[str, str],
    database: Path,
    sent: Iterable[str],
    known: Mapping[int, str],
    *,
    leftovers: bool = False,
) -> Outcome:
    """Look at server, store and post; `users` by account, `known` the messages there were before.

    With `leftovers` the server cannot remove single messages: what moved stays there, marked, and
    is not in the store.
    """
    db = sqlite3.connect(database)
    db.row_factory = sqlite3.Row
    try:
        server = {account: on_server(dovecot, user) for account, user in users.items()}
        facts: Facts = {}
        for account, found in server.items():
            for folder, key, _, words in found:
                facts.setdefault(f"server {account}/{folder}", []).append(f"{key} {words}")
        shown, stored, wrong = _store(db)
        for (account, folder), copies in shown.items():
            facts[f"shown {account}/{folder}"] = [f"{key} {words}" for key, _, words in copies]
        lines = _differ_from_server(server, stored)
        wrong += [line for line in lines if not (leftovers and ": - " in line and "\\Deleted" in line)]
        facts |= _identities(db, known) | _contents(db) | {"sent": sorted(sent)}
        facts |= {"jobs": _jobs(db), "outbox": _outbox(db), "news": _news(db), "threads": _threads(db)}
        wrong += _open(db) + _damage(db)
    finally:
        db.close()
    return Outcome({topic: sorted(lines) for topic, lines in facts.items()}, wrong)


def on_server(dovecot: Dovecot, user: str) -> list[tuple[str, str, int, str]]:
    """Return what the server holds: folder, key, UID, flags and keywords."""
    text = dovecot.doveadm(
        "-f",
        "tab",
        "fetch",
        "-u",
        user,
        "mailbox uid flags hdr.message-id hdr.subject",
        "mailbox",
        "*",
        "all",
    )
    found = []
    for line in text.splitlines()[1:]:
        folder, uid, words, name, subject = line.split("\t")
        name = name.strip("<>")
        key = name if name.endswith("@example.com") else f"ours {subject}"
        words = " ".join(sorted(word for word in words.split() if word != "\\Recent"))
        found.append((folder, key, int(uid), words))
    return found


def known(database: Path) -> dict[int, str]:
    """Return the messages of a store: id -> key."""
    if not database.exists():
        return {}
    db = sqlite3.connect(database)
    try:
        rows = db.execute(f"SELECT m.id, {_KEY} FROM message m JOIN content c ON c.id = m.content")
        return dict(rows.fetchall())
    finally:
        db.close()


def dump(database: Path) -> dict[str, Counter[str]]:
    """Return every row of every table, but for what may pass without anything having happened."""
    db = sqlite3.connect(database)
    try:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {}
        for table in tables:
            if table in ("text", "sqlite_sequence"):  # a virtual one; what numbers were given out
                continue
            # Somebody asked for the sync that a run begins with.
            which = " WHERE kind <> 'sync'" if table == "job" else ""
            cursor = db.execute(f"SELECT * FROM {table}{which}")
            names = [column[0] for column in cursor.description]
            passing = _PASSING.get(table, set())
            found[table] = Counter(
                ", ".join(f"{n}={_short(v)}" for n, v in zip(names, row, strict=True) if n not in passing)
                for row in cursor
            )
        return found
    finally:
        db.close()


def difference(expected: Mapping[str, Iterable[str]], got: Mapping[str, Iterable[str]]) -> list[str]:
    """Return what is missing (-) and what is too much (+), topic by topic."""
    lines = []
    for topic in sorted(expected.keys() | got.keys()):
        was, now = Counter(expected.get(topic, ())), Counter(got.get(topic, ()))
        lines += [f"{topic}: - {line}" for line in sorted((was - now).elements())]
        lines += [f"{topic}: + {line}" for line in sorted((now - was).elements())]
    return lines


# -- the store -------------------------------------------------------------------------------

_Place = tuple[str, str]
_Copy = tuple[str, int, str]


def _store(db: sqlite3.Connection) -> tuple[dict[_Place, list[_Copy]], dict[_Place, list[_Copy]], list[str]]:
    """Return what is shown and what is taken for the server's state, by account and folder."""
    shown: dict[_Place, list[_Copy]] = {}
    stored: dict[_Place, list[_Copy]] = {}
    wrong = []
    rows = db.execute(
        f"SELECT m.*, {_KEY} AS key, a.name AS account_name, f.name AS shown_in, s.name AS stored_in"
        " FROM message m JOIN content c ON c.id = m.content JOIN account a ON a.id = m.account"
        " LEFT JOIN folder f ON f.id = m.folder LEFT JOIN folder s ON s.id = m.s_folder"
    )
    for row in rows:
        if row["shown_in"] is not None:
            copy = (row["key"], row["s_uid"] or 0, _words(row["flags"], row["tags"]))
            shown.setdefault((row["account_name"], row["shown_in"]), []).append(copy)
        if row["stored_in"] is not None:
            copy = (row["key"], row["s_uid"] or 0, _words(row["s_flags"], row["s_tags"]))
            stored.setdefault((row["account_name"], row["stored_in"]), []).append(copy)
        if (row["folder"], row["flags"], row["tags"]) != (row["s_folder"], row["s_flags"], row["s_tags"]):
            if row["s_folder"] is not None or row["folder"] is not None:
                wrong.append(f"message {row['id']} ({row['key']}) is not shown as the server has it")
        if row["s_folder"] is not None and row["gone"] is not None:
            wrong.append(f"message {row['id']} ({row['key']}) is both there and gone")
    return shown, stored, wrong


def _words(bits: int, tags: str) -> str:
    return " ".join(sorted(flags.to_wire(bits, split_tags(tags))))


def _differ_from_server(
    server: Mapping[str, list[tuple[str, str, int, str]]], stored: Mapping[_Place, list[_Copy]]
) -> list[str]:
    there: Facts = {}
    for account, copies in server.items():
        for folder, key, uid, words in copies:
            there.setdefault(f"{account}/{folder}", []).append(f"{uid} {key} {words}")
    here: Facts = {
        f"{account}/{folder}": [f"{uid} {key} {words}" for key, uid, words in copies]
        for (account, folder), copies in stored.items()
    }
    return [f"the store is not as the server: {line}" for line in difference(there, here)]


def _identities(db: sqlite3.Connection, known: Mapping[int, str]) -> Facts:
    """Return where the messages are that were known before: their ids name them for ever."""
    rows = db.execute(
        f"SELECT m.id, {_KEY}, a.name, f.name FROM message m JOIN content c ON c.id = m.content"
        " JOIN account a ON a.id = m.account LEFT JOIN folder f ON f.id = m.folder"
    )
    return {"ids": [f"{row[0]} {row[1]} {row[2]}/{row[3]}" for row in rows if row[0] in known]}


def _contents(db: sqlite3.Connection) -> Facts:
    """Return what is here of the messages shown: state, bytes, words of the index."""
    db.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab('main', 'text', 'instance')")
    words = {doc: hashlib.sha256(text.encode()).hexdigest()[:8] for doc, text in db.execute(_INDEX)}
    found = []
    rows = db.execute(
        f"SELECT DISTINCT c.id, {_KEY} AS key, c.hash, c.state, r.bytes FROM content c JOIN message m"
        " ON m.content = c.id LEFT JOIN raw r ON r.content = c.id WHERE m.folder IS NOT NULL"
    )
    for row in rows:
        ours = row["key"].startswith("ours ")
        held = "no bytes" if row["bytes"] is None else "bytes"
        if row["bytes"] is not None and row["state"] == 2:
            held = "the bytes" if hashlib.sha256(row["bytes"]).hexdigest() == row["hash"] else "OTHER bytes"
        index = words.get(row["id"])
        found.append(f"{row['key']} state {row['state']} {held} index {bool(index) if ours else index}")
    return {"contents": found}


def _jobs(db: sqlite3.Connection) -> list[str]:
    rows = db.execute("SELECT label, state, error FROM job WHERE kind <> 'sync'")
    return [f"{row['label']}: {row['state']} {row['error']}".strip() for row in rows]


def _outbox(db: sqlite3.Connection) -> list[str]:
    return [f"{row[0]}: {row[1]}" for row in db.execute("SELECT subject, state FROM outbox")]


def _news(db: sqlite3.Connection) -> list[str]:
    rows = db.execute(
        f"SELECT {_KEY}, m.arrival FROM message m JOIN content c ON c.id = m.content"
        " WHERE m.folder IS NOT NULL AND m.arrival"
    )
    return [f"{row[0]} {row[1]}" for row in rows]


def _threads(db: sqlite3.Connection) -> list[str]:
    columns = [row[1] for row in db.execute("PRAGMA table_info(content)")]
    if "thread" not in columns:
        return []
    rows = db.execute(
        f"SELECT c.thread, group_concat(DISTINCT {_KEY}) FROM content c JOIN message m ON m.content = c.id"
        " WHERE m.folder IS NOT NULL GROUP BY c.thread"
    )
    return [" ".join(sorted(row[1].split(","))) for row in rows]


def _open(db: sqlite3.Connection) -> list[str]:
    rows = db.execute(
        "SELECT 'operation', id, kind, state FROM op WHERE state IN ('pending', 'sent', 'unmapped') UNION ALL"
        " SELECT 'job', id, label, state FROM job WHERE state IN ('queued', 'running') UNION ALL"
        " SELECT 'mail', id, subject, state FROM outbox WHERE state IN ('queued', 'connecting', 'data-sent')"
        " UNION ALL SELECT 'message', id, 'without UID', s_folder FROM message"
        " WHERE s_folder IS NOT NULL AND s_uid IS NULL"
        " UNION ALL SELECT 'folder', id, name, 'not listed to its end' FROM folder"
        " WHERE uidvalidity IS NOT NULL AND backfill <> 1 AND present"
    )
    return [f"left open: {row[0]} {row[1]} ({row[2]}): {row[3]}" for row in rows]


def _damage(db: sqlite3.Connection) -> list[str]:
    found = [row[0] for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
    try:
        db.execute("INSERT INTO text (text) VALUES ('integrity-check')")
    except sqlite3.DatabaseError as error:
        found.append(f"the text index: {error}")
    finally:
        db.rollback()
    double = db.execute(
        "SELECT s_folder, s_uid FROM message WHERE s_uid IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1"
    )
    found += [f"two messages at {tuple(row)}" for row in double]
    lost = db.execute(
        "SELECT id FROM message m WHERE NOT EXISTS (SELECT 1 FROM content WHERE id = m.content)"
    )
    found += [f"message {row[0]} has no content" for row in lost]
    return [f"damage: {problem}" for problem in found]


def _short(value: object) -> str:
    if isinstance(value, bytes) or (isinstance(value, str) and len(value) > 60):
        raw = value if isinstance(value, bytes) else value.encode()
        return f"<{len(raw)} octets {hashlib.sha256(raw).hexdigest()[:8]}>"
    return str(value)
