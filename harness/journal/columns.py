"""
The two big tables of a journal as columns: requests by name, and the wire rows of one link.

A million requests as objects would take minutes to judge; as arrays they take seconds. Rows come out in order of
time. Knows the format, not what a verdict is.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter, le
from typing import Any, NamedTuple

from harness.journal.reader import JournalReader

ABSENT = -(1 << 62)  # stands for NULL in a column of instants or spans

GOOD, BAD, UNFINISHED = 0, 1, 2  # outcomes


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


@dataclass(slots=True)
class RequestColumns:
    """All requests of one name, in order of their intended instant."""

    name: str
    errors: Codes  # shared by all names
    fallbacks: Codes
    ident: array[int] = field(default_factory=lambda: array("q"))
    intended_ns: array[int] = field(default_factory=lambda: array("q"))
    late_ns: array[int] = field(default_factory=lambda: array("q"))  # actual start minus intended; ABSENT: never sent
    latency_ns: array[int] = field(default_factory=lambda: array("q"))  # from the intended instant; ABSENT: no end
    status: array[int] = field(default_factory=lambda: array("h"))
    error: array[int] = field(default_factory=lambda: array("H"))
    fallback: array[int] = field(default_factory=lambda: array("I"))
    outcome: bytearray = field(default_factory=bytearray)

    def __len__(self) -> int:
        return len(self.intended_ns)

    def extend(self, rows: Sequence[tuple[Any, ...]]) -> None:
        _, ident, intended, late, latency, status, error, fallback, outcome = zip(*rows, strict=True)
        self.ident.extend(ident)
        self.intended_ns.extend(intended)
        self.late_ns.extend(late)
        self.latency_ns.extend(latency)
        self.status.extend(status)
        self.error.extend(map(self.errors.__getitem__, error))
        self.fallback.extend(map(self.fallbacks.__getitem__, fallback))
        self.outcome.extend(outcome)

    def sort(self) -> None:
        """Put the rows in order of their intended instant; they are written in order of their end."""
        if all(map(le, self.intended_ns, self.intended_ns[1:])):
            return
        order = sorted(range(len(self)), key=self.intended_ns.__getitem__)
        for column in ("ident", "intended_ns", "late_ns", "latency_ns", "status", "error", "fallback"):
            values: array[int] = getattr(self, column)
            setattr(self, column, array(values.typecode, map(values.__getitem__, order)))
        self.outcome = bytearray(map(self.outcome.__getitem__, order))


_REQUESTS = f"""
    SELECT name, id, intended_ns, ifnull(start_ns - intended_ns, {ABSENT}), ifnull(end_ns - intended_ns, {ABSENT}),
           status, error, fallback,
           CASE WHEN end_ns IS NULL AND start_ns IS NOT NULL THEN {UNFINISHED} WHEN ok THEN {GOOD} ELSE {BAD} END
    FROM requests
"""  # noqa: S608  # three constants of ours


def request_columns(reader: JournalReader) -> dict[str, RequestColumns]:
    """Every request of the journal, by name. Raises InputError when the file is damaged."""
    errors, fallbacks = Codes(), Codes()
    found: dict[str, RequestColumns] = {}
    for batch in reader.batches(_REQUESTS):
        by_name: dict[str, list[tuple[Any, ...]]] = {}
        for row in batch:
            by_name.setdefault(row[0], []).append(row)
        for name, rows in by_name.items():
            if name not in found:
                found[name] = RequestColumns(name, errors, fallbacks)
            found[name].extend(rows)
    for columns in found.values():
        columns.sort()
    return dict(sorted(found.items()))


class Exchange(NamedTuple):
    """One row of the wire, as receipts need it."""

    connection: int
    method: str | None
    path: str | None
    trace: str | None
    arrived_ns: int
    head_ns: int | None
    ended_ns: int | None
    status: int
    ending: str
    faults: str
    in_flight: int


_WIRE = """
    SELECT connection, method, path, trace, arrived_ns, head_ns, ended_ns, status, ending, faults, in_flight
    FROM wire WHERE link = ? AND arrived_ns >= ? AND arrived_ns < ?
"""


def exchanges(reader: JournalReader, link: str, start_ns: int, end_ns: int) -> list[Exchange]:
    """The exchanges that arrived on a link in a stretch of time, in order. Raises InputError."""
    found: list[Exchange] = []
    for batch in reader.batches(_WIRE, (link, start_ns, end_ns)):
        found.extend(map(Exchange._make, batch))
    found.sort(key=attrgetter("arrived_ns"))
    return found
