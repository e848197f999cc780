"""May this message be answered automatically? The refusals of RFC 3834, RFC 5230 and Pigeonhole. Pure.

The rules lean to silence: an answer that should not have gone out annoys people or starts a
loop, one that is missing can be written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from agent.mail.address import Address, normal_address, parse_addresses

MAX_AGE_S = 3 * 86400
MIN_PERIOD_S = 86400

Headers = Sequence[tuple[str, str]]

# Folders whose mail is never answered, by role.
_SILENT_ROLES = {
    "junk": "it is junk",
    "trash": "it is in the trash",
    "sent": "we sent it",
    "drafts": "it is a draft",
}

_RECIPIENTS = ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")
# Besides every List-* (RFC 2369, 2919): what lists said before or say instead.
_LIST_FIELDS = {
    *(
        "mailing-list",
        "x-mailing-list",
        "x-beenthere",
        "x-mailman-version",
        "x-listname",
        "x-list-id",
        "x-loop",
    ),
    *("x-ml-name", "x-mlserver", "x-listserver", "x-listmember", "x-campaign", "x-campaignid", "feedback-id"),
}
# The presence of one of these is enough.
_MACHINE_FIELDS = {
    *("x-failed-recipients", "feedback-type", "x-fc-machinegenerated", "x-cron-env", "x-autoreply-from"),
    *("x-ms-exchange-inbox-rules-loop", "x-mail-autoreply", "x-vacation", "x-loop"),
    *("x-rt-loop-prevention", "x-otrs-loop", "x-otobo-loop", "x-znuny-loop"),
}
_MACHINE_NAME = re.compile(r"x-auto-?(?!response-suppress$)(repl|respon|generat|notif|answer)")
_PRECEDENCE = {"bulk", "junk", "list", "auto_reply", "auto-reply"}
_SUPPRESS = {"all", "oof", "autoreply"}
_REPORT = re.compile(
    r"multipart/report\b|message/(delivery-status|disposition-notification|feedback-report)\b"
)

# Subjects of bounces and of automatic answers; a reply to such a one (`Re: ...`) is a person's.
_TELLTALE = re.compile(
    r"(\[[^\]]*\])?\W*(returned (e-?)?mail|undeliver(ed|able)|non-?deliver|delivery (notif|fail|has failed)"
    r"|delivery status( notif|$)|(preview\W+)?report domain:|(e-?)?mail feedback report"
    r"|((e-?)?mail|message) (delivery|transport) (stat|fail|has failed|problem|err|warn|system|notif|report)"
    r"|(your )?((e-?)?mail|message) (could not be|was not|not) (delivered|sent)|permanent delivery|mail error"
    r"|((e-?)?mail|message) (system error|returned|failed|delayed)|fail(ure|ed) (notice|delivery)"
    r"|warning(:|--) ?(could not send|message)|complaint about message|abuse report|spam report"
    r"|unzustellbar|nicht zustellbar|auto: |auto(matic|mated)?[ -]?re(ply|spon[ds]e?)|automatic notification"
    r"|out[- ]of[- ](the[- ])?office|auto(matische)?[ -]?antwort|abwesenheit|r[ée]ponse automatique"
    r"|respuesta autom[aá]tica|risposta automatica|resposta autom[aá]tica|automatyczna odpowied"
    r"|automatisch antwoord|autosvar|автоответ|自動(返信|応答|回覆)|自动(回复|答复)|자동 ?응답)"
)

# Local parts that belong to programs (RFC 3834 section 2, RFC 5230 section 4.6).
_ROBOT = re.compile(
    r"(mailer[-_.]?daemon|mdaemon|listserv|majordomo|listproc|mailman|post[-_.]?master|mailer|daemon|nobody|uucp"
    r"|owner-.*|.*-(request|owner|bounces?|errors?|return)"
    r"|(.*[-_.+])?(no|not|dont|do-?not|do[._]not|donot|never)[-_.]?(reply|respond|response|answer)([-_.+=0-9].*)?"
    r"|(.*[-_.])?(auto|automatic|automated)[-_.]?(reply|respon[ds]e?r?|answer|mailer)([-_.+].*)?"
    r"|(mail)?bounces?([-_.+=0-9].*)?|.*[-_.+=]bounces?([-_.+=].*)?|.*[-_]delivery[-_]?(system|failure))",
)


def refusal(
    headers: Headers,
    *,
    own: Collection[str],
    return_path: str | None = None,
    folder_role: str = "",
    received: float,
    now: float,
    max_age: float = MAX_AGE_S,
    check_recipient: bool = True,
) -> str | None:
    """Return in words why this message must not be answered automatically, None if it may be.

    `headers` are all decoded fields, `own` all addresses of the account, `return_path` the envelope
    sender where it is known ("" is the null sender), else the Return-Path field counts. Times are
    epoch seconds. `check_recipient` off drops the demand that an own address is among the recipients.
    """
    fields = [(name.lower(), value) for name, value in headers]
    path = _return_path(fields, return_path)
    mine = {mailbox(address) for address in own}
    return (
        _place(folder_role, received, now, max_age)
        or _machine(fields)
        or _bulk(fields)
        or _sender(fields, path, mine)
        or _subject(fields)
        or (_not_for(fields, mine) if check_recipient else None)
    )


def reply_recipient(headers: Headers, return_path: str | None = None) -> Address | None:
    """Return whom an automatic reply goes to: the return path, else Sender or From; None if there is nobody.

    RFC 3834 section 4 and RFC 5230 section 5.5: never Reply-To; the name is the one that Sender or
    From gives to that very address.
    """
    fields = [(name.lower(), value) for name, value in headers]
    people = [person for name in ("sender", "from") for person in _people(fields, (name,))]
    path = _return_path(fields, return_path)
    if path is None:
        return people[0] if people else None
    target = next(iter(parse_addresses(path)), None)
    if target is None or not target.domain:
        return None
    named = (person for person in people if person.addr.lower() == target.addr.lower())
    return next(named, Address("", target.addr))


def period_over(last: float | None, now: float, every_s: float) -> bool:
    """Tell whether a sender who was answered at `last` may be answered again (RFC 5230 section 4.1)."""
    return last is None or now - last >= every_s


def mailbox(address: str) -> str:
    """Bring an address to the form in which two are the same mailbox: no case, no +detail."""
    local, _, domain = normal_address(address).rpartition("@")
    return f"{local.partition('+')[0] or local}@{domain}"


def _return_path(fields: Headers, known: str | None) -> str | None:
    """Return the envelope sender without brackets; None when nobody recorded it."""
    if known is None:
        known = next((value for name, value in fields if name == "return-path"), None)
    return None if known is None else known.strip().removeprefix("<").removesuffix(">").strip()


def _place(role: str, received: float, now: float, max_age: float) -> str | None:
    if role in _SILENT_ROLES:
        return _SILENT_ROLES[role]
    if now - received > max_age:
        return f"it came {(now - received) / 86400:.0f} days ago"
    return None


def _machine(fields: Headers) -> str | None:
    """Refuse what says that a program wrote it, or that it wants no automatic answer."""
    for name, value in fields:
        words = value.lower().split(";")[0].strip()
        if name == "auto-submitted" and re.sub(r"\([^()]*\)", "", words).strip() != "no":
            return f"it was sent automatically (Auto-Submitted: {words})"
        if name == "x-auto-response-suppress" and _SUPPRESS & set(re.split(r"[\s,;]+", value.lower())):
            return f"its sender wants no automatic answer (X-Auto-Response-Suppress: {value.strip()})"
        if name in _MACHINE_FIELDS or _MACHINE_NAME.match(name):
            return f"it was sent automatically ({name})"
        if name == "content-type" and _REPORT.match(value.lower().strip()):
            return f"it is a report ({words})"
    return None


def _bulk(fields: Headers) -> str | None:
    for name, value in fields:
        if name.startswith("list-") or name in _LIST_FIELDS:
            return f"it came through a mailing list ({name})"
        if name in ("precedence", "x-precedence") and _PRECEDENCE & set(value.lower().split()):
            return f"it is bulk mail (Precedence: {value.strip()})"
        if name == "x-spam-flag" and value.strip().lower() == "yes":
            return "the server takes it for spam"
    return None


def _sender(fields: Headers, path: str | None, mine: set[str]) -> str | None:
    """Refuse senders that are nobody, a program, or ourselves."""
    if path == "" or path == "<>":
        return "it has no return address (null sender)"
    senders = [person.addr for person in _people(fields, ("from", "sender", "resent-from"))]
    if path is not None:
        senders.append(path)
    for address in senders:
        local = address.rpartition("@")[0] or address
        if _ROBOT.fullmatch(local.lower()[:320]):
            return f"it was sent by a program ({address})"
        if mailbox(address) in mine:
            return f"it was sent by ourselves ({address})"
    if path is not None and any(f"{local}={domain}" in path.lower() for local, _, domain in _split(mine)):
        return f"it is bulk mail: the return address {path} names the recipient"
    if reply_recipient(fields, path) is None:
        return "it has no usable return address"
    return None


def _subject(fields: Headers) -> str | None:
    """Refuse what only its subject gives away: programs that know no RFC."""
    for name, value in fields:
        if name == "subject" and _TELLTALE.match(value.lower()):
            return f"its subject is that of an automatic message ({value.strip()[:60]})"
    return None


def _not_for(fields: Headers, mine: set[str]) -> str | None:
    if any(mailbox(person.addr) in mine for person in _people(fields, _RECIPIENTS)):
        return None
    return "none of our addresses is among its recipients"


def _people(fields: Headers, names: Collection[str]) -> Iterable[Address]:
    """Yield the usable addresses of some fields."""
    for name, value in fields:
        if name in names:
            yield from (person for person in parse_addresses(value) if person.domain)


def _split(addresses: Iterable[str]) -> list[tuple[str, str, str]]:
    return [address.rpartition("@") for address in addresses]
