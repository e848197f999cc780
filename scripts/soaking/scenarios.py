"""The scenarios: what goes on while the agent is killed and its line is cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agent import api
from agent.archive.found import Found
from agent.core import exchange
from agent.core import undo as undoing
from agent.core.account import Account
from agent.core.draft import Draft
from agent.core.messages import Messages
from agent.mail import query
from scripts.soaking.scenario import LETTER, Act, Scenario, Step, steps
from scripts.soaking.server import message

if TYPE_CHECKING:
    from agent.app import Agent
    from scripts.soaking.server import Mailbox

Boxes = Mapping[str, "Mailbox"]

# What servers lack: from Gmail-like to the oldest ones.
_NO_QRESYNC = ("QRESYNC",)
_PLAIN = ("QRESYNC", "CONDSTORE", "ESEARCH")
_NO_UIDPLUS = ("UIDPLUS", "LITERAL+")
_OLD = (*_PLAIN, *_NO_UIDPLUS, "MOVE", "LIST-EXTENDED", "SPECIAL-USE", "LIST-STATUS")


# -- who does what ---------------------------------------------------------------------------


def account(agent: Agent, name: str = "work") -> Account:
    """Return an account."""
    return agent.context.accounts[name]


def pick(agent: Agent, *numbers: int, folder: str = "INBOX", name: str = "work") -> Messages:
    """Return the messages with these numbers that are shown in a folder."""
    marks = ",".join("?" * len(numbers))
    rows = agent.context.store.read(
        "SELECT m.id FROM message m JOIN content c ON c.id = m.content JOIN folder f ON f.id = m.folder"
        " JOIN account a ON a.id = m.account"
        f" WHERE a.name = ? AND f.name = ? AND c.message_id IN ({marks}) ORDER BY m.id",
        (name, folder, *(f"m{number}@example.com" for number in numbers)),
    )
    if len(rows) < len(numbers):
        raise AssertionError(f"{len(rows)} of the messages {numbers} are shown in {name}/{folder}")
    return Messages(agent.context, query.Ids(tuple(row[0] for row in rows)))


def verb(name: str, *numbers: int, to: str = "", folder: str = "INBOX", **options: Any) -> Act:
    """Return the doing of a verb on some messages; `to` is a folder, or account:folder."""

    def act(agent: Agent) -> object:
        chosen = pick(agent, *numbers, folder=folder)
        words: list[object] = []
        if to:
            where, _, rest = to.rpartition(":")
            words.append(account(agent, where)[rest] if where else to)
        return getattr(chosen, name)(*words, **options)

    return act


def tag(name: str, *numbers: int, word: str, folder: str = "INBOX") -> Act:
    """Return the tagging (or `untag`) of some messages."""
    return lambda agent: getattr(pick(agent, *numbers, folder=folder), name)(word)


def compose(agent: Agent, subject: str, text: str) -> Draft:
    """Begin a message of the first account."""
    return api.compose("Bob <bob@example.net>", subject, text, account=account(agent))


def save(subject: str, text: str) -> Act:
    """Return the saving of a new draft."""
    return lambda agent: compose(agent, subject, text).save()


def kept(agent: Agent, subject: str) -> Draft:
    """Open the one saved draft with a subject."""
    found = [message for message in account(agent).drafts if message.subject == subject]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} drafts {subject!r}")
    return found[0].edit_as_new()


def save_again(subject: str, text: str) -> Act:
    """Return the saving of another version of a draft."""

    def act(agent: Agent) -> object:
        again = kept(agent, subject)
        again.text = text
        return again.save()

    return act


def send_kept(agent: Agent) -> object:
    """Send the draft that was saved."""
    return kept(agent, LETTER).send()


def answer(agent: Agent) -> object:
    """Answer a message."""
    [message] = pick(agent, 3)
    reply = message.reply("Yes.", quote=False)
    reply.subject = f"Re: {LETTER}"
    return reply.send()


def undo(agent: Agent) -> object:
    """Take the last change back."""
    return undoing.undo(agent.context)


def redo(agent: Agent) -> object:
    """Do it again."""
    return undoing.redo(agent.context)


def bring_in(agent: Agent) -> object:
    """Import messages from files."""
    found = [Found(f"file {number}", message(number), read=number) for number in range(50, 62)]
    return exchange.bring_in(account(agent)["Archive"], found, 1000, lambda progress: None)


def create(name: str) -> Act:
    """Return the creation of a folder."""
    return lambda agent: account(agent).create_folder(name)


def rename(name: str, new: str) -> Act:
    """Return the renaming of a folder."""
    return lambda agent: account(agent).rename_folder(name, new)


def delete_folder(name: str) -> Act:
    """Return the deletion of a folder and what is in it."""
    return lambda agent: account(agent).delete_folder(name, confirm=True)


# -- mailboxes -------------------------------------------------------------------------------


def usual(boxes: Boxes) -> None:
    """Some mail in the inbox, less of it in a list's folder and in the archive."""
    for box in boxes.values():
        box.put(range(1, 9), keywords=("urgent",))
        box.put(range(9, 15), flags="S")
        box.put([20, 21, 22, 23], "Lists", flags="S")
        box.put([30], "Archive", flags="FS")


