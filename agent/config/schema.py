"""What config.yaml may say, as values: accounts with their servers, identities and policies.

Frozen and filled: a server knows its port, login name and way of authentication, whether the file
named them there, on the account or not at all. Values may be made in Python as well as read.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr, replace

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31557600}
_DURATION = r"[1-9][0-9]{0,5}[smhdwy]"

# `says` is what an error message calls the value that was expected.
Duration = Annotated[
    str, Meta(pattern=f"^{_DURATION}$", extra={"says": "a duration such as 10m, 12h or 14d"})
]
Every = Annotated[
    str, Meta(pattern=f"^({_DURATION}|never)$", extra={"says": "a duration such as 5m, or never"})
]
Bodies = Annotated[
    str,
    Meta(pattern=f"^({_DURATION}|all|headers)$", extra={"says": "all, headers, or a duration such as 90d"}),
]
# Looser than RFC 5321: it has to catch a slip of the pen, not to judge addresses.
EmailAddress = Annotated[
    str,
    Meta(pattern=r'^[^\s@<>,;:"()]+@[^\s@<>,;:"()]+$', extra={"says": "an address such as ann@example.org"}),
]
Text = Annotated[str, Meta(min_length=1, extra={"says": "text"})]
Port = Annotated[int, Meta(ge=1, le=65535)]
Command = str | list[str]  # a line for the shell, or the words of a command without one
Role = Literal["inbox", "sent", "drafts", "trash", "archive", "junk", "all", "flagged"]


def seconds(duration: str) -> float:
    """Return the seconds of a duration such as `5m` (minutes), `12h`, `14d`, `2w` or `1y`."""
    return float(int(duration[:-1]) * _SECONDS[duration[-1]])


class Secret:
    """A secret that stands in the file; it shows itself only when asked to."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._text


