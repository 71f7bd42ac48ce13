"""
The big tables of a journal as columns: requests by name, the wire rows of one link, texts of any table.

A million requests as objects would take minutes to judge; as arrays they take seconds. SQLite itself gathers the
numbers of many rows into one text (group_concat), which is several times quicker to read than row by row. Rows come
out in order of time. Knows the format, not what a verdict is.
"""

from __future__ import annotations

import warnings
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import InputError
from harness.journal.reader import JournalReader

Places = NDArray[np.intp]  # of rows
ABSENT = -(1 << 62)  # stands for NULL in a column of instants or spans
GOOD, BAD, UNFINISHED = 0, 1, 2  # outcomes
ENDINGS = ("answered", "refused", "reset", "closed_early", "client_gone", "never_answered")
UNANSWERED, OPEN, UNTRACED = 1, 2, 4  # flags of an exchange: no answer's head, no end, no trace id

_ROWS_AT_ONCE = 100_000  # keeps one gathered text far below SQLite's limit of 10^9 bytes
_SEPARATOR = "\x1f"


# -- gathering -------------------------------------------------------------------------------------------------


def gathered(
    reader: JournalReader, source: str, values: Sequence[object], *, numbers: Sequence[str], digits: Sequence[str]
) -> tuple[list[array[int]], list[bytes]]:
    """
    Columns of many rows in order of their ids. source is `table WHERE ...`; numbers are expressions of whole numbers,
    digits of a single digit each. None of them may be NULL. Raises InputError.
    """
    found = [array("q") for _ in numbers]
    small = [b"" for _ in digits]
    chosen = ", ".join([*(f"group_concat({e})" for e in numbers), *(f"group_concat({e}, '')" for e in digits)])
    sql = f"SELECT {chosen} FROM {source} AND id BETWEEN ? AND ?"  # noqa: S608  # expressions of ours
    for row in reader.first_rows(sql, [(*values, *ends) for ends in _id_ranges(reader, source)]):
        if row[0] is None:
            continue
        for place in range(len(numbers)):
            found[place].frombytes(_whole_numbers(reader, row[place]).tobytes())
        for place in range(len(digits)):
            small[place] += row[len(numbers) + place].encode().translate(_DIGITS)
    return found, small


