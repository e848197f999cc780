"""Conversations: who answers whom, by RFC 5256 THREAD=REFERENCES, in linear time. Pure.

`forest` is the RFC's algorithm. `partition` only says which messages belong together, by rules that
do not depend on the order in which they come, so that a store can keep it message by message:
a mention joins (as in notmuch), and what has the same base subject at its beginning is one.
"""

from __future__ import annotations

import hashlib
import re
import struct
import unicodedata
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

_LONGEST_SUBJECT = 1000

_BLOB = re.compile(r"\[[^\[\]]*\]\s*")
_BLOBS = re.compile(r"(?:\[[^\[\]]*\]\s*)*")
_DIGITS = re.compile(r"[^@]*[0-9]")
_REPLIES = re.compile(r"(?:(?:re|fwd?)\s*:\s*)*", re.IGNORECASE)
_REPLY = re.compile(r"(?:re|fwd?)\s*(?:\[[^\[\]]*\]\s*)?:\s*", re.IGNORECASE)


class Entry(NamedTuple):
    """What threading looks at; ids have no brackets, `date` is in seconds since 1970."""

    message_id: str
    references: tuple[str, ...]
    in_reply_to: tuple[str, ...]
    date: int
    subject: str

    @property
    def ancestors(self) -> list[str]:
        """The ids it descends from, the parent last: In-Reply-To counts only without References.

        What has no `@` is no id (RFC 5322): many messages answered `yes` to what asked for one.
        """
        found = [name for name in self.references if "@" in name]
        if not found and self.in_reply_to:
            found = [name for name in self.in_reply_to if "@" in name]
            # MH writes `Message from Bob <bob@x> of "today" <2026.1@x>`; ids have digits, people seldom.
            found = [name for name in found if _DIGITS.match(name)][:1] or found[:1]
        return found

    @property
    def own(self) -> str:
        """The id it bears, empty when that is none."""
        return self.message_id if "@" in self.message_id else ""


@dataclass(slots=True)
class Node:
    """A message in a tree (its index in the rows), or one that is missing but has several answers."""

    entry: int | None
    children: list[Node] = field(default_factory=list)

    def walk(self) -> Iterator[tuple[Node, Node | None]]:
        """Yield every node below and including this one with its parent, in the order of reading."""
        waiting: list[tuple[Node, Node | None]] = [(self, None)]
        while waiting:
            node, parent = waiting.pop()
            yield node, parent
            waiting.extend((child, node) for child in reversed(node.children))


def base_subject(subject: str) -> tuple[str, bool]:
    """Return the subject without what replies and forwards add (RFC 5256, 2.1), and whether it had such."""
    text = " ".join(subject[:_LONGEST_SUBJECT].split())
    answers = False
    if "[" not in text and text[-1:] != ")":  # nearly all
        plain = _REPLIES.match(text)
        position = plain.end() if plain else 0
        return _folded(text[position:]), position > 0
    while True:
        shorter = _without_trailer(text)
        answers = answers or len(shorter) < len(text.rstrip())
        text, stripped = _without_leader(shorter)
        answers = answers or stripped
        if not (text[:5].casefold() == "[fwd:" and text.endswith("]")):
            break
        text, answers = text[5:-1].strip(), True
    return _folded(text), answers


def _folded(text: str) -> str:
    return (text if text.isascii() else unicodedata.normalize("NFKD", text)).casefold()


def _without_trailer(text: str) -> str:
    # Looked for from the end: a search for it from the beginning would be quadratic.
    while True:
        shorter = text.rstrip()
        if shorter[-5:].casefold() == "(fwd)":
            shorter = shorter[:-5]
        if len(shorter) == len(text):
            return text
        text = shorter


def _without_leader(text: str) -> tuple[str, bool]:
    """Cut off `Re:`, `[list] Fwd:` and the like, and `[list]` where something else is left."""
    position, answers = 0, False
    while True:
        blobs = _BLOBS.match(text, position)
        after = blobs.end() if blobs else position
        reply = _REPLY.match(text, after)
        if reply is None:
            break
        position, answers = reply.end(), True
    while after == len(text) and (blob := _BLOB.match(text, position)) and blob.end() < after:
        position = blob.end()
    return text[position if after == len(text) else after :], answers


# -- which belong together ---------------------------------------------------------------------


