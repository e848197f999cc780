"""Reads config.yaml: all problems at once, each with its place, or a Config with everything filled in."""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from agent.config.check import Complaint, complaints, convert
from agent.config.document import Document, Path, Place, Problem, dotted, read
from agent.config.paths import check_private_code, readable_by_others
from agent.config.schema import AccountConfig, Config
from agent.errors import ConfigError, did_you_mean

_TOP = ("accounts", "defaults")
_IN = ("imap", "pop3", "maildir", "local")
_OUT = ("smtp", "sendmail")
_SERVERS = ("imap", "pop3", "smtp")
_STARTTLS_PORTS = {"imap": 143, "pop3": 110, "smtp": 587}


def load(path: FilePath) -> Config:
    """Read a configuration file.

    Raises ConfigError with every problem found, also when others may write the file.
    """
    try:
        check_private_code(path)
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; `agent init` writes one") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at offset {error.start}; save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    return _load(text, path.name, exposed=readable_by_others(path))


def load_text(text: str, name: str = "config.yaml") -> Config:
    """Read a configuration from text; `name` stands for the file in messages."""
    return _load(text, name, exposed=False)


def _load(text: str, name: str, *, exposed: bool) -> Config:
    document = read(text, name)
    data = document.data if document.data is not None else {}
    found: list[Complaint] = list(_check_top(data))
    accounts: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    if isinstance(data, dict):
        accounts = _mapping(data.get("accounts"))
        defaults = _mapping(data.get("defaults"))
    found += complaints(_prepared({}, defaults), AccountConfig, ("defaults",), partial=True)
    merged = {}
    for key, account in accounts.items():
        at = ("accounts", key)
        if not isinstance(account, dict):
            found.append((at, False, "Expected a mapping with address, imap, smtp ..."))
            continue
        merged[key] = _prepared(account, defaults)
        found += _check_account(key, merged[key])
    problems = {*document.problems, *(_problem(document, *complaint) for complaint in found)}
    if problems:
        raise ConfigError(*(problem.text(name) for problem in sorted(problems)))
    return Config(
        accounts={key: convert(account, AccountConfig) for key, account in merged.items()},
        defaults=defaults,
        warnings=tuple(_warnings(document, data, name, exposed)),
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _check_top(data: Any) -> Iterator[Complaint]:
    if not isinstance(data, dict):
        yield (), False, "Expected a mapping with the keys accounts and defaults"
        return
    for key, value in data.items():
        if key not in _TOP:
            yield (
                (key,),
                True,
                f"unknown key {key!r}{did_you_mean(key, _TOP) or '; known are accounts, defaults'}",
            )
        elif value is not None and not isinstance(value, dict):
            yield (key,), False, "Expected a mapping"


# Merging: what the account says wins, mappings are merged key by key, lists are replaced.


def _prepared(account: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the account with the defaults under it, aliases as mappings and security by port."""
    below = dict(defaults)
    for kinds in (_IN, _OUT):
        named = any(account.get(kind) for kind in kinds)
        for kind in kinds:
            # One way in, one way out: the account's, or else a server that the defaults name.
            hostless = isinstance(below.get(kind), dict) and "host" not in below[kind]
            if kind not in account and (named or hostless):
                below.pop(kind, None)
    result = _merge(below, account)
    if isinstance(result.get("aliases"), list):
        result["aliases"] = [
            {"address": alias} if isinstance(alias, str) else alias for alias in result["aliases"]
        ]
    for protocol in _SERVERS:
        server = result.get(protocol)
        if isinstance(server, dict) and server.get("port") == _STARTTLS_PORTS[protocol]:
            server.setdefault("security", "starttls")
    return result


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(below)
    for key, value in above.items():
        under = result.get(key)
        if isinstance(value, dict) and isinstance(under, dict):
            result[key] = _merge(under, value)
        else:
            result[key] = copy.deepcopy(value)
    return result


# What the schema alone cannot say.


def _check_account(key: str, account: dict[str, Any]) -> Iterator[Complaint]:
    at: Path = ("accounts", key)
    if not key.strip() or not key.isprintable() or "/" in key:
        yield at, True, f"{key!r} cannot name an account; use letters and digits"
    yield from complaints(account, AccountConfig, at)
    ways_in = [kind for kind in _IN if account.get(kind)]
    if not ways_in and all(account.get(kind) in (None, False) for kind in _IN):
        yield at, True, "nothing says where its mail is; add imap, pop3, maildir, or `local: true`"
    if len(ways_in) > 1:
        yield (*at, ways_in[1]), True, f"an account has one place for its mail; {ways_in[0]} is there already"
    if all(account.get(kind) for kind in _OUT):
        yield (*at, "sendmail"), True, "an account has one way out for its mail; smtp is there already"
    commands = [
        account.get("oauth_command"),
        *(_mapping(account.get(p)).get("oauth_command") for p in _SERVERS),
    ]
    if account.get("auth") == "oauth_command" and not any(commands):
        yield (*at, "auth"), False, "oauth_command is missing: the command that prints a token"
    for protocol in _SERVERS:
        yield from _check_server((*at, protocol), _mapping(account.get(protocol)))


def _check_server(at: Path, server: dict[str, Any]) -> Iterator[Complaint]:
    host = server.get("host")
    if not isinstance(host, str):
        return
    if server.get("security") == "none" and not _is_loopback(host) and server.get("insecure") is not True:
        yield (
            (*at, "security"),
            False,
            f"without encryption everybody on the way to {host} can read mail and password; "
            "use tls or starttls, or add `insecure: true`",
        )
    if "://" in host or any(character.isspace() for character in host):
        yield (*at, "host"), False, f"Expected the name of a host, got {host!r}"
    elif host.count(":") == 1:
        name, _, port = host.partition(":")
        yield (*at, "host"), False, f"write `host: {name}` and `port: {port}`, got {host!r}"


def _is_loopback(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


# From complaints to places in the file.


def _problem(document: Document, path: Path, at_key: bool, message: str) -> Problem:
    path = _origin(document, path)
    known = path
    while known and known not in document.values:
        known = known[:-1]
    places = document.keys if at_key or known != path else document.values
    return Problem(places.get(known, Place()), dotted(path), message)


def _origin(document: Document, path: Path) -> Path:
    """Return where the value at `path` came from: an account's value may stand in the defaults."""
    if path[:1] != ("accounts",) or len(path) < 3 or path in document.values:
        return path
    default: Path = ("defaults", *path[2:])
    return default if default in document.values else path


def _warnings(document: Document, data: Any, name: str, exposed: bool) -> Iterator[str]:
    for path in _secrets(data, ()):
        message = "a secret in a file; better `password_command`, or nothing: the keyring is asked, then you"
        if exposed:
            message += f"; others may read it now: chmod 600 {name}"
        yield Problem(document.keys.get(path, Place()), dotted(path), message).text(name)


def _secrets(data: Any, path: Path) -> Iterator[Path]:
    if isinstance(data, dict):
        for key, value in data.items():
            if key in ("password", "client_secret") and value:
                yield *path, key
            yield from _secrets(value, (*path, key))
