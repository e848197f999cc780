"""config.yaml is read as written in the guide, and every mistake in it is told."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from agent.config.load import load, load_text
from agent.config.schema import OAuth
from agent.errors import ConfigError

EXAMPLE = r"""
accounts:
  work:
    name: Ann Example
    address: ann@example.org
    aliases: [support@example.org, {address: ann@example.com, name: "Ann (private)", signature: "-- \nAnn"}]
    imap: {host: imap.example.org, port: 993, security: tls}
    smtp: {host: smtp.example.org, port: 465, security: tls}
    auth: password
    password_command: pass show mail/work
    fetch: {on_start: true, every: 5m, idle: true, folders: ["INBOX", "Lists/*"]}
    offline: {bodies: 90d}
    folders: {archive: Archive}
defaults:
  signature: "-- \nwritten on a typewriter"
"""


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    return caught.value.problems


def only_problem(text: str) -> str:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def account(body: str) -> str:
    """Return a file with one account that is right but for `body`, which begins in line 4."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"accounts:\n  home:\n    address: ann@example.org\n{lines}"


def test_the_example_of_the_guide_is_read_whole() -> None:
    work = load_text(EXAMPLE).accounts["work"]
    assert (work.name, work.address) == ("Ann Example", "ann@example.org")
    assert work.addresses == ("ann@example.org", "support@example.org", "ann@example.com")
    assert work.imap is not None
    assert (work.imap.host, work.imap.port, work.imap.security) == ("imap.example.org", 993, "tls")
    assert work.imap.password_command == "pass show mail/work"
    assert (work.fetch.every_s, work.fetch.folders) == (300, ["INBOX", "Lists/*"])
    assert work.offline.bodies_s == 90 * 86400
    assert work.folders == {"archive": "Archive"}


def test_an_alias_is_a_string_or_a_mapping_and_takes_the_rest_from_the_account() -> None:
    own, support, private = load_text(EXAMPLE).accounts["work"].identities
    assert (own.address, own.name) == ("ann@example.org", "Ann Example")
    assert (support.address, support.name) == ("support@example.org", "Ann Example")
    assert support.signature == "-- \nwritten on a typewriter"
    assert (private.name, private.signature) == ("Ann (private)", "-- \nAnn")


@pytest.mark.parametrize(
    ("server", "port", "security"),
    [
        ("imap: {host: h}", 993, "tls"),
        ("imap: {host: h, security: starttls}", 143, "starttls"),
        ("imap: {host: h, port: 143}", 143, "starttls"),
        ("imap: {host: h, port: 1143}", 1143, "tls"),
        ("pop3: {host: h}", 995, "tls"),
        ("pop3: {host: h, security: starttls}", 110, "starttls"),
        ("local: true\nsmtp: {host: h}", 465, "tls"),
        ("local: true\nsmtp: {host: h, security: starttls}", 587, "starttls"),
        ("local: true\nsmtp: {host: h, port: 587}", 587, "starttls"),
        ("local: true\nsmtp: {host: localhost, security: none}", 25, "none"),
    ],
)
def test_port_and_security_follow_from_each_other(server: str, port: int, security: str) -> None:
    home = load_text(account(server)).accounts["home"]
    found = home.imap or home.pop3 or home.smtp
    assert found is not None
    assert (found.port, found.security) == (port, security)


def test_the_login_name_is_the_servers_then_the_accounts_then_the_address() -> None:
    home = load_text(account("imap: {host: h}")).accounts["home"]
    assert home.imap is not None
    assert home.imap.user == "ann@example.org"
    home = load_text(account("user: ann\nimap: {host: h}\nsmtp: {host: h, user: relay}")).accounts["home"]
    assert home.imap is not None
    assert home.imap.user == "ann"
    assert home.smtp is not None
    assert home.smtp.user == "relay"


def test_authentication_is_the_servers_or_else_the_accounts() -> None:
    text = account("auth: {oauth2: google}\nimap: {host: h}\nsmtp: {host: h, auth: none}")
    home = load_text(text).accounts["home"]
    assert home.imap is not None
    assert home.imap.auth == OAuth(oauth2="google")
    assert home.smtp is not None
    assert home.smtp.auth == "none"
    home = load_text(account("oauth_command: token\nimap: {host: h}")).accounts["home"]
    assert home.imap is not None
    assert (home.imap.auth, home.imap.oauth_command) == ("oauth_command", "token")


def test_defaults_lie_under_every_account_and_the_account_wins() -> None:
    config = load_text(
        "defaults:\n  fetch: {every: 1m, idle: false}\n  smtp: {host: out, port: 587}\n"
        "accounts:\n  a: {address: a@x, local: true, fetch: {every: 2h}}\n"
        "  b: {address: b@x, local: true, sendmail: msmtp -t}\n"
        "  c: {address: c@x, local: true, smtp: {host: other}}\n"
        "  d: {address: d@x, local: true, smtp: null}\n"
    )
    a, b, c, d = (config.accounts[name] for name in "abcd")
    assert (a.fetch.every_s, a.fetch.idle) == (7200, False)
    assert a.smtp is not None
    assert (a.smtp.host, a.smtp.security) == ("out", "starttls")
    assert b.smtp is None
    assert b.sendmail == "msmtp -t"
    assert c.smtp is not None
    assert (c.smtp.host, c.smtp.port) == ("other", 587)
    assert d.smtp is None