class Sets:
    """Disjoint sets of numbers that grow together (union-find)."""

    def __init__(self) -> None:
        self._up: list[int] = []

    def add(self) -> int:
        """Make a set with one new number."""
        self._up.append(len(self._up))
        return len(self._up) - 1

    def find(self, number: int) -> int:
        """Return the number that stands for the set of this one."""
        up = self._up
        while up[number] != number:
            up[number] = number = up[up[number]]
        return number

    def join(self, one: int, other: int) -> None:
        """Put the set of `other` into that of `one`, whose representative stays."""
        self._up[self.find(other)] = self.find(one)


# What decides the subject of a family: no references, early, the number of its base subject.
Lead = tuple[bool, int, int]

# Above every number of a subject, so that a message with a subject goes before one without.
NO_SUBJECT = (1 << 63) - 1


def numbers_of(texts: Collection[str]) -> list[int]:
    """Return a number for each text, the same on every machine, from 2**62 to 2**63."""
    digests = [
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts
    ]
    numbers = struct.unpack(f">{len(digests)}Q", b"".join(digests))
    return [number >> 2 | 1 << 62 for number in numbers]


def number_of(text: str) -> int:
    """Return the number of one text."""
    return numbers_of([text])[0]


def subject_numbers(subjects: Iterable[str]) -> dict[str, int]:
    """Return the number of the base subject of each subject."""
    bases = {subject: base_subject(subject)[0] for subject in set(subjects)}
    distinct = set(bases.values())
    numbers = dict(zip(distinct, numbers_of(distinct), strict=True)) | {"": NO_SUBJECT}
    return {subject: numbers[base] for subject, base in bases.items()}


def partition(entries: Sequence[Entry]) -> list[int]:
    """Return for each message the number of its conversation; the order of the messages does not matter.

    All that mention an id, and the message with that id, are a family. Its beginning is the earliest
    message without references, else the earliest. Families whose beginnings have the same base
    subject are one conversation (RFC 5256, step 5). Where this differs from Dovecot's THREAD, and
    why, is what the last tests of this module tell.
    """
    sets, known = Sets(), dict[str, int]()
    families = [_family(entry, sets, known) for entry in entries]
    subjects = subject_numbers(entry.subject for entry in entries)
    leads: dict[int, Lead] = {}
    for number, entry in zip(families, entries, strict=True):
        root, lead = sets.find(number), (len(entry.ancestors) > 0, entry.date, subjects[entry.subject])
        leads[root] = min(leads.get(root, lead), lead)
    keys: dict[int, int] = {}
    found = []
    for number in families:
        root = sets.find(number)
        subject = leads[root][2]
        found.append(keys.setdefault(root if subject == NO_SUBJECT else subject, len(keys)))
    return found


def _family(entry: Entry, sets: Sets, known: dict[str, int]) -> int:
    own: int | None = None
    for name in (entry.own, *entry.ancestors):
        if not name:
            continue
        number = known.get(name)
        if number is None:
            number = known[name] = sets.add()
        if own is not None:
            sets.join(own, number)
        own = number
    return sets.add() if own is None else own


# -- who answers whom --------------------------------------------------------------------------


def tree(entries: Sequence[Entry]) -> Node:
    """Return the one tree of the messages of a conversation, which must not be none."""
    return forest(entries, [0] * len(entries))[0]


def forest(entries: Sequence[Entry], keys: Sequence[Hashable] | None = None) -> list[Node]:
    """Return the trees of messages that are given in the order of the mailbox (RFC 5256, REFERENCES).

    Trees that begin with the same key are merged; the keys are the base subjects unless they are
    given. A key that is empty text merges nothing.
    """
    bases = [base_subject(entry.subject) for entry in entries]
    if keys is None:
        keys = [base for base, _ in bases]
    roots = _grown(entries, _Links(entries).anchors())

    def order(node: Node) -> tuple[int, int]:
        first = _first(node)
        return entries[first].date, first

    for root in roots:
        for node, _ in root.walk():
            node.children.sort(key=order)
    roots.sort(key=order)
    merged, touched = _merged(roots, keys, [answers for _, answers in bases])
    for node in touched:
        node.children.sort(key=order)
    merged.sort(key=order)
    return merged


