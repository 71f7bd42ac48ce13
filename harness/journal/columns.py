"""
The big tables of a journal as columns: requests by name, the wire rows of one link, texts of any table.

A million requests as objects would take minutes to judge; as arrays they take seconds. SQLite itself packs the
numbers of many rows into one text of fixed width, which is several times quicker than fetching row by row. Rows come
out in order of time. Knows the format, not what a verdict is.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import attrgetter, le
from typing import Any, NamedTuple

from harness.journal.reader import JournalReader

ABSENT = -(1 << 62)  # stands for NULL in a column of instants or spans
GOOD, BAD, UNFINISHED = 0, 1, 2  # outcomes
ENDINGS = ("answered", "refused", "reset", "closed_early", "client_gone", "never_answered")
UNANSWERED, OPEN, TOUCHED = 1, 2, 4  # flags of an exchange: no answer's head, no end, hit by the fault asked about

_ROWS_AT_ONCE = 200_000  # keeps one packed text far below SQLite's limit of 10^9 bytes
_SEPARATOR = "\x1f"


# -- packing ---------------------------------------------------------------------------------------------------


def packed(reader: JournalReader, sql: str, values: Sequence[object]) -> Iterator[bytes]:
    """
    Bytes of rows of fixed width. sql selects one text of hexadecimal digits, `group_concat(printf(...), '')`, and
    ends in a condition on ids, `id BETWEEN ? AND ?`, behind `values`.
    """
    for first, last in _id_ranges(reader, sql.partition("FROM ")[2].split()[0]):
        (text,) = next(reader.rows(sql, (*values, first, last)))
        if text:
            yield bytes.fromhex(text)


def texts(reader: JournalReader, expression: str, source: str, values: Sequence[object] = ()) -> Iterator[list[str]]:
    """
    The texts of an expression over many rows, those that are NULL left out, in lists. source is `table WHERE ...`.
    """
    table = source.split(maxsplit=1)[0]
    condition = f"{source} AND {expression} IS NOT NULL AND id BETWEEN ? AND ?"
    for first, last in _id_ranges(reader, table):
        sql = f"SELECT count(*), group_concat({expression}, char(31)) FROM {condition}"  # noqa: S608  # ours alone
        count, text = next(reader.rows(sql, (*values, first, last)))
        found = text.split(_SEPARATOR) if count else []
        if len(found) != count:  # somebody's key holds the separator
            sql = f"SELECT {expression} FROM {condition}"  # noqa: S608  # ours alone
            found = [str(value) for (value,) in reader.rows(sql, (*values, first, last))]
        yield found


def _id_ranges(reader: JournalReader, table: str) -> Iterator[tuple[int, int]]:
    first, last = next(reader.rows(f"SELECT min(id), max(id) FROM {table}"))  # noqa: S608  # a table of ours
    for low in range(first, last + 1, _ROWS_AT_ONCE) if first is not None else ():
        yield low, low + _ROWS_AT_ONCE - 1


def _column(data: bytes, typecode: str, offset: int, width: int) -> array[int]:
    """Every number of one column of packed rows; offset in items of this type, width in bytes."""
    whole = array(typecode)
    whole.frombytes(data)
    found = whole[offset :: width // whole.itemsize]
    if sys.byteorder == "little":
        found.byteswap()
    return found


def either(one: bytes, other: bytes) -> bytes:
    """Byte by byte the one or the other, for columns of flags."""
    return (int.from_bytes(one) | int.from_bytes(other)).to_bytes(len(one))


def both(one: bytes, other: bytes) -> bytes:
    """Byte by byte the one and the other."""
    return (int.from_bytes(one) & int.from_bytes(other)).to_bytes(len(one))


def _table(chosen: Sequence[bool]) -> bytes:
    """For bytes.translate: 1 for the values chosen, 0 for all others."""
    return bytes(chosen) + bytes(256 - len(chosen))


def flags_of(column: bytes, mask: int) -> bytes:
    """1 where any bit of the mask is set."""
    return column.translate(_table([bool(value & mask) for value in range(256)]))


# -- requests --------------------------------------------------------------------------------------------------


class Codes(dict[Any, int]):
    """Words as small numbers, in order of their first appearance; None is 0."""

    def __init__(self) -> None:
        super().__init__({None: 0})

    def __missing__(self, word: Any) -> int:
        self[word] = len(self)
        return self[word]

    @property
    def words(self) -> list[Any]:
        return list(self)


def _longs() -> array[int]:
    return array("q")


@dataclass(slots=True)
class RequestColumns:
    """All requests of one name, in order of their intended instant."""

    name: str
    errors: Codes  # shared by all names
    fallbacks: Codes
    ident: array[int] = field(default_factory=_longs)
    intended_ns: array[int] = field(default_factory=_longs)
    late_ns: array[int] = field(default_factory=_longs)  # actual start minus intended; ABSENT: never sent
    latency_ns: array[int] = field(default_factory=_longs)  # from the intended instant; ABSENT: no end
    status: array[int] = field(default_factory=lambda: array("H"))
    outcome: bytes = b""
    error: array[int] = field(default_factory=lambda: array("H"))
    fallback: array[int] = field(default_factory=lambda: array("I"))

    def __len__(self) -> int:
        return len(self.intended_ns)

    def _sort(self) -> None:
        """Put the rows in order of their intended instant; they are written in order of their end."""
        order = _order(self.intended_ns)
        if order is None:
            return
        for column in ("ident", "intended_ns", "late_ns", "latency_ns", "status", "error", "fallback"):
            values: array[int] = getattr(self, column)
            setattr(self, column, array(values.typecode, map(values.__getitem__, order)))
        self.outcome = bytes(map(self.outcome.__getitem__, order))


def _order(instants: array[int]) -> list[int] | None:
    """The order that sorts instants; None when they are sorted."""
    if all(map(le, instants, instants[1:])):
        return None
    return sorted(range(len(instants)), key=instants.__getitem__)


_REQUEST_BYTES = 32
_REQUESTS = f"""
    SELECT group_concat(printf('%016x%016x%016x%08x%04x%04x', intended_ns,
        ifnull(end_ns - intended_ns, {ABSENT}), ifnull(start_ns - intended_ns, {ABSENT}), id, CASE name {{names}} END,
        (status & 4095) * 4 +
        CASE WHEN end_ns IS NULL AND start_ns IS NOT NULL THEN {UNFINISHED} WHEN ok THEN {GOOD} ELSE {BAD} END), '')
    FROM requests WHERE id BETWEEN ? AND ?
