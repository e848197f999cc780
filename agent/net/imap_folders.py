"""Folders as IMAP names and marks them: modified UTF-7, SPECIAL-USE roles, well-known names. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from imapclient.imap_utf7 import decode, encode

from agent.net.base import FolderInfo
from agent.net.imap_syntax import Value, values
from agent.net.wire import Response

_ROLE_BY_MARK = {
    "\\sent": "sent",
    "\\drafts": "drafts",
    "\\trash": "trash",
    "\\archive": "archive",
    "\\junk": "junk",
    "\\spam": "junk",
    "\\all": "all",
    "\\allmail": "all",
    "\\flagged": "flagged",
}
_ROLE_BY_NAME = {
    "sent": "sent",
    "sent items": "sent",
    "sent messages": "sent",
    "sent mail": "sent",
    "drafts": "drafts",
    "draft": "drafts",
    "trash": "trash",
    "deleted items": "trash",
    "deleted messages": "trash",
    "bin": "trash",
    "archive": "archive",
    "archives": "archive",
    "junk": "junk",
    "junk e-mail": "junk",
    "junk email": "junk",
    "spam": "junk",
    "bulk mail": "junk",
}
_UNSELECTABLE = {"\\noselect", "\\nonexistent"}
_UNUSABLE = re.compile(r"[\r\n\0]")


def decoded(raw: bytes) -> str:
    """Return the name of a folder; names that are no modified UTF-7 are read as UTF-8."""
    try:
        name: str = decode(raw)
        if encode(name) == raw:
            return name
    except (ValueError, IndexError):
        pass
    return raw.decode("utf-8", "backslashreplace")


def encoded(name: str) -> bytes:
    """Return the octets of a folder's name on the wire (RFC 3501 section 5.1.3)."""
    raw: bytes = encode(name)
    return raw


def listed(responses: Iterable[Response]) -> tuple[list[FolderInfo], dict[str, bytes]]:
    """Return the folders of a LIST answer, and the wire octets of each name."""
    folders: dict[str, FolderInfo] = {}
    raw_names: dict[str, bytes] = {}
    for response in responses:
        if response.kind != "LIST":
            continue
        read = values(response.parts)
        if len(read) < 3 or not isinstance(read[0], list):
            continue
        raw = read[2] if isinstance(read[2], bytes) else b"NIL"
        name = decoded(raw)
        if not name or _UNUSABLE.search(name):
            continue  # cannot be named in a command
        if name.upper() == "INBOX":
            name = "INBOX"
        folders[name] = _info(name, read[1], read[0])
        raw_names[name] = raw
    return list(folders.values()), raw_names


def _info(name: str, delimiter: Value, marks: list[Value]) -> FolderInfo:
    words = {mark.decode("ascii", "replace").lower() for mark in marks if isinstance(mark, bytes)}
    role = next((role for mark, role in _ROLE_BY_MARK.items() if mark in words), "")
    return FolderInfo(
        name,
        delimiter.decode("ascii", "replace") if isinstance(delimiter, bytes) and delimiter else None,
        "inbox" if name == "INBOX" else role,
        not words & _UNSELECTABLE,
    )


def with_roles(folders: list[FolderInfo], marked: bool) -> list[FolderInfo]:
    """Give each role to one folder at most, by name where the server does not mark roles itself."""
    marked = marked or any(folder.role not in ("", "inbox") for folder in folders)
    taken: set[str] = set()
    result = []
    for folder in sorted(folders, key=lambda f: (f.name.count(f.delimiter or "\0"), len(f.name))):
        role = folder.role if marked or folder.role else _by_name(folder)
        if role in taken or not folder.selectable:
            role = ""
        taken.add(role)
        result.append(replace(folder, role=role))
    order = {folder.name: n for n, folder in enumerate(folders)}
    return sorted(result, key=lambda folder: order[folder.name])


def _by_name(folder: FolderInfo) -> str:
    """Return the role of a well-known name at the top, or directly below INBOX or [Gmail]."""
    path = folder.name.split(folder.delimiter) if folder.delimiter else [folder.name]
    if len(path) == 2 and path[0].lower() in ("inbox", "[gmail]", "[google mail]"):
        path = path[1:]
    return _ROLE_BY_NAME.get(path[0].lower(), "") if len(path) == 1 else ""
