"""Tags as the store keeps them: one text, sorted, with a blank on either side of each tag.

Some of it is known to SQL too (functions.py): verbs on 100,000 messages are one statement.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

_KNOWN = 4096  # a mailbox has few different sets of tags


def join_tags(tags: Iterable[str]) -> str:
    """Return tags as the store keeps them: sorted, with a blank on either side of each."""
    found = sorted(set(tags))
    return f" {' '.join(found)} " if found else ""


def split_tags(tags: str) -> frozenset[str]:
    """Return the tags of a stored text."""
    return frozenset(tags.split())


@lru_cache(_KNOWN)
def with_tags(tags: str, add: str, remove: str) -> str:
    """Return stored tags with some added and some taken off."""
    return join_tags(split_tags(tags) - split_tags(remove) | split_tags(add))


@lru_cache(_KNOWN)
def common_tags(one: str, other: str) -> str:
    """Return the tags that two stored texts share."""
    return join_tags(split_tags(one) & split_tags(other))


@lru_cache(_KNOWN)
def other_tags(one: str, other: str) -> str:
    """Return the tags of the first stored text that the second lacks."""
    return join_tags(split_tags(one) - split_tags(other))
