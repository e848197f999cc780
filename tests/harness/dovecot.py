"""A throw-away Dovecot 2.3 on free loopback ports, run by an ordinary user (root drops to nobody).

Any user name logs in with `password`; a mailbox comes into being at the first login or delivery.
Nothing outside one temporary folder is read or written.
"""

from __future__ import annotations

import base64
import contextlib
import grp
import hashlib
import hmac
import json
import os
import pwd
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from tests.harness.conditions import eventually

TEMPLATE = Path(__file__).with_name("dovecot.conf.in")
PORTS = ("imap", "imaps", "pop3", "pop3s", "lmtp")
# Dovecot's unix sockets lie below the folder, and the kernel allows them 107 bytes.
LONGEST_FOLDER = 60
OAUTH_KEY = b"0123456789abcdef0123456789abcdef"
# Tokens are checked against a local key: no token server is needed.
OAUTH_CONF = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix=@dir@/oauth-keys/
username_attribute = email
"""


def program(name: str) -> str | None:
    """Return the path of a program, also from the folders that only root has in PATH."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")


def why_missing() -> str | None:
    """Return why Dovecot cannot be started here, None if it can."""
    dovecot = program("dovecot")
    if dovecot is None or program("doveadm") is None:
        return "Dovecot is not installed (apt-get install dovecot-imapd dovecot-pop3d dovecot-lmtpd)"
    version = subprocess.run([dovecot, "--version"], capture_output=True, text=True, check=False).stdout
    if not version.startswith("2.3."):
        return f"Dovecot {version.split(' ')[0].strip()} is installed; these tests are written for 2.3"
    helpers = Path("/usr/lib/dovecot")
    missing = [
        part for part in ("imap", "pop3", "lmtp") if helpers.is_dir() and not (helpers / part).exists()
    ]
    if missing:
        return f"Dovecot is incomplete (apt-get install {' '.join(f'dovecot-{part}d' for part in missing)})"
    return None


@dataclass(frozen=True, slots=True)
class Options:
    """Where and how mail is kept; the benchmarks keep theirs otherwise."""

    mail_location: str = "maildir:~/Maildir"
    quota: str = "200M"
    folder: Path | None = None  # kept after stop when given
    more: str = ""  # settings that stand last and so hold


