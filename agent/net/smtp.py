"""SMTP submission: stdlib smtplib for commands and replies, a DATA phase of our own.

Belongs to the thread `out:<account>`. Encryption is verified and never skipped; a login that is
configured but not offered is an error; nothing but CRLF line ends leaves.
"""

from __future__ import annotations

import base64
import contextlib
import re
import smtplib
import socket
from collections.abc import Callable, Iterator

from agent.errors import AuthError, NetworkError, Refused, TLSError
from agent.net import tls
from agent.net.base import Envelope, Receipt, SenderRefused, Server
from agent.net.imap_login import oauth_reason
from agent.net.said import quoted, said
from agent.net.secrets import logging_in

_FINAL_S = 600.0  # how long a server may think about the final dot (RFC 5321 section 4.5.3.2.6)
_ALIVE_S = 10.0  # how long a connection that rested may take to show that it is there
_CHUNK = 1 << 16
_LINE_END = re.compile(rb"\r\n|\r|\n")
_UNFIT = re.compile(r"[\x00-\x20\x7f<>]")
_LONGEST_REPLY = 1000  # lines
_LONGEST_FIRST = 400  # of an initial response; some servers take lines of 512 only

Reply = tuple[int, bytes]


class _Smtp(smtplib.SMTP):
    """smtplib's client on a verified socket; hooks: `_get_socket`, `getreply`, `file`."""

    def __init__(self, server: Server, handshakes: tls.Handshakes, connect_s: float, read_s: float) -> None:
        self._server, self._connect_s, self._read_s = server, connect_s, read_s
        self._handshakes = handshakes
        self._lines = 0
        super().__init__(local_hostname="localhost", timeout=connect_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = socket.create_connection((host, port), self._connect_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._server.security == "tls":
            sock = self._shake(sock)
        elif self._server.security == "none":
            tls.ensure_may_be_plain(self._server, sock)
        sock.settimeout(self._read_s)
        address = sock.getsockname()[0]  # an address literal: no look-up, and no host name given away
        self.local_hostname = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
        return sock

    def _shake(self, sock: socket.socket) -> socket.socket:
        secured = self._handshakes.wrap(sock, self._server)
        self.sock = secured  # `abort` must reach it
        self._handshakes.shake(secured, self._server)
        return secured

    def getreply(self) -> Reply:
        """Read a reply; every line has a code, and there are not endlessly many."""
        lines: list[bytes] = []
        if self.file is None and self.sock is not None:
            self.file = self.sock.makefile("rb")
        while len(lines) < _LONGEST_REPLY:
            try:
                line = self.file.readline(8193) if self.file else b""
            except OSError as error:
                raise self.lost(error) from error
            if not line:
                raise self.lost("the server closed the connection")
            if not line[:3].isdigit() or len(line) > 8192:
                raise self.lost(f"this is not SMTP; {quoted(line[:200])}")
            lines.append(line[4:].strip())
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(lines)
        raise self.lost("a reply without end")

    def lost(self, why: object) -> NetworkError:
        """Close and return the error to raise."""
        self.close()
        return NetworkError(f"{self._server}: {why}")

    def secure(self) -> None:
        """STARTTLS; what was said before is forgotten, what is slipped in after it is an attack."""
        if not self.has_extn("starttls"):
            raise self._insecure("the server does not offer STARTTLS, which is configured")
        code, text = self.docmd("STARTTLS")
        if code != 220:
            raise self._insecure(f"the server refuses STARTTLS ({code}; {quoted(text)})")
        if self._slipped_in():
            raise self._insecure("text was slipped in after the answer to STARTTLS")
        assert self.sock is not None
        self.sock = self._shake(self.sock)
        self.file = None
        self.esmtp_features = {}
        self.ehlo_resp = self.helo_resp = None

    def _slipped_in(self) -> bool:
        assert self.sock is not None
        self.sock.settimeout(0)
        try:
            return bool(self.file is not None and self.file.peek(1))
        finally:
            self.sock.settimeout(self._read_s)

    def _insecure(self, why: str) -> TLSError:
        self.close()
        return TLSError(f"{self._server}: {why}; nothing secret was sent")


class SmtpTransport:
    """A submission server. `secret` is called for the password or token when a login is due."""

    def __init__(
        self,
        server: Server,
        secret: Callable[[], str],
        *,
        handshakes: tls.Handshakes | None = None,
        connect_s: float = 15.0,
        read_s: float = 120.0,
    ) -> None:
        self.server = server
        self._secret = secret
        self._handshakes = handshakes or tls.Handshakes()
        self._limits = connect_s, read_s
        self._smtp: _Smtp | None = None

    def __repr__(self) -> str:
        return f"<smtp {self.server.user}@{self.server} {'connected' if self._smtp else 'offline'}>"

    def connect(self) -> None:
        """Connect, secure and log in; a connection that still answers is kept."""
        if self._smtp is not None and self._answers():
            return
        self.close()
        self._smtp = smtp = _Smtp(self.server, self._handshakes, *self._limits)
        with logging_in(self, self._secret):
            self._greet(smtp)
            if self.server.security == "starttls":
                smtp.secure()
                self._hello(smtp)
            if self.server.auth != "none":
                self._log_in(smtp)

    def _answers(self) -> bool:
        if self._smtp is None or self._smtp.sock is None:
            return False
        try:
            self._smtp.sock.settimeout(_ALIVE_S)
            alive = self._command("RSET")[0] == 250
            self._smtp.sock.settimeout(self._limits[1])
        except NetworkError:
            return False
        return alive

    def _greet(self, smtp: _Smtp) -> None:
        try:
            code, text = smtp.connect(self.server.host, self.server.port)
        except (OSError, UnicodeError) as error:
            raise NetworkError(f"{self.server}: cannot connect: {error}") from error
        if code != 220:
            raise Refused(f"{self.server}: no service; {quoted(text)}", permanent=code >= 500, code=code)
        self._hello(smtp)

    def _hello(self, smtp: _Smtp) -> None:
        try:
            code, text = smtp.ehlo()
            if code >= 500 and self.server.auth == "none" and self.server.security != "starttls":
                code, text = smtp.helo()
        except smtplib.SMTPException as error:
            raise NetworkError(f"{self.server}: the connection broke: {error}") from error
        if code != 250:
            raise Refused(f"{self.server}: no welcome; {quoted(text)}", permanent=code >= 500, code=code)

    def _log_in(self, smtp: _Smtp) -> None:
        offered = smtp.esmtp_features.get("auth", "").upper().split()
        if not offered:
            raise AuthError(
                f"{self.server}: a login is configured and the server offers none over this connection; "
                "use security tls or starttls, or set auth to none"
            )
        user = self.server.user
        if self.server.auth == "oauth2":
            self._authenticate("XOAUTH2", [f"user={user}\1auth=Bearer {self._secret()}\1\1", ""])
        elif "PLAIN" in offered:
            self._authenticate("PLAIN", [f"\0{user}\0{self._secret()}"])
        elif "LOGIN" in offered:
            self._authenticate("LOGIN", [user, self._secret()], first=False)
        else:
            raise AuthError(f"{self.server}: the server takes no password, only {', '.join(offered)[:200]}")

    def _authenticate(self, mechanism: str, answers: list[str], first: bool = True) -> None:
        words = [base64.b64encode(answer.encode()).decode("ascii") for answer in answers]
        first = first and len(words[0]) <= _LONGEST_FIRST
        code, text = self._command("AUTH", f"{mechanism} {words.pop(0)}" if first else mechanism)
        reason = ""
        while code == 334 and words:
            if mechanism == "XOAUTH2" and len(words) == 1:
                reason = oauth_reason(_decoded(text))
            code, text = self._command(words.pop(0))
        if code == 235:
            return
        detail = " ".join(part for part in (said(text), reason) if part)
        if 400 <= code < 500:
            raise NetworkError(f"{self.server}: no login at the moment; {quoted(detail)}")
        raise AuthError(f"{self.server}: the login of {self.server.user!r} was refused; {quoted(detail)}")

    def _command(self, command: str, argument: str = "") -> Reply:
        if self._smtp is None:
            raise NetworkError(f"{self.server}: not connected")
        try:
            self._smtp.putcmd(command, argument)
            return self._smtp.getreply()
        except (smtplib.SMTPException, OSError) as error:
            raise self._smtp.lost(f"the connection broke: {error}") from error

    def send(self, envelope: Envelope, data: bytes, before_end: Callable[[], None]) -> Receipt:
        """Send one message; see Transport. Recipients that are refused do not keep the others waiting.

        Refused tells by `permanent` whether it is for good; SenderRefused is about the return path.
        """
        if self._smtp is None:
            raise NetworkError(f"{self.server}: not connected")
        lines = _LINE_END.sub(b"\r\n", data)
        try:
            self._ask_sender(envelope, lines)
            refused = self._ask_recipients(envelope)
            return self._send_data(lines, before_end, refused)
        except Refused:
            self._reset()
            raise
        except BaseException:
            # Closing without the final dot: the server throws away what it has.
            self.close(quit_politely=False)
            raise

    def _reset(self) -> None:
        try:
            if self._command("RSET")[0] == 250:
                return
        except NetworkError:
            pass
        self.close(quit_politely=False)

    def _ask_sender(self, envelope: Envelope, data: bytes) -> None:
        assert self._smtp is not None
        options = [f"SIZE={len(data)}"] if self._smtp.has_extn("size") else []
        limit = self._smtp.esmtp_features.get("size", "")
        if limit.isdigit() and 0 < int(limit) < len(data):
            raise Refused(f"{self.server}: the message has {len(data)} octets, the server takes {limit}")
        if not data.isascii():
            self._need("8bitmime", "the message has 8-bit text")
            options.append("BODY=8BITMIME")
        head = data.partition(b"\r\n\r\n")[0]
        international = [a for a in (envelope.sender, *envelope.recipients) if not _local(a).isascii()]
        if international or not head.isascii():
            self._need(
                "smtputf8", f"{international[0]!r} is not ASCII" if international else "a header is not"
            )
            options.append("SMTPUTF8")
            self._smtp.command_encoding = "utf-8"
        else:
            self._smtp.command_encoding = "ascii"
        utf8 = self._smtp.command_encoding == "utf-8"
        sender = self._address(envelope.sender, utf8) if envelope.sender else ""
        code, text = self._command("MAIL", " ".join([f"FROM:<{sender}>", *options]))
        if code != 250:
            raise SenderRefused(
                f"{self.server}: the sender <{sender}> was refused: {code} {quoted(text)}",
                permanent=code >= 500,
                code=code,
            )

    def _need(self, extension: str, why: str) -> None:
        assert self._smtp is not None
        if not self._smtp.has_extn(extension):
            raise Refused(f"{self.server}: {why}, and the server has no {extension.upper()}")

    def _address(self, address: str, utf8: bool) -> str:
        """Return the address as it goes out, the domain in ASCII unless SMTPUTF8 is on."""
        if _UNFIT.search(address) or "@" not in address[1:-1]:
            raise Refused(f"{address!r} is no address that can be sent to; nothing was sent")
        local, _, domain = address.rpartition("@")
        if domain.isascii() or utf8:
            return address
        try:
            return f"{local}@{domain.encode('idna').decode('ascii')}"
        except UnicodeError as error:
            raise Refused(f"{address!r}: there is no such domain name ({error}); nothing was sent") from error

    def _ask_recipients(self, envelope: Envelope) -> dict[str, str]:
        assert self._smtp is not None
        utf8 = self._smtp.command_encoding == "utf-8"
        refused: dict[str, str] = {}
        for recipient in envelope.recipients:
            code, text = self._command("RCPT", f"TO:<{self._address(recipient, utf8)}>")
            if code not in (250, 251):
                refused[recipient] = f"{code} {said(text)}"
            if code == 421:
                raise self._smtp.lost(f"the server closes the connection; {quoted(text)}")
        if len(refused) == len(envelope.recipients):
            told = "; ".join(f"{recipient}: {reply}" for recipient, reply in list(refused.items())[:5])
            passing = any(reply[0] == "4" for reply in refused.values())
            code = int(next(iter(refused.values()), "500")[:3])
            raise Refused(
                f"{self.server}: no recipient was accepted: {told or 'there is none'}",
                permanent=not passing,
                code=code,
            )
        return refused

    def _send_data(self, data: bytes, before_end: Callable[[], None], refused: dict[str, str]) -> Receipt:
        assert self._smtp is not None
        code, text = self._command("DATA")
        if code != 354:
            raise Refused(
                f"{self.server}: the message was refused: {code} {quoted(text)}",
                permanent=code >= 500,
                code=code,
            )
        try:
            for piece in _stuffed(data):
                self._smtp.send(piece)
        except smtplib.SMTPException as error:
            raise self._smtp.lost(f"the connection broke before the message had left: {error}") from error
        before_end()
        try:
            if self._smtp.sock is not None:
                self._smtp.sock.settimeout(_FINAL_S)
            self._smtp.send(b".\r\n")
            code, text = self._smtp.getreply()
        except (smtplib.SMTPException, OSError) as error:
            raise self._smtp.lost(f"the connection broke at the end of the message: {error}") from error
        if self._smtp.sock is not None:
            self._smtp.sock.settimeout(self._limits[1])
        if code != 250:
            raise Refused(
                f"{self.server}: the message was refused: {code} {quoted(text)}",
                permanent=code >= 500,
                code=code,
            )
        return Receipt(f"{code} {said(text)}", refused)

    def abort(self) -> None:
        """Hang up at once, from any thread; what was being sent ends as if the network had failed."""
        if (smtp := self._smtp) is not None and smtp.sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(smtp.sock, socket.SHUT_RDWR)

    def close(self, quit_politely: bool = True) -> None:
        """Close the connection; never raises."""
        smtp, self._smtp = self._smtp, None
        if smtp is None:
            return
        if quit_politely and smtp.sock is not None:
            try:
                smtp.sock.settimeout(2)
                smtp.docmd("QUIT")
            except (smtplib.SMTPException, OSError, NetworkError):
                pass
        smtp.close()


def _local(address: str) -> str:
    return address.rpartition("@")[0]


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError:
        return text


def _stuffed(data: bytes) -> Iterator[bytes]:
    """Yield the message with its leading dots doubled, ending in CRLF (RFC 5321 section 4.5.2)."""
    body = data if data.endswith(b"\r\n") else data + b"\r\n"
    body = body.replace(b"\r\n.", b"\r\n..")
    if body.startswith(b"."):
        yield b"."
    view = memoryview(body)
    for start in range(0, len(view), _CHUNK):
        yield bytes(view[start : start + _CHUNK])
