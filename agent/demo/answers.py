"""The robot that answers for everybody outside the demo, so that one sees mail arrive there."""

from __future__ import annotations

from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP
from email.utils import formatdate

from agent.demo.submission import Delivered

_QUOTED_LINES = 12


def robot_answer(delivered: Delivered, recipient: str, now: float) -> bytes | None:
    """Return the answer to a delivered message in the name of `recipient`.

    None for what a robot leaves alone (RFC 3834): no sender, automatic, from a list, in bulk.
    """
    mail = BytesParser(EmailMessage, policy=SMTP).parsebytes(delivered.raw)
    if not delivered.sender or _is_automatic(mail):
        return None
    subject = str(mail.get("Subject", "")).strip()
    message_id = str(mail.get("Message-ID", "")).strip()
    answer = EmailMessage(policy=SMTP)
    answer["Return-Path"] = "<>"
    answer["From"] = recipient
    answer["To"] = delivered.sender
    answer["Subject"] = subject if subject.lower().startswith("re:") else f"Re: {subject}".rstrip()
    answer["Date"] = formatdate(now)
    answer["Message-ID"] = f"<{now:.6f}.robot@{recipient.rpartition('@')[2]}>"
    if message_id:
        answer["In-Reply-To"] = message_id
        answer["References"] = message_id
    answer["Auto-Submitted"] = "auto-replied"
    answer["X-Auto-Response-Suppress"] = "All"
    quoted = "".join(f"> {line}\n" for line in _text(mail).splitlines()[:_QUOTED_LINES])
    answer.set_content(
        f"Your message has arrived. ({recipient} is nobody in particular: this is the robot\n"
        f"of the demo, which answers for everybody outside.)\n\nYou wrote:\n{quoted}"
    )
    return answer.as_bytes()


def _is_automatic(mail: EmailMessage) -> bool:
    submitted = str(mail.get("Auto-Submitted", "no")).strip().lower()
    precedence = str(mail.get("Precedence", "")).strip().lower()
    return submitted != "no" or "List-Id" in mail or precedence in ("bulk", "junk", "list")


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    content = body.get_payload(decode=True) if body is not None else b""
    return content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