def test_a_server_without_host_in_the_defaults_does_not_make_one() -> None:
    config = load_text("defaults: {imap: {ca: my.pem}}\naccounts: {a: {address: a@x, local: true}}")
    assert config.accounts["a"].imap is None


def test_other_ways_in() -> None:
    home = load_text(account("maildir: ~/Mail/home\nsendmail: [msmtp, -t]")).accounts["home"]
    assert home.maildir_path == Path.home() / "Mail/home"
    assert home.sendmail == ["msmtp", "-t"]
    pop3 = load_text(account("pop3: {host: h, keep_on_server: 14d}")).accounts["home"].pop3
    assert pop3 is not None
    assert pop3.keep_on_server_s == 14 * 86400
    pop3 = load_text(account("pop3: {host: h}")).accounts["home"].pop3
    assert pop3 is not None
    assert pop3.keep_on_server_s == math.inf


def test_never_all_and_headers_are_durations_too() -> None:
    home = load_text(account("local: true\nfetch: {every: never}\noffline: {bodies: all}")).accounts["home"]
    assert (home.fetch.every_s, home.offline.bodies_s) == (math.inf, math.inf)
    home = load_text(account("local: true\noffline: {bodies: headers}")).accounts["home"]
    assert home.offline.bodies_s == 0


def test_an_empty_file_has_no_accounts() -> None:
    assert load_text("").accounts == {}
    assert load_text("accounts:\n").accounts == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (account("imap:\n  host: h\n  port: 99999"), "6:13: accounts.home.imap.port: Expected int <= 65535"),
        (account("imap: {host: h, port: x}"), "4:27: accounts.home.imap.port: Expected int, got 'x'"),
        (
            account("imap: {host: h, usr: x}"),
            "4:21: accounts.home.imap.usr: unknown key 'usr'; did you mean 'user'?",
        ),
        (account("imap: {user: x}"), "4:5: accounts.home.imap: the key 'host' is missing"),
        (
            account("imap: {host: h, security: start}"),
            "4:31: accounts.home.imap.security: unknown value 'start'; did you mean 'starttls'?",
        ),
        (
            account("local: yes"),
            "4:12: accounts.home.local: Expected true or false, got 'yes'; did you mean true?",
        ),
        (
            account("local: true\nfetch: {every: 5}"),
            "5:20: accounts.home.fetch.every: Expected a duration such as 5m, or never, got 5",
        ),
        (
            account("local: true\nfolders: {archiv: A}"),
            "5:15: accounts.home.folders.archiv: unknown key 'archiv'; did you mean 'archive'?",
        ),
        (account("local: true\nlocal: true"), "5:5: accounts.home.local: duplicate key, first in line 4"),
        (
            account("local: true\naliases: [a@b, nope]"),
            "5:20: accounts.home.aliases[1].address: Expected an address such as ann@example.org, got 'nope'",
        ),
        (
            account("local: true\nauth: oauth2"),
            "5:11: accounts.home.auth: unknown value 'oauth2'; write {oauth2: google}",
        ),
        (
            account("local: true\nauth: oauth_command"),
            "5:11: accounts.home.auth: oauth_command is missing: the command that prints a token",
        ),
        (
            account("name: Ann"),
            "2:3: accounts.home: nothing says where its mail is; add imap, pop3, maildir, or `local: true`",
        ),
        (
            account("imap: {host: h}\nmaildir: m"),
            "5:5: accounts.home.maildir: an account has one place for its mail; imap is there already",
        ),
        (
            account("local: true\nsmtp: {host: h}\nsendmail: x"),
            "6:5: accounts.home.sendmail: an account has one way out for its mail; smtp is there already",
        ),
        (
            account("imap: {host: 'h:993'}"),
            "4:18: accounts.home.imap.host: write `host: h` and `port: 993`, got 'h:993'",
        ),
        ("acounts: {}", "1:1: acounts: unknown key 'acounts'; did you mean 'accounts'?"),
        ("accounts: [a]", "1:11: accounts: Expected a mapping"),
        ("- a", "1:1: Expected a mapping with the keys accounts and defaults"),
        ("a: [1\nb: 2\n", "2:2: not valid YAML: expected ',' or ']', but got ':'"),
        (
            "accounts:\n\t- x",
            "2:1: not valid YAML: found character '\\t' that cannot start any token; indent with spaces",
        ),
        ("x: &a [*a]", "1:4: not valid YAML: too many values by aliases"),
        ("x: \0", "1:1: character U+0000 at offset 3 is not allowed"),
        ("[" * 5000, "1:1: nested too deeply"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_a_way_out(text: str, problem: str) -> None:
    assert only_problem(text) == f"config.yaml:{problem}"


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        "accounts:\n  a: {address: nope, local: true}\n  b:\n    adress: b@x\n    imap: {hots: h, port: 0}\n"
        "    imap: {}\nx: 1\n"
    )
    assert [problem.split(": ")[:2] for problem in problems(text)] == [
        ["config.yaml:2:16", "accounts.a.address"],
        ["config.yaml:3:3", "accounts.b"],
        ["config.yaml:4:5", "accounts.b.adress"],
        ["config.yaml:5:5", "accounts.b.imap"],
        ["config.yaml:5:12", "accounts.b.imap.hots"],
        ["config.yaml:5:27", "accounts.b.imap.port"],
        ["config.yaml:6:5", "accounts.b.imap"],
        ["config.yaml:7:1", "x"],
    ]