class Dovecot:
    """One running server. `host` matches its certificate, which `ca_file` vouches for."""

    host = "localhost"
    password = "secret"

    def __init__(self, options: Options = Options()) -> None:
        self._options = options
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._process: subprocess.Popen[bytes] | None = None
        self.dir = options.folder or _make_folder()
        self.ports: dict[str, int] = {}
        self.ca_file = self.dir / "ca.pem"

    def start(self) -> None:
        """Write the configuration and start the server; returns when it greets."""
        for attempt in range(3):
            self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
            self._write_files()
            try:
                self._launch()
                return
            except RuntimeError:
                # Another process may have taken a port between our look and Dovecot's bind.
                self._kill()
                if attempt == 2:
                    raise

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self._kill()
        if self._options.folder is None:
            shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """A fresh verifying context that trusts this server."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def deliver(self, user: str, message: bytes, sender: str = "sender@example.org") -> None:
        """Deliver by LMTP, as a mail transfer agent would; an empty sender is the null return path."""
        recipient = user if "@" in user else f"{user}@example.org"
        with smtplib.LMTP("127.0.0.1", self.ports["lmtp"]) as lmtp:
            lmtp.sendmail(sender, [recipient], message)

    def save(self, user: str, message: bytes, folder: str = "INBOX") -> None:
        """Put a message into a folder byte for byte, with no header added."""
        self.doveadm("save", "-u", user, "-m", folder, stdin=message)

    def doveadm(self, *args: str, stdin: bytes | None = None) -> str:
        """Run `doveadm ARGS` and return its output."""
        done = subprocess.run(
            [str(program("doveadm")), "-c", str(self.dir / "dovecot.conf"), *args],
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            check=False,
            **self._ordinary_user(),
        )
        output: bytes = done.stdout
        if done.returncode:
            problem = (done.stderr or output).decode(errors="replace")
            raise RuntimeError(f"doveadm {' '.join(args)}: {problem}")
        return output.decode(errors="replace")

    def kick(self, user: str) -> None:
        """Drop the connections of a user, as a flaky network would."""
        self.doveadm("kick", user)

    def give(self, path: Path) -> None:
        """Let the server's user own a file or folder and all below it."""
        if os.geteuid() == 0:
            for each in (path, *path.rglob("*")):
                os.chown(each, self._account.pw_uid, self._account.pw_gid)

    def limit(self, user: str, storage: str) -> None:
        """Give one user a quota such as `1M`; counts from the next login or delivery on."""
        account, home = self._account, self.dir / "home" / user
        with (self.dir / "users").open("a") as users:
            users.write(
                f"{user}::{account.pw_uid}:{account.pw_gid}::{home}::userdb_quota_rule=*:storage={storage}\n"
            )
        # The login server looks at the file once a second at most.
        eventually(lambda: f"storage={storage}" in self.doveadm("user", user), timeout_s=5)

    def token(self, user: str, valid_s: int = 300) -> str:
        """Return a JWT that XOAUTH2 and OAUTHBEARER accept for the user."""
        now, name = int(time.time()), user.partition("@")[0].lower()
        head = {"alg": "HS256", "typ": "JWT", "kid": "test"}
        claims = {"sub": name, "email": name, "iat": now, "nbf": now - 5, "exp": now + valid_s}
        signed = b".".join(_base64(json.dumps(part).encode()) for part in (head, claims))
        return (signed + b"." + _base64(hmac.digest(OAUTH_KEY, signed, hashlib.sha256))).decode()

    def log(self) -> str:
        """Return the server's log."""
        with contextlib.suppress(FileNotFoundError):
            return (self.dir / "dovecot.log").read_text(errors="replace")
        return ""

    def _write_files(self) -> None:
        account = self._account
        values = {
            "dir": str(self.dir),
            "user": account.pw_name,
            "group": grp.getgrgid(account.pw_gid).gr_name,
            "uid": str(account.pw_uid),
            "gid": str(account.pw_gid),
            "password": self.password,
            "mail_location": self._options.mail_location,
            "quota": self._options.quota,
            **{name: str(port) for name, port in self.ports.items()},
        }
        for folder in ("home", "run", "state", "oauth-keys/default/HS256"):
            (self.dir / folder).mkdir(parents=True, exist_ok=True)
        (self.dir / "users").touch()
        (self.dir / "dovecot.conf").write_text(_fill(TEMPLATE.read_text(), values) + self._options.more)
        (self.dir / "oauth2.conf.ext").write_text(_fill(OAUTH_CONF, values))
        (self.dir / "oauth-keys/default/HS256/test").write_bytes(base64.b64encode(OAUTH_KEY))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        server = authority.issue_cert("localhost", "127.0.0.1")
        server.private_key_and_cert_chain_pem.write_to_path(str(self.dir / "server.pem"))
        self.give(self.dir)

    def _launch(self) -> None:
        # With setpriv the server dies with us, also when the tests are killed.
        setpriv = program("setpriv")
        wrapper = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
        errors = self.dir / "stderr"
        with errors.open("wb") as stderr:
            self._process = subprocess.Popen(
                [*wrapper, str(program("dovecot")), "-F", "-c", str(self.dir / "dovecot.conf")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                **self._ordinary_user(),
            )
        ended = self._process.poll
        eventually(lambda: _greets(self.ports["imap"]) or ended() is not None, timeout_s=15)
        if ended() is not None:
            raise RuntimeError(f"Dovecot does not start: {errors.read_text()}{self.log()}")

    def _kill(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _ordinary_user(self) -> dict[str, Any]:
        where: dict[str, Any] = {
            "cwd": "/",
            "env": {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.dir)},
        }
        if os.geteuid() == 0:  # Dovecot refuses to read mail as root
            where |= {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        return where


@contextlib.contextmanager
def running(options: Options = Options()) -> Iterator[Dovecot]:
    """Start a Dovecot for the time of a with block."""
    server = Dovecot(options)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _make_folder() -> Path:
    folder = tempfile.gettempdir()
    return Path(
        tempfile.mkdtemp(prefix="dovecot.", dir=folder if len(folder) < LONGEST_FOLDER - 20 else "/tmp")
    )


def _fill(template: str, values: dict[str, str]) -> str:
    return re.sub(r"@(\w+)@", lambda match: values[match[1]], template)


def _base64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            return connection.recv(64).startswith(b"* OK")
    except OSError:
        return False
