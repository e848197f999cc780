"""The local store: one SQLite file, one writer thread per process; the only importer of sqlite3."""
