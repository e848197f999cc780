"""Read the query language, as typed at `/`, into the nodes of query.py.

    query = all { "OR" all }      all = one { ["AND"] one }      one = ["-" | "NOT"] ( "(" query ")" | term )
    term  = word | word* | "some words" | field:value | *

OR, AND and NOT are capitals; AND binds tighter than OR. Pure: the moment that `2w` and `monday` count
from is an argument.

>>> str(parse("from:bob lunch OR -is:read", now=0))
'(from:bob lunch) OR -is:read'
"""

from __future__ import annotations

import re
from datetime import tzinfo

from agent.errors import CommandError, QueryError, did_you_mean
from agent.mail.query import PERSON_FIELDS, All, Node, all_of, any_of, none_of
from agent.mail.query_fields import FIELDS, WORD_FIELDS, literal, simple
from agent.mail.query_keywords import from_keywords

__all__ = ["from_keywords", "parse"]

MAX_DEPTH = 50

_FIELD = re.compile(r"([A-Za-z][A-Za-z-]*):")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r'[^\s()"]+')


def parse(text: str, now: float, tz: tzinfo | None = None) -> Node:
    """Read a query; no text at all means every message.

    Dates count from `now` in the time zone `tz` (None: the machine's). Raises QueryError, which
    points at the place.
    """
    return _Reader(text, now, tz).read()


class _Reader:
    """A recursive descent over one query."""

    def __init__(self, text: str, now: float, tz: tzinfo | None) -> None:
        self.text, self.now, self.tz = text, now, tz
        self.at = 0
        self.depth = 0

    def read(self) -> Node:
        if not self._peek():
            return All()
        node = self._any()
        if self._peek():
            raise self._error("a ) without its (", self.at)
        return node

    def _peek(self) -> str:
        """Skip blanks and return the next character, empty at the end."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def _error(self, message: str, position: int) -> QueryError:
        return QueryError(message, self.text, position)

    def _operator(self, *words: str) -> str:
        """Take one of the operators if it comes next."""
        self._peek()
        bare = _BARE.match(self.text, self.at)
        if not bare or bare[0] not in words:
            return ""
        self.at = bare.end()
        return bare[0]

    def _any(self) -> Node:
        items = [self._all()]
        while self._operator("OR"):
            items.append(self._all())
        return any_of(items)

    def _all(self) -> Node:
        items = [self._one()]
        while self._peek() not in ("", ")"):
            start = self.at
            if self._operator("OR"):
                self.at = start
                break
            self._operator("AND")
            items.append(self._one())
        return all_of(items)

    def _one(self) -> Node:
        char, start = self._peek(), self.at
        operator = self._operator("NOT", "AND", "OR")
        if operator in ("AND", "OR"):
            raise self._error(f"{operator} needs something before it; quote it to search for the word", start)
        if char in ("", ")"):
            raise self._error("something to search for is missing", start)
        if not operator and char != "-" and char != "(":
            return self._term()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} levels", start)
        node = self._group(start) if char == "(" else self._negated(operator)
        self.depth -= 1
        return node

    def _negated(self, operator: str) -> Node:
        if not operator:
            self.at += 1
            if self.text[self.at : self.at + 1].isspace():
                raise self._error("- stands right before what is left out, with no blank", self.at - 1)
        return none_of(self._one())

    def _group(self, start: int) -> Node:
        self.at += 1
        node = self._any()
        if self._peek() != ")":
            raise self._error("a ( without its )", start)
        self.at += 1
        return node

    def _term(self) -> Node:
        start = self.at
        field = ""
        if match := _FIELD.match(self.text, self.at):
            field = match[1].lower()
            if field not in FIELDS:
                hint = did_you_mean(field, FIELDS) or "; quote it to search for the text"
                raise self._error(f"unknown field {match[0]!r}{hint}", start)
            self.at = match.end()
        value_at = self.at
        value, quoted = self._value(field)
        return self._node(field, value, quoted, value_at)

    def _value(self, field: str) -> tuple[str, bool]:
        start = self.at
        if self.text[start : start + 1] == '"':
            match = _QUOTED.match(self.text, start)
            if not match:
                raise self._error('a " without its end', start)
            self.at = match.end()
            return re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL), True
        match = _BARE.match(self.text, start)
        if not match:
            raise self._error(f"{field}: needs a value right after it", start)
        self.at = match.end()
        return match[0], False

    def _node(self, field: str, value: str, quoted: bool, at: int) -> Node:
        try:
            if field in ("", *WORD_FIELDS):
                return self._words(field or "any", value, quoted, at)
            if field in PERSON_FIELDS and not quoted:
                value = value.strip("*")  # any part matches anyhow
            return simple(field, value, self.now, self.tz)
        except QueryError:
            raise
        except CommandError as error:
            raise self._error(str(error), at) from None

    def _words(self, field: str, value: str, quoted: bool, at: int) -> Node:
        if quoted:
            prefix = self.text[self.at : self.at + 1] == "*"
            self.at += prefix
            return literal(field, value, prefix=prefix)
        if value == "*" and field == "any":
            return All()
        word = value.removesuffix("*")
        if "*" in word:
            raise self._error("* stands at the end of a word only", at + word.index("*"))
        return literal(field, word, prefix=word != value)
