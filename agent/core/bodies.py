"""From bytes of the wire to what the store keeps: parse, hash, envelope. Runs on the in: threads."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from agent.mail.header import read_header
from agent.store.contents import Body, Incoming
from agent.store.messages import join_tags

if TYPE_CHECKING:
    from agent.net.base import Fetched

# An arrival larger than this is brought here up to this many octets; the rest when it is opened.
LARGE = 1 << 20


def listed(fetched: Fetched) -> Incoming:
    """Return a listed message: its envelope only."""
    return Incoming(
        fetched.uid,
        fetched.bits,
        join_tags(fetched.tags),
        fetched.received,
        fetched.size,
        read_header(fetched.header or b""),
    )


def received(fetched: Fetched) -> Incoming:
    """Return a message with its bytes, or with the beginning of them when it is large."""
    raw = fetched.raw or b""
    return of_bytes(
        raw,
        uid=fetched.uid,
        flags=fetched.bits,
        tags=join_tags(fetched.tags),
        received=fetched.received,
        size=fetched.size,
        whole=len(raw) >= fetched.size,
    )


def of_bytes(
    raw: bytes, *, uid: int | None, flags: int, tags: str, received: int, size: int, whole: bool = True
) -> Incoming:
    """Parse bytes into what the store keeps; never raises: what is wrong becomes a defect."""
    from agent.mail.parse import parse  # with all of MIME and HTML: not for who only lists

    parsed = parse(raw)
    digest = hashlib.sha256(raw)
    if not whole:
        digest.update(b"%d" % size)
    body = Body(
        hash=digest.hexdigest(),
        raw=raw,
        traits=parsed.traits,
        snippet=parsed.snippet,
        text=parsed.index_text,
        files=tuple(part.name for part in parsed.attachments),
        defects=tuple(parsed.defects),
        whole=whole,
    )
    return Incoming(uid, flags, tags, received, size, parsed.envelope, body)