def another_client(boxes: Boxes) -> None:
    """What somebody does elsewhere: flags, removals, moves, new mail."""
    work = boxes["work"]
    work.flag("add", "\\Flagged", 1, 9)
    work.flag("remove", "\\Seen", 10)
    work.flag("remove", "urgent", 2)
    work.flag("add", "later", 3)
    work.expunge(4, 11)
    work.move("Archive", 5)
    work.deliver(40, 41, 42, 43, 44, 45, 46)
    work.deliver(47, folder="Lists")
    work.expunge(20, folder="Lists")


def meddler(boxes: Boxes) -> None:
    """What somebody does elsewhere to the very messages that were changed here meanwhile."""
    work = boxes["work"]
    work.flag("add", "\\Answered \\Flagged", 1)
    work.flag("remove", "\\Seen", 9)
    work.flag("remove", "urgent", 4)
    work.expunge(2, 5, 7)
    work.move("Lists", 6)
    work.move("Archive", 8)
    work.deliver(40, 41)


def renumbered(boxes: Boxes) -> None:
    """Other UIDs for everything; and something new, something gone."""
    work = boxes["work"]
    work.expunge(14)
    work.renumber("INBOX")
    work.renumber("Archive")
    work.deliver(40)


def list_is_gone(boxes: Boxes) -> None:
    """The folder that something is to go to, and to leave, is deleted."""
    boxes["work"].delete_folder("Lists")


# -- what is asked for -----------------------------------------------------------------------

VERBS = steps(
    verb("flag", 1, 2, 3),
    verb("mark_read", 1),
    tag("tag", 3, 9, word="later"),
    tag("untag", 4, word="urgent"),
    verb("move", 5, 6, to="Archive"),
    verb("flag", 5, folder="Archive"),
    verb("copy", 7, 8, to="Lists"),
    verb("delete", 12),
    verb("trash", 13),
    verb("move", 8, to="Lists"),
    verb("mark_unread", 20, 21, folder="Lists"),
    verb("move", 22, to="INBOX", folder="Lists"),
)
CLASHING = steps(
    verb("mark_read", 1),
    verb("unflag", 30, folder="Archive"),
    verb("flag", 2, 9),
    tag("tag", 4, word="later"),
    verb("move", 5, 6, to="Archive"),
    verb("delete", 7),
    verb("copy", 3, to="Lists"),
    verb("move", 8, to="Trash"),
    verb("delete", 10),
)
ABOUT_TO_MOVE = steps(
    verb("flag", 1, 2),
    verb("move", 3, 4, to="Archive"),
    verb("copy", 5, to="Archive"),
    verb("delete", 6),
    verb("copy", 30, to="INBOX", folder="Archive"),
    tag("tag", 7, word="later"),
    verb("trash", 9),
    verb("unflag", 30, folder="Archive"),
    save("draft one", "First."),
)
DRAFTS = steps(
    save("draft one", "First."),
    save("draft two", "Second."),
    save_again("draft one", "First, better."),
    save_again("draft two", "Second, better."),
)
ACROSS = steps(
    verb("copy", 1, 2, to="home:Lists"),
    verb("move", 3, 4, to="home:INBOX"),
    verb("flag", 5),
    verb("move", 5, to="home:Archive"),
)


