"""The transport under imapclient: whole responses in order, every argument guarded, nothing logged.

imaplib keeps tags, states and SASL; reading and writing are ours. All private hooks of imaplib and
imapclient are used in this module only: `open`, `send`, `shutdown`, `starttls`, `_command`,
`_get_response`, `_append_untagged`, `_new_tag`, `_log`, `_create_IMAP4`, `_raw_command`.
"""

from __future__ import annotations

import contextlib
import imaplib
import re
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from imapclient import IMAPClient
from imapclient.imapclient import _is8bit  # decides, as imapclient does, what goes out as a literal

from agent.errors import CommandError, NetworkError, TLSError
from agent.net import tls
from agent.net.base import Server
from agent.net.said import quoted
from agent.net.stream import Stream

_FORBIDDEN = re.compile(r"[\r\n\0]")
_FORBIDDEN_BYTES = re.compile(rb"[\r\n\0]")
_LITERAL = re.compile(rb"(.*?)~?\{(\d{1,10})\}\Z", re.DOTALL)
_NONSYNC_LIMIT = 1 << 16  # larger literals wait for the server's consent, which may be a NO
_MAX_ANSWER = 64 << 20
_STATUS = frozenset(("OK", "NO", "BAD", "BYE", "PREAUTH"))


@dataclass(frozen=True, slots=True)
class Response:
    """One untagged response: `* number kind parts`, where the parts are text, literal, text, …"""

    kind: str
    number: int
    parts: Sequence[bytes]

    @property
    def text(self) -> bytes:
        """The text, without literals."""
        return b"".join(self.parts[::2])


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a command: status OK, NO or BAD, the text, and the untagged responses before it."""

    status: str
    text: bytes
    responses: tuple[Response, ...] = ()


def guard(argument: object) -> None:
    """Raise CommandError for an argument with CR, LF or NUL: it would end the command (CWE-77)."""
    if isinstance(argument, (bytes, bytearray)):
        bad = _FORBIDDEN_BYTES.search(argument) is not None
    else:
        bad = isinstance(argument, str) and _FORBIDDEN.search(argument) is not None
    if bad:
        raise CommandError(f"line break or NUL in {argument!r:.80}: refused, it would begin another command")


def quote(text: str) -> str | bytes:
    """Return user text as an IMAP string: quoted where that is allowed, else as bytes for a literal."""
    if text.isascii() and not _FORBIDDEN.search(text) and len(text) < 1000:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text.encode("utf-8", "surrogatepass")


class Wire(imaplib.IMAP4):
    """imaplib on our Stream. Use `run`, or `submit` and `responses` to read while it arrives."""

    def __init__(
        self,
        server: Server,
        handshakes: tls.Handshakes,
        begun: Callable[[Stream], None],
        *,
        connect_s: float,
        read_s: float,
    ) -> None:
        self.server = server
        self._handshakes = handshakes
        self._begun = begun
        self._limits = {"connect_s": connect_s, "read_s": read_s}
        self._early: list[Response] = []
        self._ended: dict[bytes, Answer] = {}
        self.reading: Generator[Any, None, None] | None = None  # the rows of a FETCH under way
        super().__init__(server.host, server.port)

    # Hooks of imaplib

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        """Connect, with TLS from the first octet unless the configuration says otherwise."""
        if self.server.security != "none":
            self._handshakes.context(self.server)  # a ca file that is none is told before we connect
        self.host, self.port = self.server.host, self.server.port
        self.stream = Stream(self.server, begun=self._begun, **self._limits)
        if self.server.security == "tls":
            self.stream.secure(self._handshakes)
        elif self.server.security == "none":
            try:
                tls.ensure_may_be_plain(self.server, self.stream.sock)
            except TLSError:
                self.stream.close()
                raise
        self.sock: socket.socket = self.stream.sock

    def send(self, data: Any) -> None:
        """Send octets."""
        self.stream.send(data)

    def shutdown(self) -> None:
        """Close the socket."""
        self.stream.close()

    def starttls(self, ssl_context: object = None) -> Any:
        """Turn TLS on; whatever the server said before is forgotten (RFC 9051 section 6.2.1)."""
        if "STARTTLS" not in self.capabilities:
            raise self.abandoned("the server does not offer STARTTLS, which is configured")
        answer = self.run("STARTTLS")
        if answer.status != "OK":
            raise self.abandoned(f"the server refuses STARTTLS ({quoted(answer.text)})")
        if self.stream.position < len(self.stream.buffer):
            raise self.abandoned("text was slipped in after the answer to STARTTLS")
        self.stream.secure(self._handshakes)
        self.sock = self.stream.sock
        self._tls_established = True
        self.untagged_responses: dict[str, list[Any]] = {}
        self._early.clear()
        self._get_capabilities()
        return answer.status, [answer.text]

    def abandoned(self, why: str) -> TLSError:
        """Close and return the error for a connection that cannot be secured."""
        self.stream.close()
        return TLSError(f"{self.server}: {why}; nothing secret was sent")

    def _command(self, name: str, *args: Any) -> bytes:
        for argument in args:
            guard(argument)
        return super()._command(name, *args)  # type: ignore[misc, no-any-return]  # not in typeshed

    def _get_response(self) -> bytes | None:
        response = self.receive()
        if response is None:
            return None
        if isinstance(response, Response):
            prefix = b"%d " % response.number if response.number >= 0 else b""
            texts, literals = response.parts[::2], response.parts[1::2]
            for text, literal in zip(texts, literals, strict=False):
                self._append_untagged(response.kind, (prefix + text + b"{%d}" % len(literal), literal))
                prefix = b""
            self._append_untagged(response.kind, prefix + texts[-1])
            if response.kind in ("OK", "NO", "BAD") and (code := _code(texts[-1])):
                self._append_untagged(*code)
        return b"*"

    def _log(self, line: bytes) -> None:
        """Keep nothing: imaplib would remember the last lines, the login among them."""

    # Our own reading and writing

    def receive(self) -> Response | bytes | None:
        """Read one response: untagged, the tag of a command that ended, or None for a continuation.

        Raises NetworkError when the server says goodbye.
        """
        line = self.stream.line().rstrip(b"\r\n")
        if line[:1] == b"*":
            return self._untagged(line[1:].lstrip())
        if line[:1] == b"+":
            self.continuation_response = line[1:].lstrip()  # type: ignore[assignment]  # bytes, in truth
            return None
        tag, _, rest = line.partition(b" ")
        status, _, text = rest.lstrip().partition(b" ")
        if tag not in self.tagged_commands or status.upper() not in (b"OK", b"NO", b"BAD"):
            raise self.stream.failed(f"this is not IMAP; {quoted(line[:200])}")
        answer = Answer(status.decode("ascii").upper(), text)
        self.tagged_commands[tag] = (answer.status, [text])  # type: ignore[assignment]  # typeshed errs
        self._ended[tag] = answer
        if code := _code(text):
            self._append_untagged(*code)
        return tag

    def _untagged(self, text: bytes) -> Response:
        number = -1
        if text[:1].isdigit():
            digits, _, text = text.partition(b" ")
            number = int(digits[:20]) if digits.isdigit() else -1
        if text[:1] == b"[":  # some Exchange servers leave the OK out
            text = b"OK " + text
        kind, _, rest = text.lstrip().partition(b" ")
        name = kind.decode("ascii", "replace").upper()
        # What people read may end in braces and still announces nothing.
        parts = [rest] if name in _STATUS else self._parts(rest)
        response = Response(name, number, parts)
        if response.kind == "BYE":
            raise self.stream.failed(f"the server closes the connection; {quoted(rest)}")
        return response

    def _parts(self, text: bytes) -> list[bytes]:
        parts: list[bytes] = []
        total = 0
        while text[-1:] == b"}" and (match := _LITERAL.fullmatch(text)):
            size = int(match[2])
            total += size
            if total > 4 * _MAX_ANSWER:
                raise self.stream.failed(f"{total} octets in one response")
            parts += (match[1], self.stream.take(size))
            text = self.stream.line().rstrip(b"\r\n")
        parts.append(text)
        return parts

    def submit(self, *words: str | bytes) -> bytes:
        """Send a command and return its tag; str go out verbatim, bytes as literals.

        The answer may already be here when a literal was refused; `responses` knows.
        """
        if self.reading is not None:
            self.reading.close()  # its command is still being answered
        tag: bytes = self._new_tag()
        for word in words:
            if isinstance(word, str):
                guard(word)
                if not word.isascii():
                    raise CommandError(f"{word!r:.80} must be ASCII here")
        line = bytearray(tag)
        for before, part in zip((None, *words), words, strict=False):
            gap = b"" if before == "(" or part == ")" else b" "  # the grammar has none inside of parentheses
            if isinstance(part, str):
                line += gap + part.encode("ascii")
                continue
            line += gap + self._announce(part)
            if line.endswith(b"+}"):
                line += b"\r\n" + part
                continue
            self.send(line + b"\r\n")
            if not self._may_continue(tag):
                return tag
            line = bytearray(part)
        self.send(line + b"\r\n")
        return tag

    def _announce(self, literal: bytes) -> bytes:
        mark = b""
        if b"\0" in literal:
            if "BINARY" not in self.capabilities:
                raise CommandError("the server cannot store NUL octets (it has no BINARY)")
            mark = b"~"
        plus = "LITERAL+" in self.capabilities or ("LITERAL-" in self.capabilities and len(literal) <= 4096)
        return mark + b"{%d%s}" % (len(literal), b"+" if plus and len(literal) <= _NONSYNC_LIMIT else b"")

    def _may_continue(self, tag: bytes) -> bool:
        while (response := self.receive()) is not None:
            if response == tag:
                return False
            if isinstance(response, Response):
                self._early.append(response)
        return True

    def responses(self, tag: bytes) -> Iterator[Response]:
        """Yield the untagged responses until the command has ended; `answer` then has the end."""
        early, self._early = self._early, []
        yield from early
        while tag not in self._ended:
            response = self.receive()
            if isinstance(response, Response):
                yield response

    def has_ended(self, tag: bytes) -> bool:
        """Tell whether the end of a command was read."""
        return tag in self._ended

    def answer(self, tag: bytes) -> Answer:
        """Return how a command ended."""
        self.tagged_commands.pop(tag, None)
        self.untagged_responses.clear()
        return self._ended.pop(tag)

    def run(self, *words: str | bytes) -> Answer:
        """Run a command to its end and return all of the answer, whatever its status."""
        return self.end(self.submit(*words))

    def end(self, tag: bytes) -> Answer:
        """Read a command that was submitted to its end and return all of the answer, whatever its status."""
        responses, size = [], 0
        for response in self.responses(tag):
            size += 200 + sum(map(len, response.parts))
            if size > _MAX_ANSWER:
                raise self.stream.failed(f"more than {_MAX_ANSWER >> 20} MB in answer to one command")
            responses.append(response)
        answer = self.answer(tag)
        return Answer(answer.status, answer.text, tuple(responses))

    def compress(self) -> None:
        """Turn compression on (RFC 4978); a refusal is no error."""
        if self.run("COMPRESS DEFLATE").status == "OK":
            self.stream.compress()


def _code(text: bytes) -> tuple[str, bytes] | None:
    if text[:1] != b"[":
        return None
    name, _, data = text[1:].partition(b"]")[0].partition(b" ")
    return name.decode("ascii", "replace").upper(), data


class Client(IMAPClient):  # type: ignore[misc]  # imapclient has no types
    """IMAPClient on a Wire: its SASL, its folder names, and its own calls guarded like ours."""

    def __init__(
        self,
        server: Server,
        handshakes: tls.Handshakes | None = None,
        begun: Callable[[Stream], None] = lambda stream: None,
        *,
        connect_s: float = 15.0,
        read_s: float = 60.0,
    ) -> None:
        self._server, self._limits = server, {"connect_s": connect_s, "read_s": read_s}
        self._handshakes, self._begun = handshakes or tls.Handshakes(), begun
        try:
            super().__init__(server.host, server.port, ssl=False, timeout=read_s)
        except imaplib.IMAP4.error as error:
            raise NetworkError(f"{server}: no IMAP here; {quoted(str(error))}") from error
        self._imap.debug = 0
        with contextlib.suppress(AttributeError):
            del self._imap._mesg  # imapclient would have every line written to a logger

    def _create_IMAP4(self) -> Wire:
        return Wire(self._server, self._handshakes, self._begun, **self._limits)

    def _raw_command(self, command: bytes, args: Any, uid: bool = True) -> Any:
        for argument in args if isinstance(args, (list, tuple)) else [args]:
            if not isinstance(argument, bytes) or not _is8bit(argument):
                guard(argument)
            elif b"\0" in argument:
                raise CommandError("NUL in an argument: refused")
        return super()._raw_command(command, args, uid)

    @property
    def wire(self) -> Wire:
        """The transport."""
        wire: Wire = self._imap
        return wire

    def starttls(self, ssl_context: object = None) -> None:
        """Turn TLS on; forgets the capabilities told in the clear."""
        self._cached_capabilities = None
        self.wire.starttls()
        self._starttls_done = True

    def normalised_capabilities(self) -> frozenset[str]:
        """Return what the server can do, in capitals."""
        return frozenset(name.decode("ascii", "replace").upper() for name in self.capabilities())