class _Links:
    """The parents of messages and missing messages; numbers from len(entries) on are the missing."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._count = len(entries)
        self._sets = Sets()
        self._parents: list[int | None] = []
        self._known: dict[str, int] = {}
        for entry in entries:
            number = self._add()
            if name := entry.own:
                # Of several with one id the first bears it; the others have none (RFC 5256).
                self._known.setdefault(name, number)
        self._link(entries)

    def _add(self) -> int:
        self._parents.append(None)
        return self._sets.add()

    def _number(self, name: str) -> int:
        number = self._known.get(name)
        if number is None:
            number = self._known[name] = self._add()
        return number

    def _link(self, entries: Sequence[Entry]) -> None:
        # What a message says about itself goes before what others say about it, so that no link
        # has to be cut again and the order of the messages matters little.
        chains = [[self._number(name) for name in entry.ancestors] for entry in entries]
        for number, chain in enumerate(chains):
            if chain:
                self._put_below(chain[-1], number)
        for chain in chains:
            for parent, child in pairwise(chain):
                said = child < self._count and chains[child]
                if self._parents[child] is None and not said:
                    self._put_below(parent, child)

    def _put_below(self, parent: int, child: int) -> None:
        """Link, unless that would close a loop; the child must have no parent yet."""
        if self._sets.find(parent) != child:
            self._parents[child] = parent
            self._sets.join(parent, child)

    def anchors(self) -> list[int | None]:
        """Return the nearest ancestor of each message that exists, else the farthest missing one."""
        found: list[int | None] = [None] * len(self._parents)
        for number in range(self._count, len(self._parents)):
            path = []
            top: int | None = number
            while top is not None and top >= self._count and found[top] is None:
                path.append(top)
                top = self._parents[top]
            if top is None:
                top = path[-1]
            elif top >= self._count:
                top = found[top]
            for each in path:
                found[each] = top
        return [
            found[parent] if parent is not None and parent >= self._count else parent
            for parent in self._parents[: self._count]
        ]


def _grown(entries: Sequence[Entry], anchors: Sequence[int | None]) -> list[Node]:
    """Make nodes of the messages, and of missing ones that hold several together; return the roots."""
    nodes = [Node(number) for number in range(len(entries))]
    missing: dict[int, Node] = {}
    roots = []
    for node, anchor in zip(nodes, anchors, strict=True):
        if anchor is None:
            roots.append(node)
        elif anchor < len(nodes):
            nodes[anchor].children.append(node)
        else:
            missing.setdefault(anchor, Node(None)).children.append(node)
    roots += [node if len(node.children) > 1 else node.children[0] for node in missing.values()]
    return roots


def _first(node: Node) -> int:
    """Return the message a tree begins with; children are in order."""
    while node.entry is None:
        node = node.children[0]
    return node.entry


def _merged(
    roots: Sequence[Node], keys: Sequence[Hashable], answers: Sequence[bool]
) -> tuple[list[Node], list[Node]]:
    """Merge trees with the same key (RFC 5256, step 5); return the roots and the nodes that got children."""
    table: dict[Hashable, Node] = {}
    for root in roots:
        key = keys[_first(root)]
        if key != "" and (key not in table or _is_better(root, table[key], answers)):
            table[key] = root
    kept: dict[int, Node] = {}
    touched: dict[int, Node] = {}
    for root in roots:
        key = keys[_first(root)]
        head = table.get(key, root)
        if head is not root:
            table[key] = head = _put_together(head, root, answers, kept)
            touched[id(head)] = head
        kept.setdefault(id(head), head)
    return list(kept.values()), list(touched.values())


def _is_better(node: Node, known: Node, answers: Sequence[bool]) -> bool:
    """Tell whether a tree is rather the beginning than the one found before."""
    if known.entry is None:
        return False
    return node.entry is None or (answers[known.entry] and not answers[node.entry])


def _put_together(head: Node, root: Node, answers: Sequence[bool], kept: dict[int, Node]) -> Node:
    """Put a tree below or beside the head of its subject; return the head from now on."""
    if head.entry is None:
        head.children += [root] if root.entry is not None else root.children
        return head
    if root.entry is not None and answers[root.entry] and not answers[head.entry]:
        head.children.append(root)
        return head
    kept.pop(id(head), None)
    return Node(None, [head, root])