def _variants(one: Scenario, *kinds: tuple[str, tuple[str, ...]]) -> list[Scenario]:
    return [replace(one, name=f"{one.name} {word}", lacking=lacking) for word, lacking in kinds]


def _all() -> list[Scenario]:
    first = Scenario("first", "first listing, bodies, index", usual, synced=False)
    news = Scenario("news", "what another client did", usual, elsewhere=another_client)
    verbs = Scenario("verbs", "verbs said offline", usual, offline=VERBS)
    live = Scenario("live", "verbs as they are said", usual, phases=(VERBS,))
    clash = Scenario(
        "clash", "verbs here and there on the same mail", usual, offline=CLASHING, elsewhere=meddler
    )
    validity = Scenario(
        "validity", "a new UIDVALIDITY with verbs pending", usual, offline=ABOUT_TO_MOVE, elsewhere=renumbered
    )
    drafts = Scenario("drafts", "drafts and their versions", usual, phases=(DRAFTS[:2], DRAFTS[2:]))
    across = Scenario(
        "across", "copies and moves to another account", usual, offline=ACROSS, accounts=("work", "home"),
        bodies="headers",
    )  # fmt: skip
    undone = Scenario(
        "undo", "verbs, undone before and after the wire heard", usual,
        phases=(
            steps(verb("flag", 1, 2), verb("move", 3, 4, to="Archive"), verb("copy", 5, to="Lists"), undo),
            steps(undo, verb("mark_read", 6)),
            steps(undo),
            steps(redo),
        ),
    )  # fmt: skip
    undone_across = Scenario(
        "undo across", "a move to another account, taken back and done again", usual,
        phases=(steps(verb("move", 1, 2, to="home:Lists")), steps(undo), steps(redo)),
        accounts=("work", "home"),
    )  # fmt: skip
    send = Scenario(
        "send", "a letter sent, its draft removed, its copy kept", usual,
        phases=(steps(save(LETTER, "Hello.")), steps(Step(send_kept, 2))), doubtful=True,
    )  # fmt: skip
    replied = Scenario(
        "answer", "an answer, marked on what it answers", usual, phases=(steps(answer),), doubtful=True
    )
    many = Scenario(
        "bulk", "verbs on many messages", usual,
        phases=(steps(verb("mark_read", *range(1, 15)), verb("archive", *range(1, 13))),),
    )  # fmt: skip
    imported = Scenario(
        "import", "messages from files", usual, offline=(*steps(bring_in), *DRAFTS[:1])
    )  # fmt: skip
    folders = Scenario(
        "folders", "folders created, renamed, deleted", usual,
        phases=(
            steps(create("New"), rename("Lists", "List")),
            steps(verb("move", 1, 2, to="New"), verb("move", 20, to="INBOX", folder="List")),
            steps(delete_folder("List"), verb("flag", 1, folder="New")),
        ),
    )  # fmt: skip
    gone = Scenario(
        "gone", "verbs pending in a folder deleted elsewhere", usual, elsewhere=list_is_gone,
        offline=steps(
            verb("move", 1, 2, to="Lists"), verb("copy", 3, to="Lists"), verb("flag", 20, folder="Lists"),
            verb("move", 21, to="INBOX", folder="Lists"), verb("flag", 4),
        ),
    )  # fmt: skip
    return [
        first,
        *_variants(first, ("old", _OLD)),
        *_variants(news, ("qresync", ()), ("condstore", _NO_QRESYNC), ("plain", _PLAIN)),
        verbs,
        *_variants(verbs, ("old", _OLD), ("no-uidplus", _NO_UIDPLUS)),
        live,
        clash,
        replace(clash, name="clash sync-first", journal_first=False),
        *_variants(clash, ("plain", _PLAIN)),
        validity,
        replace(validity, name="validity sync-first", journal_first=False),
        *_variants(validity, ("old", _OLD)),
        drafts,
        *_variants(drafts, ("old", _NO_UIDPLUS)),
        across,
        *_variants(across, ("old", _NO_UIDPLUS)),
        undone,
        undone_across,
        send,
        *_variants(send, ("old", _NO_UIDPLUS)),
        replied,
        many,
        imported,
        *_variants(imported, ("old", _NO_UIDPLUS)),
        folders,
        gone,
    ]


SCENARIOS = {scenario.name: scenario for scenario in _all()}
