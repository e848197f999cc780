"""The peers: mbsync, notmuch, mu, neomutt and imapfilter, each with the least configuration it takes."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmarks.measure import Failed, Measured, best_of, command, until_screen_shows
from scripts.benchmarks.rows import SEARCHES, Bench, Row, sum_of
from scripts.benchmarks.server import USER

MBSYNC = """\
IMAPAccount account
Host 127.0.0.1
Port {port}
User {user}
Pass {password}
SSLType None
AuthMechs LOGIN
Timeout 120

IMAPStore far
Account account

MaildirStore near
Path {folder}/
Inbox {folder}/inbox

Channel c
Far :far:
Near :near:
Patterns INBOX
Create Near
SyncState *
"""
NOTMUCH = """\
[database]
path={folder}/notmuch
mail_root={folder}/inbox
[user]
name=Bench
primary_email=bench@example.org
[new]
tags=unread;inbox
"""
NEOMUTT = """\
set folder = "imap://{user}@127.0.0.1:{port}/"
set spoolfile = "+INBOX"
set imap_pass = "{password}"
set ssl_starttls = no
set ssl_force_tls = no
set sleep_time = 0
set quit = yes
"""
IMAPFILTER = """\
options.starttls = false
options.timeout = 600
account = IMAP {{ server = '127.0.0.1', port = {port}, username = '{user}', password = '{password}' }}
kre = account.INBOX:contain_from('kre') * account.INBOX:is_seen()
linux = account.INBOX:match_subject('[Ll]inux')
print('found ' .. #kre .. ' and ' .. #linux)
"""
IMAPCLIENT = """\
import imapclient
client = imapclient.IMAPClient("127.0.0.1", port={port}, ssl=False)
client.login("{user}", "{password}")
client.select_folder("INBOX", readonly=True)
uids, count = client.search(), 0
for start in range(0, len(uids), 2000):
    count += len(client.fetch(uids[start : start + 2000], ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"]))
print(count)
"""


def _configure(bench: Bench, name: str, template: str) -> Path:
    file = bench.scratch / name
    server = bench.server
    values = {
        "port": server.ports["imap"],
        "user": USER,
        "password": server.password,
        "folder": bench.scratch,
    }
    file.write_text(template.format(**values))
    file.chmod(0o600)
    return file


def mbsync(bench: Bench) -> Measured:
    """Pull INBOX into a Maildir."""
    found = command(["mbsync", "-q", "-c", _configure(bench, "mbsyncrc", MBSYNC), "c"], _home(bench))
    count = sum(1 for _ in (bench.scratch / "inbox").glob("*/*,*"))
    if count != bench.count:
        raise Failed(f"mbsync has {count} of {bench.count} messages: {found.detail}")
    return Measured(found.seconds, found.memory_mb, f"{count:,} messages")


def mbsync_again(bench: Bench) -> Measured:
    """Pull once more."""
    bench.earlier("mbsync")
    return best_of([mbsync(bench) for _ in range(5)])


def notmuch_new(bench: Bench) -> Measured:
    """Index the Maildir that mbsync made."""
    bench.earlier("mbsync")
    (bench.scratch / "notmuch").mkdir()
    found = command(["notmuch", "new", "--no-hooks", "--quiet"], _notmuch_env(bench))
    return Measured(found.seconds, found.memory_mb)


def notmuch_search(bench: Bench) -> Measured:
    """Search the five queries, a process each."""
    bench.earlier("notmuch new")
    return _median(
        [command(["notmuch", "search", "--limit=50", "--", query], _notmuch_env(bench)) for query in SEARCHES]
    )


def mu_index(bench: Bench) -> Measured:
    """Index the Maildir that mbsync made."""
    bench.earlier("mbsync")
    where = f"--muhome={bench.scratch}/mu"
    command(["mu", "init", where, f"--maildir={bench.scratch}/inbox"], _home(bench))
    found = command(["mu", "index", where, "--quiet"], _home(bench))
    return Measured(found.seconds, found.memory_mb)


def mu_find(bench: Bench) -> Measured:
    """Search the five queries, a process each, newest first."""
    bench.earlier("mu index")
    options = [f"--muhome={bench.scratch}/mu", "--maxnum=50", "--sortfield=date", "--reverse"]
    return _median([command(["mu", "find", *options, query], _home(bench)) for query in SEARCHES])


def neomutt(bench: Bench) -> Measured:
    """Show the first screen, with every header fetched from the server."""
    return _neomutt(bench, NEOMUTT)


def neomutt_cached(bench: Bench) -> Measured:
    """Show the first screen with a header cache that an earlier start has filled."""
    template = NEOMUTT + 'set header_cache = "{folder}/hcache/"\n'
    (bench.scratch / "hcache").mkdir(exist_ok=True)
    _neomutt(bench, template)
    return best_of([_neomutt(bench, template) for _ in range(3)])


def imapfilter(bench: Bench) -> Measured:
    """Run the two searches; the second one fetches every subject."""
    config = _configure(bench, "imapfilter.lua", IMAPFILTER)
    return command(["imapfilter", "-c", config], _home(bench))


def python_start(bench: Bench) -> Measured:
    """Start the interpreter: what no Python program can be below."""
    return best_of([command([sys.executable, "-c", "pass"]) for _ in range(5)])


def imapclient(bench: Bench) -> Measured:
    """Fetch every ENVELOPE by the library as it is, in chunks of 2,000."""
    server = bench.server
    code = IMAPCLIENT.format(port=server.ports["imap"], user=USER, password=server.password)
    found = command([sys.executable, "-c", code])
    return Measured(found.seconds, found.memory_mb, f"{found.detail} messages")


def _neomutt(bench: Bench, template: str) -> Measured:
    config = _configure(bench, "neomuttrc", template)
    return until_screen_shows(["neomutt", "-n", "-F", config], "Msgs:", _home(bench))


def _home(bench: Bench) -> dict[str, str]:
    home = bench.scratch / "home"
    home.mkdir(exist_ok=True)
    return {"HOME": str(home), "LC_ALL": "C.UTF-8"}


def _notmuch_env(bench: Bench) -> dict[str, str]:
    return _home(bench) | {"NOTMUCH_CONFIG": str(_configure(bench, "notmuchrc", NOTMUCH))}


def _median(found: Sequence[Measured]) -> Measured:
    seconds = [each.seconds for each in found]
    spread = f"{min(seconds) * 1000:.0f}-{max(seconds) * 1000:.0f} ms"
    return Measured(statistics.median(seconds), max(each.memory_mb or 0 for each in found), spread)


ROWS = (
    Row("headers", "peer", "neomutt, no cache", neomutt, "neomutt"),
    Row("headers", "peer", "imapclient, ENVELOPE", imapclient),
    Row("first", "peer", "neomutt, nothing stored", sum_of("neomutt, no cache")),
    Row("screen", "peer", "neomutt, header cache", neomutt_cached, "neomutt"),
    Row("mirror", "peer", "mbsync", mbsync, "mbsync"),
    Row("mirror", "peer", "notmuch new", notmuch_new, "notmuch"),
    Row("mirror", "peer", "mu index", mu_index, "mu"),
    Row("mirror", "peer", "mbsync + notmuch new", sum_of("mbsync", "notmuch new")),
    Row("mirror", "peer", "mbsync + mu index", sum_of("mbsync", "mu index")),
    Row("again", "peer", "mbsync again", mbsync_again, "mbsync"),
    Row("search", "peer", "notmuch search", notmuch_search, "notmuch"),
    Row("search", "peer", "mu find", mu_find, "mu"),
    Row("rules", "peer", "imapfilter", imapfilter, "imapfilter"),
    Row("start", "peer", "python3 -c pass", python_start),
)