def _whole_numbers(reader: JournalReader, text: str) -> NDArray[np.int64]:
    """Numbers with commas between them. Raises InputError where one is none, or is not whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # numpy's way of saying that it stopped half-way
        try:
            return np.fromstring(text, np.int64, sep=",")
        except (DeprecationWarning, ValueError) as error:
            damage = reader.damage() or "a column of whole numbers holds something else"
            raise InputError(f"{reader.path}: damaged: {damage}") from error


_DIGITS = bytes(max(0, value - 48) for value in range(256))  # for bytes.translate: "7" as 7


def texts(reader: JournalReader, expression: str, source: str, values: Sequence[object] = ()) -> Iterator[list[str]]:
    """
    The texts of an expression over many rows, those that are NULL left out, in lists. source is `table WHERE ...`.
    """
    condition = f"{source} AND {expression} IS NOT NULL AND id BETWEEN ? AND ?"
    sql = f"SELECT count(*), group_concat({expression}, char(31)) FROM {condition}"  # noqa: S608  # ours alone
    each = [(*values, *ends) for ends in _id_ranges(reader, source)]
    for place, (count, text) in enumerate(reader.first_rows(sql, each)):
        found = text.split(_SEPARATOR) if count else []
        if len(found) != count:  # somebody's key holds the separator
            one_by_one = f"SELECT {expression} FROM {condition}"  # noqa: S608  # ours alone
            found = [str(value) for (value,) in reader.rows(one_by_one, each[place])]
        yield found


def _id_ranges(reader: JournalReader, source: str) -> Iterator[tuple[int, int]]:
    """Ranges of ids that cover the table at the head of a source."""
    table = source.split(maxsplit=1)[0]
    sql = f"SELECT (SELECT min(id) FROM {table}), (SELECT max(id) FROM {table})"  # noqa: S608  # a table of ours
    first, last = next(reader.rows(sql))
    if first is not None and not (isinstance(first, int) and isinstance(last, int)):
        raise InputError(f"{reader.path}: damaged: ids of {table} go from {str(first)[:20]} to {str(last)[:20]}")
    while first is not None:
        yield first, first + _ROWS_AT_ONCE - 1
        if first > last - _ROWS_AT_ONCE:
            return
        # The next id there is, however far away: a damaged one may be as far as a number can be.
        sql = f"SELECT min(id) FROM {table} WHERE id >= ?"  # noqa: S608  # a table of ours
        (first,) = next(reader.rows(sql, (first + _ROWS_AT_ONCE,)))


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
    ident: array[int] = field(default_factory=_longs)  # in order of writing, see row_id
    order: Places | None = None  # the place in order of writing by the place in order of time; None: the same
    intended_ns: array[int] = field(default_factory=_longs)
    late_us: array[int] = field(default_factory=_longs)  # start minus intended, in order of writing; ABSENT: never sent
    latency_ns: array[int] = field(default_factory=_longs)  # from the intended instant; ABSENT: no end
    status: array[int] = field(default_factory=lambda: array("H"))
    outcome: bytes = b""
    error: array[int] = field(default_factory=lambda: array("H"))
    fallback: array[int] = field(default_factory=lambda: array("I"))

    def __len__(self) -> int:
        return len(self.intended_ns)

    def row_id(self, place: int) -> int:
        """The id of a request's row in the journal."""
        return self.ident[self.order[place]] if self.order is not None else self.ident[place]

    def _sort(self) -> None:
        """Put the rows in order of their intended instant; they are written in order of their end."""
        self.order = order = _order(self.intended_ns)
        if order is None:
            return
        self.outcome = _permuted_bytes(self.outcome, order)
        for column in ("intended_ns", "latency_ns", "status", "error", "fallback"):
            setattr(self, column, _permuted(getattr(self, column), order))


def _permuted(values: array[int], order: Places) -> array[int]:
    """Values in another order; most columns of words are the same all over and can stay."""
    if values.count(values[0]) == len(values):
        return values
    found = array(values.typecode)
    found.frombytes(np.frombuffer(values, values.typecode)[order].tobytes())
    return found


def _permuted_bytes(values: bytes, order: Places) -> bytes:
    return np.frombuffer(values, np.uint8)[order].tobytes()


def _order(instants: array[int]) -> Places | None:
    """The order that sorts instants, those of the same instant as they stand; None when they are sorted."""
    found = np.frombuffer(instants, np.int64)
    return None if bool(np.all(found[:-1] <= found[1:])) else np.argsort(found, kind="stable")


_OUTCOME = f"CASE WHEN end_ns IS NULL AND start_ns IS NOT NULL THEN {UNFINISHED} WHEN ok THEN {GOOD} ELSE {BAD} END"
_STATUS_BITS = 12


def request_columns(reader: JournalReader) -> dict[str, RequestColumns]:
    """Every request of the journal, by name. Raises InputError when the file is damaged."""
    errors, fallbacks = Codes(), Codes()
    names = sorted(name for (name,) in reader.rows("SELECT DISTINCT name FROM requests"))
    return {name: _named(reader, RequestColumns(name, errors, fallbacks)) for name in names}