def test_a_mistake_in_the_defaults_is_told_once_and_there() -> None:
    text = (
        "accounts:\n  a: {address: a@x, local: true}\n  b: {address: b@x, local: true}\n"
        "defaults:\n  fetch: {evry: 5m}\n"
    )
    assert (
        only_problem(text)
        == "config.yaml:5:11: defaults.fetch.evry: unknown key 'evry'; did you mean 'every'?"
    )


def test_aliases_of_aliases_do_not_blow_up() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for above, below in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{below}: &{below} [{', '.join(['*' + above] * 9)}]\n"
    assert "too many values by aliases" in only_problem(bomb)


def test_a_merge_key_brings_in_another_mapping() -> None:
    config = load_text(
        "accounts:\n  a: &a {address: a@x, imap: &s {host: h, port: 1143}}\n"
        "  b: {<<: *a, address: b@x, imap: {<<: *s, security: starttls}}\n"
    )
    imap = config.accounts["b"].imap
    assert imap is not None
    assert (imap.host, imap.port, imap.security) == ("h", 1143, "starttls")


@pytest.mark.parametrize("word", ["no", "on", "off", "010", "1_000", "2026-11-23", "1:30"])
def test_words_that_yaml_1_1_would_change_stay_text(word: str) -> None:
    assert load_text(account(f"local: true\nname: {word}")).accounts["home"].name == word


@pytest.mark.parametrize("number", ["0x47f", "0o2177", "1151"])
def test_whole_numbers_may_be_hexadecimal_or_octal(number: str) -> None:
    imap = load_text(account(f"imap: {{host: h, port: {number}}}")).accounts["home"].imap
    assert imap is not None
    assert imap.port == 1151


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", '"::1"', "mail.localhost"])
def test_no_encryption_is_fine_on_this_machine(host: str) -> None:
    load_text(account(f"imap: {{host: {host}, security: none}}"))


@pytest.mark.parametrize("host", ["imap.example.org", "10.0.0.1", "localhost.example.org", "128.0.0.1"])
def test_no_encryption_is_refused_elsewhere_unless_insecure(host: str) -> None:
    assert "use tls or starttls, or add `insecure: true`" in only_problem(
        account(f"imap: {{host: {host}, security: none}}")
    )
    load_text(account(f"imap: {{host: {host}, security: none, insecure: true}}"))


def test_a_secret_in_the_file_is_warned_about_and_shown_nowhere() -> None:
    config = load_text(account("imap: {host: h}\npassword: hunter2"))
    assert config.warnings[0].startswith("config.yaml:5:5: accounts.home.password: a secret in a file")
    imap = config.accounts["home"].imap
    assert imap is not None
    assert imap.password is not None
    assert imap.password.reveal() == "hunter2"
    assert "hunter2" not in repr(config.accounts) + "".join(config.warnings)


def test_a_secret_that_is_wrong_is_not_told() -> None:
    assert only_problem(account("local: true\npassword: 123456")).endswith("Expected text in quotes")


def test_a_servers_own_secret_goes_before_the_accounts() -> None:
    home = load_text(account("password_command: a\nimap: {host: h}\nsmtp: {host: h, password: p}")).accounts[
        "home"
    ]
    assert home.imap is not None
    assert home.imap.password_command == "a"
    assert home.smtp is not None
    assert home.smtp.password_command is None
    assert home.smtp.password is not None
    assert home.smtp.password.reveal() == "p"


def test_a_file_is_read_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(EXAMPLE)
    path.chmod(0o600)
    assert list(load(path).accounts) == ["work"]


def test_a_file_that_is_not_there_or_not_text_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with pytest.raises(ConfigError, match="no such file; `agent init` writes one"):
        load(path)
    path.write_bytes(b"accounts: \xff\xfe")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not UTF-8 at offset 10"):
        load(path)


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(EXAMPLE)
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="may be written by others; chmod go-w"):
        load(path)


def test_a_secret_in_a_file_that_others_may_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(account("local: true\npassword: p"))
    path.chmod(0o644)
    assert "others may read it now: chmod 600" in load(path).warnings[0]
    path.chmod(0o600)
    assert "others may read" not in load(path).warnings[0]
