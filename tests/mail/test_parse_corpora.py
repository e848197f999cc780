"""Real messages of other projects: nothing raises or takes long, and what they expect mostly comes out."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.mail.address import parse_addresses
from agent.mail.html import render
from agent.mail.parse import parse
from agent.mail.safe import safe, safe_block, safe_filename
from tests.harness import corpora

pytestmark = pytest.mark.skipif(corpora.why_missing() is not None, reason=str(corpora.why_missing()))

NO_MAIL = {
    ".json",
    ".xml",
    ".gz",
    ".zip",
    ".png",
    ".jpg",
    ".gif",
    ".pdf",
    ".md",
    ".ics",
    ".ron",
    ".yml",
    ".html",
}
LARGEST = 4 << 20
SHARES = 4  # the files are read in this many tests, for parallel runs


def files() -> Iterator[Path]:
    for path in sorted(corpora.CORPORA.rglob("*")):
        if (
            path.is_file()
            and path.suffix not in NO_MAIL
            and path.name != "_SOURCE.txt"
            and "_LICENCE" not in path.parts
        ):
            yield path


@pytest.mark.parametrize("share", range(SHARES))
def test_every_message_is_read_quickly_and_shown_without_a_control_character(share: int) -> None:
    for path in list(files())[share::SHARES]:
        raw = path.read_bytes()[:LARGEST]
        start = time.process_time()
        found = parse(raw)
        index = found.snippet + found.index_text + found.html
        assert time.process_time() - start < 2, path
        for text in (index, *found.links, *(value for _, value in found.headers)):
            text.encode()
        assert len(found.snippet) <= 200, path
        assert all(isinstance(part.bytes, bytes) and isinstance(part.text, str) for part in found.parts), path
        envelope = found.envelope
        for line in (envelope.subject, envelope.from_, envelope.to, envelope.message_id, envelope.list_id):
            assert "\n" not in line, path
            assert is_harmless(safe(line)), path
        assert is_harmless(safe_block(found.text[:20_000]).replace("\n", "")), path
        for part in found.attachments:
            assert "/" not in safe_filename(part.name), path
        if found.html:
            for shown in render(found.html[:100_000], 78).lines:
                assert is_harmless("".join(text for _, text in shown)), path


def is_harmless(text: str) -> bool:
    return not any(char < " " or "\x7f" <= char <= "\x9f" or "\u202a" <= char <= "\u202e" for char in text)


def one_line(text: str) -> str:
    return " ".join(text.split())


class Score:
    """How often a field is what somebody else expects."""

    def __init__(self) -> None:
        self.good: Counter[str] = Counter()
        self.all: Counter[str] = Counter()

    def add(self, field: str, found: object, expected: object) -> None:
        self.all[field] += 1
        self.good[field] += found == expected

    def demand(self, **least: float) -> None:
        found = {field: self.good[field] / self.all[field] for field in self.all}
        low = {
            field: f"{found[field]:.1%} < {share:.0%}"
            for field, share in least.items()
            if found[field] < share
        }
        assert not low, low


def mailboxes(text: str) -> list[tuple[str, str]]:
    return [(address.name, address.addr.lower()) for address in parse_addresses(text)]


@pytest.mark.skipif(corpora.why_missing("imap_tools") is not None, reason="no such corpus")
def test_fields_are_what_imap_tools_expects() -> None:
    folder = corpora.CORPORA / "imap_tools"
    score = Score()
    for name, expected in json.loads((folder / "EXPECTED.json").read_text()).items():
        found = parse((folder / name).read_bytes())
        score.add("subject", one_line(found.envelope.subject), one_line(expected["subject"]))
        for field in ("to", "cc", "bcc", "reply_to"):
            wanted = [(one_line(v["name"]), v["email"].lower()) for v in expected[f"{field}_values"] or []]
            score.add("addresses", mailboxes(getattr(found.envelope, field)), wanted)
        if expected["text"]:
            score.add("text", one_line(found.text), one_line(expected["text"]))
        names = [part["filename"] for part in expected["attachments"]]
        score.add("attachments", sorted(part.name for part in found.attachments), sorted(names))
        contents = {part.name: part.bytes for part in found.parts}
        for part in expected["attachments"]:
            if part["filename"] and isinstance(part["payload"], dict):
                data = base64.b64decode(part["payload"]["__bytes_b64__"])
                score.add("content", lines_of(contents.get(part["filename"], b"")), lines_of(data))
    # It lists detached signatures as attachments and joins texts of forwarded messages; we do not.
    score.demand(subject=0.96, addresses=0.97, text=0.85, attachments=0.9, content=1.0)


def lines_of(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").strip()


@pytest.mark.skipif(corpora.why_missing("stalwart-mail-parser") is not None, reason="no such corpus")
def test_fields_are_what_stalwart_expects() -> None:
    score = Score()
    for table in sorted((corpora.CORPORA / "stalwart-mail-parser" / "eml").rglob("*.json")):
        message = table.with_suffix(".eml")
        expected = json.loads(table.read_text())
        if (
            table.name.endswith(".crlf.json")
            or not message.exists()
            or not expected
            or not expected.get("parts")
        ):
            continue
        found = parse(message.read_bytes())
        fields = {
            field["name"]: field["value"]
            for field in expected["parts"][0]["headers"]
            if isinstance(field["name"], str)
        }
        if "Text" in fields.get("subject", ()):
            score.add("subject", one_line(found.envelope.subject), one_line(fields["subject"]["Text"]))
        for name, own in (("from", "from_"), ("to", "to"), ("cc", "cc")):
            if fields.get(name) not in (None, "Empty"):
                score.add(
                    "addresses", mailboxes(getattr(found.envelope, own)), stalwart_mailboxes(fields[name])
                )
        bodies = [expected["parts"][n]["body"] for n in expected["text_body"]]
        if bodies and all("Text" in body for body in bodies):
            score.add("text", one_line(found.text), one_line(" ".join(body["Text"] for body in bodies)))
        kinds = [stalwart_type(part) for part in expected["parts"]]
        own_kinds = [part.type for part in found.parts if ".TEXT" not in part.number]
        score.add("types", sorted(own_kinds), sorted(kinds))
    # A third of its messages are broken on purpose; it gives up octets that we can still read.
    score.demand(subject=0.93, addresses=0.9, text=0.75, types=0.75)


def stalwart_mailboxes(value: Any) -> list[tuple[str, str]]:
    value = value.get("Address", value) if isinstance(value, dict) else {}
    groups = [value["Group"]] if "Group" in value else value.get("GroupList", [])
    listed = value.get("List") or [each for group in groups for each in group["addresses"]] or [value]
    return [
        (one_line(each.get("name") or ""), (each.get("address") or "").lower()) for each in listed if each
    ]


def stalwart_type(part: Any) -> str:
    for field in part["headers"]:
        if field["name"] == "content_type" and "ContentType" in field["value"]:
            kind = field["value"]["ContentType"]
            return f"{kind['c_type']}/{kind['c_subtype'] or ''}".lower()
    return "text/plain"
