"""The exceptions of the agent; every layer may import this module.

AgentError
├── ConfigError          config.yaml or init.py is wrong; the text says where and what to write
├── CommandError         an expected failure of something the user asked for: one line, no traceback
│   ├── QueryError       a search query that cannot be read; knows the position
│   └── NotFound         a name that nothing has; also a KeyError
├── NetworkError         the wire failed; trying again later may help
│   ├── AuthError        the server refuses the login; trying again does not help
│   ├── TLSError         no trustworthy encryption; nothing was sent
│   └── Refused          the server understood and said no
├── StoreError           the local store is full, locked or too new
│   └── Damaged          its file does not hold together; the next start rebuilds it
├── WouldDeadlock        waiting here would stop the thread that has to do the work
├── Abandoned            the handler ran past its limit; its calls are no longer served
└── NoAgentError         the API was used without a running agent
"""

from __future__ import annotations

from collections.abc import Iterable


class AgentError(Exception):
    """Base of every error the agent raises on purpose."""


class ConfigError(AgentError):
    """The configuration is wrong; `problems` lists every problem found, one line each."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class CommandError(AgentError):
    """Something the user asked for cannot be done; shown as one line."""


class QueryError(CommandError):
    """A search query cannot be read; `position` is the offset of the offending character."""

    def __init__(self, message: str, query: str, position: int) -> None:
        super().__init__(f"{message}\n  {query}\n  {' ' * position}^")
        self.query = query
        self.position = position


class NotFound(CommandError, KeyError):
    """Nothing has this name."""

    __str__ = Exception.__str__  # KeyError would show the repr


class NetworkError(AgentError):
    """The connection failed or is not there; trying again later may help."""


class AuthError(NetworkError):
    """The server refuses the credentials."""


class TLSError(NetworkError):
    """The connection cannot be trusted; no secret was sent over it."""


class Refused(NetworkError):
    """The server understood the request and refused it; `permanent` says whether for good."""

    def __init__(self, message: str, *, permanent: bool = True, code: int = 0) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.code = code


class StoreError(AgentError):
    """The local store cannot be used."""


class Damaged(StoreError):
    """The file of the store does not hold together."""


class WouldDeadlock(AgentError):
    """Waiting on this thread would stop the very work that is waited for."""


class Abandoned(AgentError):
    """The handler that makes this call was given up on."""


class NoAgentError(AgentError):
    """The API needs a running agent, and there is none."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the closest of the known words, or an empty string."""
    import difflib

    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""
