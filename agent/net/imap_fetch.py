"""Reads FETCH answers while they arrive: a hundred thousand rows a second, bodies straight from the wire.

A regular expression takes the usual row out of the read buffer in one step; everything else, a row
that spans two reads of a small size, an unusual order, a remark of the server, takes the general way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import msgspec

from agent.net.base import Fetched, FlagState, ShortBody
from agent.net.imap_syntax import Value, flag_words, internal_date, items, number
from agent.net.said import refusal
from agent.net.wire import Response, Wire

_ROW = re.compile(
    rb"\* (\d+) FETCH \((?:"
    rb"UID (\d+) ?|FLAGS \(([^()]*)\) ?|INTERNALDATE \"([^\"]*)\" ?|RFC822\.SIZE (\d+) ?|MODSEQ \((\d+)\) ?"
    rb")*(?:BODY\[[^\]]*\](?:<\d+>)? \{(\d{1,10})\}|\))\r\n"
)
_SMALL = 1 << 16
_CACHED = 20_000


@dataclass(slots=True)
class _Caches:
    """What repeats from row to row: flag lists, and the days of dates."""

    flags: dict[bytes, tuple[int, frozenset[str]]]
    days: dict[bytes, int]

    def flags_of(self, raw: bytes) -> tuple[int, frozenset[str]]:
        known = self.flags.get(raw)
        if known is None:
            if len(self.flags) > _CACHED:
                self.flags.clear()
            known = self.flags[raw] = flag_words(raw)
        return known

    def date_of(self, raw: bytes) -> int:
        if len(raw) != 26:
            return internal_date(raw)
        key = raw[:11] + raw[20:]
        day = self.days.get(key)
        if day is None:
            if len(self.days) > _CACHED:
                self.days.clear()
            day = self.days[key] = internal_date(raw[:12] + b"00:00:00" + raw[20:])
        try:
            return day + int(raw[12:14]) * 3600 + int(raw[15:17]) * 60 + int(raw[18:20])
        except ValueError:
            return 0


Row = tuple[
    bytes | None, bytes | None, bytes | None, bytes | None, bytes | None, bytes | None
]  # uid, flags, date, size, modseq, body


class FetchReader:
    """The answer to one UID FETCH. Iterate one of the methods to the end, or `close` the iterator."""

    def __init__(
        self, wire: Wire, tag: bytes, notice: Callable[[Response], None], least_uid: int = 0
    ) -> None:
        self._wire = wire
        self._tag = tag
        self._notice = notice
        self._least = least_uid
        self._caches = _Caches({}, {})
        self._complete = False

    def flags(self) -> Iterator[FlagState]:
        """Yield the flags of each row."""
        flags_of = self._caches.flags_of
        for uid, flags, _, _, modseq, _ in self._begin(b"FLAGS"):
            if uid is not None and flags is not None and int(uid) >= self._least:
                yield FlagState(int(uid), *flags_of(flags), int(modseq) if modseq else None)
        self._ensure_complete()

    def headers(self) -> Iterator[Fetched]:
        """Yield rows with their header fields."""
        flags_of, date_of, least = self._caches.flags_of, self._caches.date_of, self._least
        for uid, flags, date, size, modseq, body in self._begin(b"BODY[]"):
            if uid is None or body is None or (number := int(uid)) < least:
                continue
            bits, tags = flags_of(flags or b"")
            yield Fetched(
                number,
                bits,
                tags,
                date_of(date or b""),
                int(size or 0),
                body,
                None,
                int(modseq) if modseq else None,
            )
        self._ensure_complete()

    def heads(self) -> Iterator[Fetched]:
        """Yield messages of which only the first octets were asked for, as `raw`."""
        for row in self.headers():
            yield msgspec.structs.replace(row, header=None, raw=row.header)

    def messages(self) -> Iterator[Fetched]:
        """Yield whole messages; at the end raises ShortBody for those with octets missing."""
        short: dict[int, tuple[int, int]] = {}
        for uid, flags, date, size, modseq, body in self._begin(b"BODY[]"):
            if uid is None or body is None or (number := int(uid)) < self._least:
                continue
            announced = int(size or 0)
            if len(body) < announced:
                short[number] = len(body), announced
                continue
            bits, tags = self._caches.flags_of(flags or b"")
            received = self._caches.date_of(date or b"")
            modified = int(modseq) if modseq else None
            yield Fetched(number, bits, tags, received, announced or len(body), None, body, modified)
        self._ensure_complete()
        if short:
            first, (had, announced) = next(iter(short.items()))
            raise ShortBody(
                f"{self._wire.server}: the message with UID {first} came with {had} of {announced} octets"
                + (f", and {len(short) - 1} more were short" if len(short) > 1 else ""),
                short,
            )

    def _rows(self, wanted: bytes) -> Generator[Row, None, None]:
        """Yield the rows that have the wanted item; others and unasked remarks go to `notice`."""
        stream, wire, tag = self._wire.stream, self._wire, self._tag
        with_body = wanted == b"BODY[]"
        try:
            while True:
                match = _ROW.match(stream.buffer, stream.position)
                if match is None:
                    if not stream.has_line() and len(stream.buffer) - stream.position < _SMALL:
                        stream.fill()
                        continue
                    row = self._unusual(wanted)
                    if row is not None:
                        yield row
                    elif wire.has_ended(tag):
                        break
                    continue
                _, uid, flags, date, size, modseq, length = match.groups()
                if length is None:
                    if with_body:
                        self._notice(Response("FETCH", -1, (match[0],)))
                    stream.position = match.end()
                    if not with_body:
                        yield uid, flags, date, size, modseq, None
                    continue
                start, octets = match.end(), int(length)
                end = start + octets
                if end + 3 > len(stream.buffer) and octets < _SMALL:
                    stream.fill()
                    continue
                if stream.buffer[end : end + 3] == b")\r\n":
                    body = stream.buffer[start:end]
                    stream.position = end + 3
                    yield uid, flags, date, size, modseq, body
                else:
                    row = self._unusual(wanted)
                    if row is not None:
                        yield row
            self._complete = True
        finally:
            self._finish()

    def _unusual(self, wanted: bytes) -> Row | None:
        """Read one response of any kind; return it when it is a row with the wanted item."""
        response = self._wire.receive()
        if not isinstance(response, Response):
            return None
        if response.kind != "FETCH":
            self._notice(response)
            return None
        found = items(response.parts)
        body = _body(found)
        if wanted not in found or (body is None and wanted == b"BODY[]"):
            self._notice(response)
            return None
        size, modseq = number(found.get(b"RFC822.SIZE")), number(found.get(b"MODSEQ"))
        date = found.get(b"INTERNALDATE")
        return (
            _digits(number(found.get(b"UID"))),
            _joined(found.get(b"FLAGS")),
            date if isinstance(date, bytes) else None,
            _digits(size),
            _digits(modseq),
            body,
        )

    def _begin(self, wanted: bytes) -> Generator[Row, None, None]:
        rows = self._rows(wanted)
        self._wire.reading = rows
        return rows

    def _ensure_complete(self) -> None:
        if not self._complete:
            raise RuntimeError("another command was given before all rows of a FETCH were read")

    def _finish(self) -> None:
        """Leave the wire ready for the next command; what nobody wants any more is read past."""
        wire = self._wire
        wire.reading = None
        if wire.stream.broken:
            return
        if not self._complete:
            for response in wire.responses(self._tag):
                self._notice(response)
        answer = wire.answer(self._tag)
        if self._complete and answer.status != "OK":
            raise refusal(f"{wire.server}: FETCH refused", answer.text)


def _body(found: dict[bytes, Value]) -> bytes | None:
    body = found.get(b"BODY[]", found.get(b"RFC822"))
    if isinstance(body, bytes):
        return body
    # NIL: gone in the meantime, or truly empty.
    return b"" if b"BODY[]" in found and number(found.get(b"RFC822.SIZE")) == 0 else None


def _digits(value: int | None) -> bytes | None:
    return None if value is None else b"%d" % value


def _joined(value: Value) -> bytes | None:
    return b" ".join(v for v in value if isinstance(v, bytes)) if isinstance(value, list) else None
