"""Plain text of mail: quoting it, format=flowed, signatures, the beginning of what somebody wrote. Pure, linear."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from agent.mail.address import parse_addresses
from agent.mail.header import Envelope

_SNIPPET = 200
# Characters looked at, and how many of them suffice unquoted: of the first, what an announcement may take too.
_SNIPPET_FROM = ((700, 450), (3_000, 1), (20_000, 0))
_ALL_QUOTED = 3_000  # characters of which a snippet is made when there are only quotations
_QUOTE_MARKS = (">", "|")
_COLONS = (":", "：")
_RULES = ("--", "__", "**")
# "On <date>, <name> wrote:" in the languages that mail clients write; the date tells it from prose.
_ATTRIBUTION = re.compile(
    r"(?=[^\n]{0,500}\d)[^\n]{1,500}?(?:wrote|writes|said|schrieb|geschrieben|écrit|escribi[óo]|ha scritto|scrisse"
    r"|escreveu|schreef|skrev|kirjoitti|napsala?(?:\(a\))?|napisała?(?:\(a\))?|пишет|написала?(?:\(а\))?|yazdı|写道"
    r"|のメール|作成)(?:\s?[:：]?\s*\Z|\s[^\n]{1,120}[:：]\s*\Z)"
)
_MAY_QUOTE = re.compile(r"\n\s{0,15}(?:[>|]|--|__|\*\*)")
_DIGIT = re.compile(r"\d")
_SAID = (
    *(
        "wrote",
        "writes",
        "said",
        "schrieb",
        "geschrieben",
        "écrit",
        "escribi",
        "ha scritto",
        "scrisse",
        "escreveu",
    ),
    *(
        "schreef",
        "skrev",
        "kirjoitti",
        "napsal",
        "napisał",
        "пишет",
        "написал",
        "yazd",
        "写道",
        "のメール",
        "作成",
    ),
)
_ORIGINAL = re.compile(
    r"\s*+(?:(?:-{4,}+|_{10,}+|\*{6,}+)\s*+\Z|(?:-{2,}+|_{5,}+|\*{3,}+)"
    r"\s?(?:original|forwarded|ursprüngliche|weitergeleitete|message|mensaje|messaggio)?"
    r"[^\n]{0,60}?(?:-{2,}+|_{5,}+|\*{3,}+)\s*+\Z)",
    re.IGNORECASE,
)
# The header lines that Outlook writes above what it quotes.
_HEADER_LINES = re.compile(
    r"\n\*?(?:From|Von|De|Från|Fra|Van|Da|Od|От|差出人|发件人|寄件者)\s?[:：][^\n]+\n"
    r"(?:\*?[^\n:：>]{2,20}[:：][^\n]*\n){2,8}",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"<[^<>\s]{1,100}@")
_SIGNATURE = re.compile(r"\n-- ?(?=\n|\Z)")
_LONGEST_SIGNATURE = 15  # lines; more below `-- ` is no signature but text
_PGP_FRAME = re.compile(
    r"-----BEGIN PGP SIGNED MESSAGE-----\n(?:Hash:[^\n]*\n|\n)*|-----BEGIN PGP SIGNATURE-----[\s\S]*"
)


def quote(text: str, attribution: str = "") -> str:
    """Return text quoted for a reply below its attribution, without the signature."""
    body = strip_signature(text).strip("\n")
    lines = [f">{line}" if line.startswith(">") else f"> {line}".rstrip() for line in body.split("\n")]
    return "\n".join([attribution, *lines] if attribution else lines) + "\n"


def attribution(envelope: Envelope, tz: tzinfo | None = None) -> str:
    """Return the line above a quotation: who wrote, and when in the given (else the local) time zone."""
    found = parse_addresses(envelope.from_) or parse_addresses(envelope.sender)
    who = (found[0].name or found[0].addr) if found else "somebody"
    try:
        at = None if envelope.date is None else datetime.fromtimestamp(envelope.date, tz)
    except (OverflowError, OSError, ValueError):
        at = None
    return f"{who} wrote:" if at is None else f"On {at:%Y-%m-%d %H:%M}, {who} wrote:"


def unflow(text: str, delsp: bool = False) -> str:
    """Return format=flowed text with its paragraphs on one line each (RFC 3676)."""
    result: list[str] = []
    paragraph: list[str] = []
    depth = 0
    for line in text.split("\n"):
        rest = line.lstrip(">")
        level = len(line) - len(rest)
        rest = rest.removeprefix(" ")
        if paragraph and (level != depth or rest == "-- "):
            result.append(_flowed(paragraph, depth))
            paragraph = []
        depth = level
        if rest.endswith(" ") and rest != "-- ":
            paragraph.append(rest[:-1] if delsp else rest)
            continue
        paragraph.append(rest)
        result.append(_flowed(paragraph, depth))
        paragraph = []
    if paragraph:
        result.append(_flowed(paragraph, depth))
    return "\n".join(result)


def _flowed(paragraph: list[str], depth: int) -> str:
    text = "".join(paragraph)
    if text != "-- ":
        text = text.rstrip(" ")
    return f"{'>' * depth} {text}".rstrip(" ") if depth else text


def split_signature(text: str) -> tuple[str, str]:
    """Return the text before the signature, and the signature (without its `-- ` line)."""
    last = None
    if "--" in text:
        for found in _SIGNATURE.finditer(f"\n{text}"):
            last = found
    if last is None or text.count("\n", last.end() - 1) > _LONGEST_SIGNATURE:
        return text, ""
    return text[: last.start()], text[last.end() - 1 :].strip("\n")


def strip_signature(text: str) -> str:
    """Return the text without the signature behind `-- `."""
    return split_signature(text)[0]


def signature_of(text: str) -> str:
    """Return the signature behind `-- `, empty when there is none."""
    return split_signature(text)[1]


def strip_quotes(text: str) -> str:
    """Return what the sender wrote: without quotations, the lines that announce them, and the signature."""
    lines: list[str] = []
    announced = False  # whether a quotation may have been announced by the last of the lines
    if found := _HEADER_LINES.search(f"\n{text}"):
        text = text[: found.start()]
    if "-----BEGIN PGP SIG" in text:
        text = _PGP_FRAME.sub("", text)
    text = strip_signature(text)
    if not _MAY_QUOTE.search(f"\n{text}") and not any(f"{colon}\n" in f"{text}\n" for colon in _COLONS):
        return text
    for line in text.split("\n"):
        if line[:4].lstrip()[:1] in _QUOTE_MARKS:
            announced = announced and _drop_announcement(lines)
        elif line[:16].lstrip()[:2] in _RULES and _ORIGINAL.match(line):
            break
        elif line[-1:] in _COLONS and _ADDRESS.search(line) and _ATTRIBUTION.match(line.lower()):
            break  # a quotation without marks
        else:
            lines.append(line)
            announced = True
    return "\n".join(lines)


def _drop_announcement(lines: list[str]) -> bool:
    """Take `On ... wrote:`, on one line or broken over up to three, off the end; tell whether it was there."""
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    near = "\n".join(lines[max(0, end - 3) : end]).lower()
    if not _DIGIT.search(near) or not any(word in near for word in _SAID):
        return False
    words = near.split("\n")
    for count in range(1, len(words) + 1):
        if _ATTRIBUTION.match(" ".join(words[-count:])):
            del lines[end - count :]
            return True
    return False


def snippet_of(text: str) -> str:
    """Return the beginning of what the sender wrote in one line of at most 200 characters."""
    words = ""
    for size, enough in _SNIPPET_FROM:
        words = " ".join(strip_quotes(text[:size]).split())
        if len(words) >= enough or len(text) <= size:
            break
    words = words or " ".join(text[:_ALL_QUOTED].split())
    return words if len(words) <= _SNIPPET else words[: _SNIPPET - 1] + "…"
