"""What a server said, fit to be quoted in an error: one line, no control characters, not too long.

The text stays untrusted; the screen sanitises it again.
"""

from __future__ import annotations

import re

from agent.errors import Refused

_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
_CODE = re.compile(r"\[([A-Z0-9-]+)")
_PASSING = {"UNAVAILABLE", "INUSE", "SERVERBUG", "LIMIT", "EXPUNGEISSUED", "NOTSAVED"}


def said(text: bytes | str, limit: int = 300) -> str:
    """Return the text of a server on one line, without control characters, cut at `limit`."""
    if isinstance(text, bytes):
        text = text[: 4 * limit].decode("utf-8", "replace")
    text = " ".join(_UNFIT.sub(" ", text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def quoted(text: bytes | str) -> str:
    """Return the text as a labelled quotation for the end of an error message."""
    words = said(text)
    return f"the server says: {words}" if words else "the server gives no reason"


def code_of(text: bytes | str) -> str:
    """Return the response code such as NONEXISTENT (RFC 5530) that a text begins with, or nothing."""
    match = _CODE.match(said(text, 200))
    return match[1] if match else ""


def refusal(what: str, text: bytes | str) -> Refused:
    """Return the error for a NO or BAD to `what`; codes of RFC 5530 tell whether it may pass."""
    return Refused(f"{what}: {quoted(text)}", permanent=code_of(text) not in _PASSING)
