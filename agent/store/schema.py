"""The tables, as numbered migrations; `PRAGMA user_version` tells how many have been applied.

A message is one copy in one folder. Its row holds two truths: the server's state (`s_` columns),
which only sync writes, and what is shown (folder, flags, tags), which is the server's state with
the pending operations applied. A row with no shown folder is gone or about to go; it stays for a
while, so that the message keeps its id when it turns up elsewhere.

Content (envelope, text index, bytes) is stored once per hash of the bytes. Until the bytes are
here a content row belongs to one message and has no hash.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from agent.errors import StoreError
from agent.store import threads

# content.state
LISTED, PARTIAL, WHOLE = 0, 1, 2

_FIRST = """
CREATE TABLE account (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  null_sender_refused INTEGER NOT NULL DEFAULT 0  -- its server takes no mail from <>
);
CREATE TABLE folder (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account INTEGER NOT NULL REFERENCES account(id),
  name TEXT NOT NULL,
  delimiter TEXT,
  role TEXT NOT NULL DEFAULT '',
  selectable INTEGER NOT NULL DEFAULT 1,
  present INTEGER NOT NULL DEFAULT 1,   -- the server lists it
  keywords INTEGER NOT NULL DEFAULT 1,  -- the server stores new keywords
  uidvalidity INTEGER,
  uidnext INTEGER,                      -- ours: everything below has been fetched or listed
  baseline INTEGER,                     -- the server's UIDNEXT at the first SELECT
  backfill INTEGER,                     -- listing newest first has come down to here; 1 when done
  modseq INTEGER,
  synced REAL,                          -- when it was last known to equal the server
  UNIQUE (account, name)
);
CREATE TABLE party (                    -- who stands in From, To, Cc, Bcc, List-Id: each text once
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE,
  folded TEXT NOT NULL
);
CREATE TABLE content (
  id INTEGER PRIMARY KEY,               -- in the order of dates: see numbers.py
  hash TEXT UNIQUE,                     -- SHA-256 of the bytes, once they are here
  state INTEGER NOT NULL DEFAULT 0,     -- 0 listed, 1 partial (too large to fetch unasked), 2 whole
  indexed INTEGER NOT NULL DEFAULT 0,   -- stands in the text index; a first listing is indexed afterwards
  message_id TEXT NOT NULL DEFAULT '',
  subject TEXT NOT NULL DEFAULT '',
  from_ INTEGER REFERENCES party(id),
  to_ INTEGER REFERENCES party(id),
  cc INTEGER REFERENCES party(id),
  bcc INTEGER REFERENCES party(id),
  list_id INTEGER REFERENCES party(id),
  sender TEXT NOT NULL DEFAULT '',
  reply_to TEXT NOT NULL DEFAULT '',
  return_path TEXT,
  in_reply_to TEXT NOT NULL DEFAULT '', -- ids with blanks between
  refs TEXT NOT NULL DEFAULT '',
  traits INTEGER NOT NULL DEFAULT 0,
  snippet TEXT NOT NULL DEFAULT '',
  files TEXT NOT NULL DEFAULT '',       -- attachment names, one a line
  defects TEXT NOT NULL DEFAULT ''
);
CREATE INDEX content_message_id ON content (message_id);
CREATE INDEX content_unindexed ON content (id) WHERE indexed = 0;
CREATE INDEX content_traits ON content (traits) WHERE traits <> 0;
CREATE INDEX content_from ON content (from_);
CREATE INDEX content_to ON content (to_);
CREATE INDEX content_cc ON content (cc) WHERE cc IS NOT NULL;
CREATE INDEX content_bcc ON content (bcc) WHERE bcc IS NOT NULL;
CREATE INDEX content_list ON content (list_id) WHERE list_id IS NOT NULL;
CREATE TABLE raw (content INTEGER PRIMARY KEY REFERENCES content(id), bytes BLOB NOT NULL);
CREATE VIRTUAL TABLE text USING fts5 (
  subject, people, body, files,
  content='', tokenize='unicode61 remove_diacritics 2', prefix='1 2 3'
);
CREATE TABLE message (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account INTEGER NOT NULL REFERENCES account(id),
  folder INTEGER REFERENCES folder(id),  -- shown in; NULL: gone
  content INTEGER NOT NULL REFERENCES content(id),
  flags INTEGER NOT NULL DEFAULT 0,
  tags TEXT NOT NULL DEFAULT '',         -- ' one two ', sorted; '' when none
  date INTEGER NOT NULL,                 -- Date header, else received
  received INTEGER NOT NULL,
  size INTEGER NOT NULL,
  s_folder INTEGER REFERENCES folder(id),
  s_uid INTEGER,
  s_flags INTEGER NOT NULL DEFAULT 0,
  s_tags TEXT NOT NULL DEFAULT '',
  local_tags TEXT NOT NULL DEFAULT '',   -- tags the server does not store
  arrival INTEGER NOT NULL DEFAULT 0,    -- 1: message_new is due; 2: it was handled
  gone REAL,                             -- since when the server does not have it any more
  UNIQUE (s_folder, s_uid)
);
CREATE INDEX message_list ON message (folder, date, id, content) WHERE folder IS NOT NULL;
CREATE INDEX message_all ON message (date, id, content, folder) WHERE folder IS NOT NULL;
CREATE INDEX message_unread ON message (folder, date, id) WHERE folder IS NOT NULL AND flags & 1 = 0;
CREATE INDEX message_marked ON message (date, id, flags) WHERE folder IS NOT NULL AND flags & 62 <> 0;
CREATE INDEX message_tagged ON message (tags, date, id) WHERE folder IS NOT NULL AND tags <> '';
CREATE INDEX message_size ON message (size) WHERE folder IS NOT NULL;
CREATE INDEX message_content ON message (content);
CREATE INDEX message_due ON message (arrival) WHERE arrival = 1;
CREATE INDEX message_gone ON message (gone) WHERE gone IS NOT NULL;
CREATE INDEX message_unmapped ON message (account, s_folder) WHERE s_uid IS NULL AND s_folder IS NOT NULL;
CREATE TABLE arrived (                   -- message_new happened: once per content and account, for ever
  account INTEGER NOT NULL,
  key TEXT NOT NULL,
  at REAL NOT NULL,
  PRIMARY KEY (account, key)
) WITHOUT ROWID;
CREATE TABLE job (                       -- whatever was asked for: a wire request or a verb
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account INTEGER,                       -- whose wire; NULL when it has none or several
  kind TEXT NOT NULL,
  label TEXT NOT NULL,
  args TEXT NOT NULL DEFAULT '{}',
  state TEXT NOT NULL DEFAULT 'queued',  -- queued running done failed cancelled
  bulk INTEGER NOT NULL DEFAULT 0,
  created REAL NOT NULL,
  finished REAL,
  error TEXT NOT NULL DEFAULT '',
  progress INTEGER NOT NULL DEFAULT 0,
  total INTEGER NOT NULL DEFAULT 0,
  origin TEXT NOT NULL DEFAULT 'user',   -- user rule script undo
  cause TEXT NOT NULL DEFAULT '',        -- the rule's or hook's name
  undone INTEGER                         -- the job that undid this one
);
CREATE INDEX job_open ON job (account, bulk, id) WHERE state IN ('queued', 'running');
CREATE TABLE op (                        -- one change to one message; kept as the inverse of its job
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job INTEGER NOT NULL REFERENCES job(id),
  account INTEGER NOT NULL,
  message INTEGER NOT NULL REFERENCES message(id),
  kind TEXT NOT NULL,                    -- flags move copy append delete
  state TEXT NOT NULL DEFAULT 'pending', -- pending sent unmapped done failed cancelled
  after INTEGER,                         -- the op that must be done first
  add_flags INTEGER NOT NULL DEFAULT 0,
  remove_flags INTEGER NOT NULL DEFAULT 0,
  add_tags TEXT NOT NULL DEFAULT '',
  remove_tags TEXT NOT NULL DEFAULT '',
  source INTEGER,                        -- folder ids
  target INTEGER,
  original INTEGER,                      -- copy: the message it is a copy of
  error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX op_open ON op (account, id) WHERE state IN ('pending', 'sent', 'unmapped');
CREATE INDEX op_message ON op (message) WHERE state IN ('pending', 'sent', 'unmapped');
CREATE INDEX op_original ON op (original) WHERE state IN ('pending', 'sent', 'unmapped');
CREATE INDEX op_job ON op (job);
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account INTEGER NOT NULL,
  job INTEGER,
  key TEXT UNIQUE,                       -- (rule, content, n-th send of the run): found again after a crash
  state TEXT NOT NULL,                   -- queued connecting data-sent sent failed uncertain cancelled edited
  message_id TEXT NOT NULL,
  sender TEXT NOT NULL,
  recipients TEXT NOT NULL,              -- JSON list
  subject TEXT NOT NULL,
  data BLOB NOT NULL,                    -- the bytes for the wire, frozen
  copy BLOB,                             -- the bytes for the Sent folder; NULL: none is kept
  filed INTEGER NOT NULL DEFAULT 1,      -- 0: sent, and its copy waits until a Sent folder is known
  automatic INTEGER NOT NULL DEFAULT 0,
  answers INTEGER,                       -- the message this is a reply to
  forwards INTEGER NOT NULL DEFAULT 0,   -- it is a forward of it instead
  attempts INTEGER NOT NULL DEFAULT 0,
  not_before REAL NOT NULL,
  created REAL NOT NULL,
  sent REAL,
  error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX outbox_open ON outbox (account, not_before)
  WHERE state IN ('queued', 'connecting', 'data-sent');
CREATE TABLE claim (                     -- what a rule or hook has taken on
  rule TEXT NOT NULL,
  account INTEGER NOT NULL,
  key TEXT NOT NULL,
  state TEXT NOT NULL,                   -- started done
  at REAL NOT NULL,
  starts INTEGER NOT NULL DEFAULT 1,     -- more than one: the program ended while it ran
  PRIMARY KEY (rule, account, key)
) WITHOUT ROWID;
CREATE TABLE reply (                     -- who was answered automatically, by which handle, when
  account INTEGER NOT NULL,
  handle TEXT NOT NULL,
  sender TEXT NOT NULL,
  at REAL NOT NULL,
  outbox INTEGER,
  PRIMARY KEY (account, handle, sender)
) WITHOUT ROWID;
CREATE INDEX reply_at ON reply (account, at);
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

_UNDO = """
-- op.undone: the job that took this change back
ALTER TABLE op ADD COLUMN undone INTEGER;
DROP INDEX op_job;
CREATE INDEX op_job ON op (job);
CREATE INDEX op_job_open ON op (job) WHERE state IN ('pending', 'sent');
CREATE INDEX op_job_failed ON op (job) WHERE state = 'failed';
DROP INDEX op_message;
CREATE INDEX op_message ON op (message);
DROP INDEX IF EXISTS op_original;
CREATE INDEX op_original ON op (original) WHERE original IS NOT NULL;
CREATE INDEX op_after ON op (after) WHERE after IS NOT NULL;
CREATE INDEX job_undone ON job (undone) WHERE undone IS NOT NULL;
"""

_OUTGOING = """
-- The bytes of mail on its way out, apart from what a list of it shows:
-- data for the wire, frozen; copy for the Sent folder, NULL when none is kept.
CREATE TABLE outgoing (item INTEGER PRIMARY KEY REFERENCES outbox(id), data BLOB NOT NULL, copy BLOB);
INSERT INTO outgoing SELECT id, data, copy FROM outbox WHERE data <> x'';
ALTER TABLE outbox DROP COLUMN data;
ALTER TABLE outbox DROP COLUMN copy;
"""

# Half as many mergers of segments as FTS5 makes by itself: words come in many small transactions.
_MERGE = "INSERT INTO text (text, rank) VALUES ('automerge', 8);"

MIGRATIONS: tuple[str, ...] = (_FIRST, threads.TABLES, _UNDO, _OUTGOING, _MERGE)
# What fills new tables from old rows: migration number -> function, in the same transaction.
_FILLS: dict[int, Callable[[sqlite3.Connection], None]] = {2: threads.rebuild}


def migrate(db: sqlite3.Connection) -> None:
    """Bring the tables up to date, each step in one transaction; raises StoreError for a newer file."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the store was written by a newer agent (version {version}, this one knows {len(MIGRATIONS)});"
            " install that agent, or set AGENT_DATA to another folder"
        )
    for number in range(version, len(MIGRATIONS)):
        db.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have been quicker while we waited for the lock.
            if db.execute("PRAGMA user_version").fetchone()[0] == number:
                for statement in _statements(MIGRATIONS[number]):
                    db.execute(statement)
                if fill := _FILLS.get(number + 1):
                    fill(db)
                db.execute(f"PRAGMA user_version = {number + 1}")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


def _statements(script: str) -> list[str]:
    """Split a script; `executescript` would commit each statement by itself."""
    found, current = [], ""
    for line in script.splitlines():
        current += line + "\n"
        if sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    return found
