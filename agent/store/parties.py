"""Who stands in From, To, Cc, Bcc and List-Id: each text once, by number."""

from __future__ import annotations

import json
from collections.abc import Iterable

from agent.store import rows
from agent.store.db import Transaction

_KNOWN = "SELECT json_group_object(text, id) FROM party WHERE text IN (SELECT value FROM json_each(?))"
_COLUMNS = ("id", "text", "folded")


def numbers(tx: Transaction, texts: Iterable[str]) -> dict[str, int | None]:
    """Return the number of each text, adding those that are new; no text has none."""
    wanted = sorted({*texts} - {""})
    found: dict[str, int | None] = json.loads(tx.execute(_KNOWN, (rows.listed(wanted),)).fetchone()[0])
    new = [text for text in wanted if text not in found]
    if new:
        free = (tx.execute("SELECT max(id) FROM party").fetchone()[0] or 0) + 1
        rows.insert(
            tx, "party", _COLUMNS, [(n, text, text.casefold()) for n, text in enumerate(new, start=free)]
        )
        found.update((text, n) for n, text in enumerate(new, start=free))
    found[""] = None
    return found
