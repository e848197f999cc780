"""What SQL asks Python for: functions that every connection knows."""

from __future__ import annotations

import sqlite3

from agent.mail.conversation import base_subject
from agent.store.tags import common_tags, other_tags, with_tags


def register(connection: sqlite3.Connection) -> None:
    """Make the functions known to the SQL of a connection."""
    for function, arguments in ((with_tags, 3), (common_tags, 2), (other_tags, 2), (_base, 1)):
        connection.create_function(function.__name__.lstrip("_"), arguments, function, deterministic=True)


def _base(subject: str) -> str:
    # In capitals, so that `[` and `_` stand behind the letters: i;unicode-casemap, RFC 5051.
    return base_subject(subject)[0].upper()