class _Value(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all values of the file."""


class OAuthProvider(_Value, frozen=True, kw_only=True):
    """A provider of OAuth2 other than the known ones, or a known one with an own client id."""

    provider: Literal["google", "microsoft"] | None = None
    client_id: str = ""
    client_secret: Secret | None = None
    authorize_url: str = ""
    token_url: str = ""
    device_url: str = ""
    scopes: list[str] = []


class OAuth(_Value, frozen=True, kw_only=True):
    """Authentication by OAuth2: `auth: {oauth2: google}`."""

    oauth2: Literal["google", "microsoft"] | OAuthProvider


Auth = Literal["password", "oauth_command", "none"] | OAuth


class ServerConfig(_Value, frozen=True, kw_only=True):
    """How to reach one server and log in there.

    Within an AccountConfig `user` and `auth` are filled from the account when left out, and so are
    `password_command` and `password`; `port` is filled by protocol and security.
    """

    PORTS: ClassVar[dict[str, int]] = {}

    host: Text
    port: Port = 0  # 0 until __post_init__ has run; never in a value that was read
    security: Literal["tls", "starttls", "none"] = "tls"
    user: str = ""
    auth: Auth | None = None
    password_command: Command | None = None
    oauth_command: Command | None = None
    password: Secret | None = None
    ca: str | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        if not self.port and self.security in self.PORTS:
            force_setattr(self, "port", self.PORTS[self.security])

    @property
    def ca_path(self) -> Path | None:
        """The file with the certificates to trust besides the system's."""
        return Path(self.ca).expanduser() if self.ca else None


class ImapConfig(ServerConfig, frozen=True, kw_only=True):
    """An IMAP server."""

    PORTS: ClassVar[dict[str, int]] = {"tls": 993, "starttls": 143, "none": 143}


class Pop3Config(ServerConfig, frozen=True, kw_only=True):
    """A POP3 server; `keep_on_server` is true (for ever), false, or how long."""

    PORTS: ClassVar[dict[str, int]] = {"tls": 995, "starttls": 110, "none": 110}

    keep_on_server: bool | Duration = True

    @property
    def keep_on_server_s(self) -> float:
        """Seconds a fetched message stays on the server: 0 for not at all, inf for ever."""
        if isinstance(self.keep_on_server, str):
            return seconds(self.keep_on_server)
        return math.inf if self.keep_on_server else 0.0


class SmtpConfig(ServerConfig, frozen=True, kw_only=True):
    """A server that takes mail for delivery."""

    PORTS: ClassVar[dict[str, int]] = {"tls": 465, "starttls": 587, "none": 25}


class Alias(_Value, frozen=True, kw_only=True):
    """A further address of the account; name and signature are the account's when left out."""

    address: EmailAddress
    name: str = ""
    signature: str = ""


class FetchConfig(_Value, frozen=True, kw_only=True):
    """When mail is fetched and which folders are; `*` stands for any run of characters."""

    on_start: bool = True
    every: Every = "5m"
    idle: bool = True
    folders: list[Text] = field(default_factory=lambda: ["*"])

    @property
    def every_s(self) -> float:
        """Seconds between two scheduled fetches; inf for never."""
        return math.inf if self.every == "never" else seconds(self.every)


class OfflineConfig(_Value, frozen=True, kw_only=True):
    """Which bodies are kept here: all, headers (none), or those of the last days."""

    bodies: Bodies = "90d"

    @property
    def bodies_s(self) -> float:
        """The age in seconds up to which bodies are fetched: inf for all, 0 for none."""
        words = {"all": math.inf, "headers": 0.0}
        return words[self.bodies] if self.bodies in words else seconds(self.bodies)


class AccountConfig(_Value, frozen=True, kw_only=True):
    """One account: who writes, where mail comes in (one way of four) and goes out."""

    name: str = ""  # the person's, as in From
    address: EmailAddress
    aliases: list[Alias] = []
    signature: str = ""
    imap: ImapConfig | None = None
    pop3: Pop3Config | None = None
    maildir: Text | None = None
    local: bool = False
    smtp: SmtpConfig | None = None
    sendmail: Command | None = None
    user: str = ""
    auth: Auth = "password"
    oauth_command: Command | None = None
    password_command: Command | None = None
    password: Secret | None = None
    fetch: FetchConfig = FetchConfig()
    offline: OfflineConfig = OfflineConfig()
    folders: dict[Role, Text] = {}

    def __post_init__(self) -> None:
        if self.oauth_command and self.auth == "password":
            force_setattr(self, "auth", "oauth_command")
        for protocol in ("imap", "pop3", "smtp"):
            server = getattr(self, protocol)
            if server is not None:
                force_setattr(self, protocol, self._filled(server))

    def _filled(self, server: ServerConfig) -> ServerConfig:
        own = server.password_command or server.password
        auth = server.auth or ("oauth_command" if server.oauth_command else self.auth)
        return replace(
            server,
            user=server.user or self.user or self.address,
            auth=auth,
            oauth_command=server.oauth_command or self.oauth_command,
            password_command=server.password_command if own else self.password_command,
            password=server.password if own else self.password,
        )

    @property
    def identities(self) -> tuple[Alias, ...]:
        """The account's own identity, then its aliases, with name and signature filled in."""
        main = Alias(address=self.address, name=self.name, signature=self.signature)
        return main, *(
            Alias(
                address=alias.address,
                name=alias.name or self.name,
                signature=alias.signature or self.signature,
            )
            for alias in self.aliases
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses of the account, its own first."""
        return self.address, *(alias.address for alias in self.aliases)

    @property
    def maildir_path(self) -> Path | None:
        """The Maildir folder, `~` expanded."""
        return Path(self.maildir).expanduser() if self.maildir else None


class Config(Struct, frozen=True, kw_only=True):
    """The whole file. `defaults` are already merged under the accounts; `warnings` are for the user."""

    accounts: dict[str, AccountConfig] = {}
    defaults: dict[str, Any] = {}
    warnings: tuple[str, ...] = ()
