"""Copy what you like into init.py beside config.yaml (`agent init` makes both). It is loaded at
every start of the console and of `agent rules`. It is Python, and what `agent.api` has is in
scope. Each block below stands alone.
"""

from agent.api import *

# %% Say when mail from somebody comes. A hook is called once for each new message, its text here.


@on.message_new(folder="INBOX", match="from:bob")
def star_bob(event):
    event.message.flag()


# %% File mail. A rule is a query, as typed at /, and a function; `stop` ends the chain.


@rule("is:list", order=10, stop=True)
def lists(message):
    message.tag("list")
    message.mark_read()


# %% Match by Python where the query language is not enough.


@rule(lambda message: message.to_me and message.size > 5_000_000)
def large(message):
    message.tag("large")


# %% Answer everybody while you are away: once a week each, never lists, programs or yourself.

vacation("I am away and read my mail again on 1 September.", until="2026-09-01", days=7)

# %% Answer by a rule of your own. It passes the same gate; `handle` is what the week counts for.


@rule("to:support@ -from:@demo.example")
def receipt(message):
    message.auto_reply("Thank you, we answer within two days.", handle="receipt", every="7d")


# %% Tell another address. What a rule sends says that it is automatic, and there is a cap an hour.


@rule("subject:urgent")
def pager(message):
    message.forward("pager@elsewhere.example", "Urgent:").send()


option("automatic-per-hour", 10)

# %% Do something every so often, or at a time of day.


@every("10m")
def old_notices():
    inbox.search("is:automatic is:read older:30d").archive()


@at("18:00")
def day_is_done():
    inbox.search("is:read -is:flagged older:2w").archive()


# %% A command of the : line. The annotations say what it takes: `:park 3` or the key.


@command("park", key=",p", context="index")
def park(sel: Messages, days: int = 1):
    "Tag the selected messages to be looked at in some days"
    sel.tag(f"park-{days}d")


# %% Keys of your own. `,` is never bound by the program.

bind(",u", "search is:unread")

# %% Options. `:set` shows all of them.

option("wrap", 80)

# %% Each account is a variable, so are its folders by role.

for account in accounts.values():
    print(f"{account.name}: {account.inbox.unread.count()} unread")