"""  # noqa: S608  # constants of ours


def request_columns(reader: JournalReader) -> dict[str, RequestColumns]:
    """Every request of the journal, by name. Raises InputError when the file is damaged."""
    names = sorted(name for (name,) in reader.rows("SELECT DISTINCT name FROM requests"))
    if not names:
        return {}
    cases = " ".join(f"WHEN ? THEN {number}" for number in range(len(names)))
    everything = b"".join(packed(reader, _REQUESTS.format(names=cases), names))
    errors, fallbacks = Codes(), Codes()
    ident = _column(everything, "I", 6, _REQUEST_BYTES)
    words = _words(reader, ident, errors, fallbacks)
    last = everything[31::_REQUEST_BYTES]
    number_of = _column(everything, "H", 14, _REQUEST_BYTES)
    columns: dict[str, Sequence[int]] = {
        "intended_ns": _column(everything, "q", 0, _REQUEST_BYTES),
        "latency_ns": _column(everything, "q", 1, _REQUEST_BYTES),
        "late_ns": _column(everything, "q", 2, _REQUEST_BYTES),
        "ident": ident,
        "status": array("H", [value >> 2 for value in _column(everything, "H", 15, _REQUEST_BYTES)]),
        "error": words[0],
        "fallback": words[1],
    }
    outcome = last.translate(bytes(value & 3 for value in range(256)))
    found = {}
    for number, name in enumerate(names):
        own = RequestColumns(name, errors, fallbacks)
        chosen = bytes(map(number.__eq__, number_of))
        for column, values in columns.items():
            getattr(own, column).extend(values if len(names) == 1 and column != "ident" else compress(values, chosen))
        own.outcome = bytes(compress(outcome, chosen))
        own._sort()  # noqa: SLF001  # made here
        found[name] = own
    return found


def _words(reader: JournalReader, ident: array[int], errors: Codes, fallbacks: Codes) -> tuple[array[int], array[int]]:
    """Errors and fallbacks as numbers, 0 for none; most rows have neither, so only those that do are fetched."""
    error, fallback = array("H", bytes(2 * len(ident))), array("I", bytes(4 * len(ident)))
    first = ident[0] if ident else 0
    dense = len(ident) > 0 and ident[-1] - first + 1 == len(ident)
    sql = "SELECT id, error, fallback FROM requests WHERE error IS NOT NULL OR fallback IS NOT NULL"
    for batch in reader.batches(sql):
        for number, own_error, own_fallback in batch:
            place = number - first if dense else bisect_left(ident, number)
            error[place] = errors[own_error]
            fallback[place] = fallbacks[own_fallback]
    return error, fallback


# -- the wire --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class LinkColumns:
    """Exchanges of one link, in order of arrival."""

    arrived_ns: array[int]
    span_ns: array[int]  # to the end, or to an answer that came after its client had gone; ABSENT: no end
    connection: array[int]
    status: array[int]
    ending: bytes  # places in ENDINGS
    flags: bytes  # UNANSWERED, OPEN, TOUCHED

    def __len__(self) -> int:
        return len(self.arrived_ns)


_LINK_BYTES = 24
_ENDING_CASES = " ".join(f"WHEN '{ending}' THEN {number}" for number, ending in enumerate(ENDINGS))
_LINK = f"""
    SELECT group_concat(printf('%016x%016x%08x%04x%02x%02x', arrived_ns,
        ifnull(max(ended_ns, ifnull(head_ns, ended_ns)) - arrived_ns, {ABSENT}), connection & 4294967295, status & 65535,
        CASE ending {_ENDING_CASES} ELSE {len(ENDINGS)} END,
        (head_ns IS NULL) * {UNANSWERED} + (ended_ns IS NULL) * {OPEN} +
        (faults <> '' AND instr(',' || faults || ',', ',' || ? || ',') > 0) * {TOUCHED}), '')
    FROM wire WHERE link = ? {{more}} AND id BETWEEN ? AND ?
