"""Automatic replies against 75 cases of what Sieve's vacation does (RFC 5230, 5229, 6131, 3834)."""

from __future__ import annotations

import json
import re
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from agent.errors import CommandError
from agent.mail.address import Address, parse_addresses
from agent.mail.automatic import MIN_PERIOD_S, period_over, refusal, reply_recipient
from agent.mail.compose import Composition, automatic_reply, build, envelope_of
from agent.mail.header import header_fields, read_header
from tests.harness import corpora

CASES_FILE = corpora.CORPORA / "vacation-cases.json"
DAY = 86_400
NOW = 10**9

# Where we differ, and why.
DIFFERENT = {
    # Our handle defaults to the rule's name, not to a hash of the text (RFC 5230 section 4.2 leaves the
    # tracking open): editing an absence note must not answer everybody again.
    "dup-changed-reason-no-handle",
    # The one argument `every` stands for both, so they cannot contradict each other (RFC 6131 section 2).
    "seconds-and-days",
    # A site's setting; RFC 3834 section 4 sends to the return path, rewritten or not.
    "to-rewritten-envelope-ignored",
    # A site's setting; RFC 5230 section 5.1 and RFC 3834 section 3.3 want the null sender.
    "reply-sender-is-recipient",
    # A subject given in Python is text, not MIME (RFC 5230 section 4.3: UTF-8): it arrives as typed.
    "subject-encoded-word-setting",
    # There is no rejecting here; RFC 5230 section 4.7 forbids it beside a reply in Sieve scripts only.
    "with-reject",
    # A second reply in one run is no error here but a duplicate: same sender, same handle, same period.
    "twice-in-one-script",
}


def cases() -> list[Any]:
    if not CASES_FILE.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=corpora.why_missing(CASES_FILE.name) or ""))]
    found = json.loads(CASES_FILE.read_text())["cases"]
    return [pytest.param(case, id=case["id"]) for case in found]


def expand(text: str, config: dict[str, Any]) -> str:
    """What an f-string does in Python, Sieve does with variables."""
    return re.sub(r"\$\{(\w+)\}", lambda name: config.get("variables", {}).get(name[1], ""), text)


class Case:
    """One case, played as the gate plays it: refusal, period, then the reply."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case, self.config = case, case["config"]
        raw = "".join(f"{name}: {value}\r\n" for name, value in case["message"].items()).encode()
        self.envelope, self.headers = read_header(raw + b"\r\n"), header_fields(raw + b"\r\n")
        own = [self.config.get("user_email"), case["recipient"], *self.config.get("addresses", [])]
        if self.config.get("use_original_recipient"):
            own.append(case["original_recipient"])
        self.own = [Address("", addr) for addr in own if addr]

    def reply(self) -> Composition | None:
        refused = refusal(
            self.headers,
            own=[address.addr for address in self.own],
            return_path=self.case["envelope_from"],
            received=NOW,
            now=NOW,
            check_recipient=self.config.get("check_recipient", True),
        )
        return None if refused or not self.due() else self.written()

    def due(self) -> bool:
        to = reply_recipient(self.headers, self.case["envelope_from"])
        every = self.config.get("seconds")
        if every is None:
            every = max(self.config.get("days", 7) * DAY, MIN_PERIOD_S)
        handle = self.config.get("handle", "vacation")
        before = [
            NOW - prior["seconds_ago"]
            for prior in self.case.get("prior_replies", [])
            if to and prior["to"] == to.addr and prior["config"].get("handle", "vacation") == handle
        ]
        return period_over(max(before, default=None), NOW, every)

    def subject(self) -> str:
        subject = self.case["message"].get("Subject", "")
        if not subject:
            return str(self.config.get("default_subject", ""))
        template = self.config.get("subject_template", "")
        return expand(self.config.get("subject", ""), self.config) or template.replace("%{subject}", subject)

    def written(self) -> Composition:
        text = expand(self.config["reason"], self.config)
        html = text.partition("\r\n\r\n")[2] if self.config.get("mime") else ""
        from_ = None
        if "from" in self.config:
            decoded = read_header(f"From: {expand(self.config['from'], self.config)}\r\n\r\n".encode()).from_
            from_ = parse_addresses(decoded)[0]
        c = automatic_reply(
            self.envelope,
            "" if html else text,
            own=self.own,
            headers=self.headers,
            return_path=self.case["envelope_from"],
            subject=self.subject(),
            from_=from_,
            html=html,
        )
        c.message_id, c.date = "reply@example.org", float(NOW)
        return c


@pytest.mark.parametrize("case", cases())
def test_a_vacation_case_ends_as_expected(case: dict[str, Any]) -> None:
    if case["id"] in DIFFERENT:
        with pytest.raises(AssertionError):
            play(case)
    else:
        play(case)


def play(case: dict[str, Any]) -> None:
    expected, played = case["expected"], Case(case)
    if expected.get("error") == "compile":
        assert is_refused(played)
        return
    c = played.reply()
    assert (c is not None) == expected["reply"], expected["why"]
    if c is not None:
        check(c, expected)


def is_refused(played: Case) -> bool:
    try:
        build(played.written())
    except CommandError:
        return True
    return False


def check(c: Composition, expected: dict[str, Any]) -> None:
    data = build(c)
    message = BytesParser(policy=policy.default).parsebytes(data)
    sender, recipients = envelope_of(c)
    assert sender == expected.get("reply_envelope_from", "")
    assert recipients == (expected.get("reply_envelope_to", recipients[0]),)
    for name, wanted in expected["headers"].items():
        check_header(name, str(message[name] or ""), wanted, message, data)
    if "body_contains" in expected:
        body = message.get_body(("plain", "html"))
        assert body is not None
        assert expected["body_contains"] in body.get_content()


def check_header(name: str, value: str, wanted: dict[str, Any], message: EmailMessage, data: bytes) -> None:
    assert data.isascii()
    people = parse_addresses(value)
    facts = {
        "value": value.replace('"', ""),
        "decoded": value.replace('"', ""),
        "address": people[0].addr if people else "",
        "display_name": (people[0].name or None) if people else None,
        "present": bool(value),
        "wire_ascii_only": True,
        "valid_utf8": "\ufffd" not in value,
    }
    for key, want in wanted.items():
        if key in facts:
            assert facts[key] == (want.replace('"', "") if isinstance(want, str) else want)
    assert value.startswith(wanted.get("starts_with", ""))
    assert value.endswith(wanted.get("ends_with", ""))
    assert wanted.get("contains", "") in value
    assert "not_contains" not in wanted or wanted["not_contains"] not in value
    assert len(value) <= wanted.get("decoded_length_max", 10**6)
    assert max(map(len, data.split(b"\r\n"))) <= wanted.get("line_length_max", 998)
    if "contains_ids" in wanted:
        assert value.split() == wanted["contains_ids"]


def test_every_difference_belongs_to_a_case(corpora: Path) -> None:
    known = {case["id"] for case in json.loads((corpora / "vacation-cases.json").read_text())["cases"]}
    assert known >= set(DIFFERENT)
    assert len(known) == 75