def _named(reader: JournalReader, own: RequestColumns) -> RequestColumns:
    """Fill the columns of one name."""
    numbers = (
        "intended_ns",
        f"ifnull(end_ns - intended_ns, {ABSENT})",
        f"ifnull((start_ns - intended_ns) / 1000, {ABSENT})",
        f"(id << {_STATUS_BITS}) + (status & 4095)",
    )
    columns, (own.outcome,) = gathered(
        reader, "requests WHERE name = ?", (own.name,), numbers=numbers, digits=(_OUTCOME,)
    )
    own.intended_ns, own.latency_ns, own.late_us = columns[:3]
    marks = np.frombuffer(columns[3], np.int64)
    own.ident.frombytes((marks >> _STATUS_BITS).tobytes())
    own.status.frombytes((marks & (1 << _STATUS_BITS) - 1).astype(np.uint16).tobytes())
    _add_words(reader, own)
    own._sort()  # noqa: SLF001  # made here
    return own


def _add_words(reader: JournalReader, own: RequestColumns) -> None:
    """Errors and fallbacks as numbers, 0 for none; most rows have neither, so only those that do are fetched."""
    own.error, own.fallback = array("H", bytes(2 * len(own))), array("I", bytes(4 * len(own)))
    errors, fallbacks = own.errors, own.fallbacks
    sql = "SELECT id, error, fallback FROM requests WHERE name = ? AND (error IS NOT NULL OR fallback IS NOT NULL)"
    place = 0
    for batch in reader.batches(sql, (own.name,)):
        for number, error, fallback in batch:
            place = bisect_left(own.ident, number, place)
            own.error[place] = errors[error]
            own.fallback[place] = fallbacks[fallback]


# -- the wire --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class LinkColumns:
    """Exchanges of one link, in order of arrival."""

    arrived_ns: array[int]
    span_ns: array[int]  # to the end, or to an answer that came after its client had gone; ABSENT: no end
    connection: array[int]
    status: array[int]
    ending: bytes  # places in ENDINGS
    flags: bytes  # UNANSWERED, OPEN, UNTRACED
    touched: bytes  # 1 where the fault that was asked about left its name
    in_flight: array[int]  # exchanges open on the link when it arrived, itself included

    def __len__(self) -> int:
        return len(self.arrived_ns)


_ENDING = " ".join(f"WHEN '{ending}' THEN {number}" for number, ending in enumerate(ENDINGS))
_FLAGS = f"(head_ns IS NULL) * {UNANSWERED} + (ended_ns IS NULL) * {OPEN} + (trace IS NULL) * {UNTRACED}"
_TOUCHED = "faults <> '' AND instr(',' || faults || ',', ',' || ? || ',') > 0"


def link_columns(
    reader: JournalReader, link: str, *, fault: str = "", methods: Sequence[str] = (), path: str | None = None
) -> LinkColumns:
    """The exchanges of a link, of these methods and of paths like this pattern only; `fault` is whom `touched` asks for."""
    source = "wire WHERE link = ?"
    values: list[object] = [*([fault] if fault else []), link, *methods]
    if methods:
        source += f" AND upper(method) IN ({', '.join('?' * len(methods))})"
    if path is not None:
        source += " AND substr(path, 1, instr(path || '?', '?') - 1) GLOB ?"
        values.append(path.replace("[!", "[^"))
    span = f"ifnull(max(ended_ns, ifnull(head_ns, ended_ns)) - arrived_ns, {ABSENT})"
    (arrived, spans, connection, status, in_flight), (ending, flags, touched) = gathered(
        reader, source, values,
        numbers=("arrived_ns", span, "connection", "status", "in_flight"),
        digits=(f"CASE ending {_ENDING} ELSE {len(ENDINGS)} END", _FLAGS, _TOUCHED if fault else "0"),
    )  # fmt: skip
    found = LinkColumns(arrived, spans, connection, status, ending, flags, touched, in_flight)
    if (order := _order(arrived)) is not None:
        for column in ("arrived_ns", "span_ns", "connection", "status", "in_flight"):
            setattr(found, column, _permuted(getattr(found, column), order))
        for column in ("ending", "flags", "touched"):
            setattr(found, column, _permuted_bytes(getattr(found, column), order))
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
