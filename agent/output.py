"""What `agent search` and `agent show` print: lines for people, JSON for programs, safe in a terminal."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

from agent.core.message import Message
from agent.mail.safe import fit, safe, safe_block


class Shown(io.TextIOBase):
    """A text stream to a terminal that lets nothing of a sender command it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Write text with its control characters made visible."""
        self._out.write(safe_block(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream behind."""
        self._out.flush()

    def isatty(self) -> bool:
        """Tell that this is a terminal."""
        return True


@contextmanager
def shown_safely() -> Iterator[None]:
    """Make what the block prints safe where it goes to a terminal; into a pipe it goes as it is."""
    if not sys.stdout.isatty():
        yield
        return
    with redirect_stdout(Shown(sys.stdout)):
        yield


def fields(message: Message) -> dict[str, Any]:
    """Return what a program gets of a message; the names are a contract."""
    account, folder = message.account, message.folder
    return {
        "id": message.id,
        "message_id": message.message_id,
        "thread": message.thread_id,
        "account": account.name if account else None,
        "folder": folder.name if folder else None,
        "date": message.date.isoformat(),
        "from": str(message.from_),
        "to": [str(address) for address in message.to],
        "cc": [str(address) for address in message.cc],
        "subject": message.subject,
        "flags": list(message.flags),
        "tags": list(message.tags),
        "size": message.size,
        "snippet": message.snippet,
    }


def write_list(messages: Sequence[Message], out: TextIO, *, as_json: bool) -> None:
    """Print messages, one a line, or as one JSON array."""
    if as_json:
        json.dump([fields(message) for message in messages], out, indent=1)
        out.write("\n")
        return
    width = shutil.get_terminal_size((100, 24)).columns if out.isatty() else 10_000
    for message in messages:
        line = f"{message.id:>7} {message._line()}"
        out.write((fit(line, width).rstrip() if out.isatty() else line) + "\n")


def write_message(message: Message, out: TextIO, *, raw: bool, as_json: bool) -> None:
    """Print one message."""
    if raw:
        out.flush()
        if out.isatty():
            out.write(safe_block(message.raw.decode("utf-8", "backslashreplace")) + "\n")
        else:
            out.buffer.write(message.raw)
            out.buffer.flush()
        return
    if as_json:
        parts = [{"name": part.name, "type": part.type, "size": part.size} for part in message.attachments]
        json.dump({**fields(message), "text": message.text, "attachments": parts}, out, indent=1)
        out.write("\n")
        return
    for name, people in (("From", [message.from_]), ("To", message.to), ("Cc", message.cc)):
        if people:
            out.write(f"{name}: {safe(', '.join(map(str, people)))}\n")
    out.write(f"Date: {message.date:%a, %d %b %Y %H:%M %z}\nSubject: {safe(message.subject)}\n\n")
    out.write(safe_block(message.text).rstrip() + "\n")
    for part in message.attachments:
        out.write(f"[{safe(part.name or 'attachment')}, {safe(part.type)}, {part.size} octets]\n")
