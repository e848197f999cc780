"""From bytes of the wire to what the store keeps: parse, hash, envelope. Runs on the in: threads."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from agent.mail.header import Envelope, read_header
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
    return received_as(fetched, *read(fetched.raw or b"", fetched.size))


def received_as(fetched: Fetched, envelope: Envelope, body: Body) -> Incoming:
    """Return a message that has been read already; the body may have come without the bytes."""
    if not body.raw and fetched.raw:
        body = msgspec.structs.replace(body, raw=fetched.raw)
    tags = join_tags(fetched.tags)
    return Incoming(fetched.uid, fetched.bits, tags, fetched.received, fetched.size, envelope, body)


def of_bytes(raw: bytes, *, uid: int | None, flags: int, tags: str, received: int, size: int) -> Incoming:
    """Return a message of ours or from a file; never raises: what is wrong becomes a defect."""
    return Incoming(uid, flags, tags, received, size, *read(raw, len(raw)))


def read(raw: bytes, size: int) -> tuple[Envelope, Body]:
    """Parse bytes, of which there should be `size`, into what the store keeps; never raises."""
    from agent.mail.parse import parse  # with all of MIME and HTML: not for who only lists

    parsed = parse(raw)
    digest, whole = hashlib.sha256(raw), len(raw) >= size
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
    return parsed.envelope, body