"""  # noqa: S608  # constants of ours


def link_columns(
    reader: JournalReader, link: str, *, fault: str = "", methods: Sequence[str] = (), path: str | None = None
) -> LinkColumns:
    """The exchanges of a link, of these methods and of paths like this pattern only; `fault` is whom TOUCHED asks for."""
    more = f"AND upper(method) IN ({', '.join('?' * len(methods))})" if methods else ""
    values: list[object] = [fault, link, *methods]
    if path is not None:
        more += " AND substr(path, 1, instr(path || '?', '?') - 1) GLOB ?"
        values.append(path.replace("[!", "[^"))
    data = b"".join(packed(reader, _LINK.format(more=more), values))
    found = LinkColumns(
        arrived_ns=_column(data, "q", 0, _LINK_BYTES),
        span_ns=_column(data, "q", 1, _LINK_BYTES),
        connection=_column(data, "I", 4, _LINK_BYTES),
        status=_column(data, "H", 10, _LINK_BYTES),
        ending=data[22::_LINK_BYTES],
        flags=data[23::_LINK_BYTES],
    )
    if (order := _order(found.arrived_ns)) is not None:
        for column in ("arrived_ns", "span_ns", "connection", "status"):
            own: array[int] = getattr(found, column)
            setattr(found, column, array(own.typecode, map(own.__getitem__, order)))
        found.ending = bytes(map(found.ending.__getitem__, order))
        found.flags = bytes(map(found.flags.__getitem__, order))
    return found


class Exchange(NamedTuple):
    """One row of the wire, where single rows are looked at."""

    method: str | None
    path: str | None
    trace: str | None
    arrived_ns: int
    ended_ns: int | None
    in_flight: int


def exchanges(reader: JournalReader, link: str) -> list[Exchange]:
    """All exchanges of a link in order of arrival. Raises InputError."""
    sql = "SELECT method, path, trace, arrived_ns, ended_ns, in_flight FROM wire WHERE link = ?"
    found: list[Exchange] = []
    for batch in reader.batches(sql, (link,)):
        found.extend(map(Exchange._make, batch))
    found.sort(key=attrgetter("arrived_ns"))
    return found
