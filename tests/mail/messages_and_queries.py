"""Messages and queries for the tests of the query language, chosen so that they meet now and then."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from agent.mail import flags, query
from agent.mail.words import tokens


@dataclass(frozen=True)
class Mail:
    """A message to ask queries about."""

    row: int = 1
    id: str = "m1"
    message_id: str = "one@example.org"
    account: str = "work"
    folder: str = "INBOX"
    folder_row: int = 1
    role: str = "inbox"
    subject: str = "Lunch on Thursday"
    from_: str = "Bob Müller <bob@example.org>"
    to: str = "Ann <ann@example.org>"
    cc: str = ""
    bcc: str = ""
    list_id: str = ""
    body: str = "Shall we meet at the café?"
    filenames: tuple[str, ...] = ()
    flags: int = 0
    tags: frozenset[str] = frozenset()
    traits: frozenset[str] = frozenset()
    date: int = 1_000
    received: int = 1_000
    size: int = 500
    thread: frozenset[str] = frozenset()

    @property
    def people(self) -> str:
        return "\n".join((self.from_, self.to, self.cc, self.bcc))

    def trait(self, name: str) -> bool:
        return name in self.traits

    def in_thread(self, value: str) -> bool:
        return value in self.thread


WORDS = [
    "lunch",
    "Café",
    "cafe",
    "meet",
    "me",
    "東京",
    "OR",
    "a",
    "bob@x",
    "re",
    "-",
    '"',
    "\\",
    "*",
    "x:y",
    "(",
]
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=8
)
NAMES = st.sampled_from(["inbox", "Work", "Lists/py", "a b", "x)", "-", "*", 'q"', "<", "é"]) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5
)
NUMBERS = st.none() | st.integers(0, 2_000) | st.integers(0, 1 << 40)
SECONDS = st.none() | st.integers(0, 2_000) | st.integers(-(10**10), 2 * 10**11)
# The brackets of an id are dropped on reading.
IDS = NAMES.filter(lambda text: text == text.strip().strip("<>"))

LEAVES = st.one_of(
    st.just(query.All()),
    st.builds(
        query.Words,
        st.sampled_from(query.WORD_FIELDS),
        TEXTS.filter(lambda text: bool(tokens(text))),
        st.sampled_from(query.WORD_KINDS),
    ),
    st.builds(query.Person, st.sampled_from(query.PERSON_FIELDS), NAMES),
    st.builds(query.Is, st.sampled_from(query.IS_NAMES)),
    st.builds(query.Has, st.sampled_from(query.HAS_NAMES)),
    st.builds(query.Tag, NAMES),
    st.builds(query.In, NAMES),
    st.builds(query.InAccount, NAMES),
    st.builds(query.Id, IDS),
    st.builds(query.ThreadOf, IDS),
    st.builds(query.Date, st.sampled_from(query.DATE_FIELDS), SECONDS, SECONDS),
    st.builds(query.Size, NUMBERS, NUMBERS),
)
NODES = st.recursive(
    LEAVES,
    lambda nodes: st.one_of(
        st.lists(nodes, max_size=3).map(query.all_of),
        st.lists(nodes, max_size=3).map(query.any_of),
        nodes.map(query.none_of),
    ),
    max_leaves=8,
)
MAILS = st.builds(
    Mail,
    folder=st.sampled_from(["INBOX", "Lists/py"]),
    subject=st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join),
    from_=st.sampled_from(["", "Bob <bob@x>", "é"]),
    body=st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join),
    filenames=st.lists(st.sampled_from(["lunch.pdf", "東京.png"]), max_size=2).map(tuple),
    flags=st.integers(0, flags.FORWARDED * 2 - 1),
    tags=st.frozensets(st.sampled_from(["$muted", "a b", "é"])),
    traits=st.frozensets(st.sampled_from(["automatic", "list", "bounce", *query.HAS_NAMES])),
    date=st.integers(0, 2_000),
    received=st.integers(0, 2_000),
    size=st.integers(0, 2_000),
    thread=st.frozensets(st.sampled_from(["m1", "x)"])),
)
