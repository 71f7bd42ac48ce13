"""
Single requests on their way over the links: which ones a report holds, and what the wire knows of each.

Of a small run all of them; of a big one, in each moment the slowest and the failed, and every one a check shows as
evidence. A moment is what a click on the time axis picks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.clock import NS_PER_MS
from harness.journal.columns import ABSENT, BAD, RequestColumns
from harness.journal.reader import JournalReader
from harness.report.html.axis import Axis
from harness.report.html.faults import FaultSpan
from harness.verdict import CheckResult

ALL_BELOW = 1_500  # requests up to which every one is held
MOST_MOMENTS = 120
SLOWEST = 5  # of a moment
FAILED = 3  # of a moment, beside them
MOST_STEPS = 24  # of one request
_AT_ONCE = 20_000  # values of one query, below SQLite's limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One exchange on a link, in milliseconds after the request was meant to be sent. length None: it never ended."""

    link: str
    attempt: int
    start_ms: float
    length_ms: float | None
    said: str  # status, or how it ended
    bad: bool
    depth: int
    faults: tuple[str, ...]  # those that touched it, or were on where it went


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One request of the load and its steps, in order of their arrival."""

    name: str
    trace: str
    at_s: float
    sent_ms: float | None  # after the intended instant; None: never sent
    latency_ms: float | None
    said: str
    good: bool
    fallback: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What a report holds of single requests. whole: these are all requests of the run."""

    held: tuple[Trace, ...]
    moment_s: float
    whole: bool

    def named(self, trace: str) -> Trace | None:
        return next((one for one in self.held if one.trace == trace), None)


def collect(
    reader: JournalReader, columns: Mapping[str, RequestColumns], axis: Axis, spans: Sequence[FaultSpan],
    checks: Iterable[CheckResult],
) -> Traces:  # fmt: skip
    """The requests a report shows one by one, in order of time."""
    total = sum(map(len, columns.values()))
    buckets = math.ceil(axis.buckets / MOST_MOMENTS) if total > ALL_BELOW else 1
    wanted = _all(columns) if total <= ALL_BELOW else _chosen(columns, axis, buckets)
    shown = {str(row["trace"]) for check in checks for row in check.evidence if row.get("trace")}
    rows = list(_rows(reader, "id", sorted(set(wanted))))
    missing = shown - {str(row[1]) for row in rows}
    rows += _rows(reader, "trace", sorted(missing)) if missing else ()
    steps = _steps(reader, [str(row[1]) for row in rows if row[1]])
    held = [_trace(row, steps.get(str(row[1]), []), axis, spans) for row in sorted(rows, key=lambda row: row[3])]
    return Traces(held=tuple(held), moment_s=buckets * axis.bucket_s, whole=total <= ALL_BELOW)


def _all(columns: Mapping[str, RequestColumns]) -> Iterator[int]:
    for own in columns.values():
        yield from own.ident


def _chosen(columns: Mapping[str, RequestColumns], axis: Axis, buckets: int) -> Iterator[int]:
    """Row ids of the slowest and of the slowest failed requests of each moment; what never ended is slowest."""
    bounds = {name: axis.bounds(own) for name, own in columns.items()}
    for first in range(0, axis.buckets, buckets):
        last = min(first + buckets, axis.buckets)
        inside = [
            (math.inf if own.latency_ns[place] == ABSENT else own.latency_ns[place], name, place)
            for name, own in columns.items()
            for place in _slowest_places(own, bounds[name][first], bounds[name][last])
        ]
        inside.sort(key=lambda one: -one[0])
        failed = [one for one in inside if columns[one[1]].outcome[one[2]] == BAD]
        yield from (columns[name].row_id(place) for _, name, place in [*inside[:SLOWEST], *failed[:FAILED]])


def _slowest_places(own: RequestColumns, low: int, high: int) -> list[int]:
    """Candidates of one name: enough of its slowest and of its failed. What never ended is slowest of all."""
    spans = np.frombuffer(own.latency_ns, np.int64)[low:high]
    failed = np.flatnonzero(np.frombuffer(own.outcome, np.uint8)[low:high] == BAD)
    endless = np.flatnonzero(spans == ABSENT)[: SLOWEST + FAILED]
    found = {*endless.tolist(), *_longest(spans, SLOWEST).tolist(), *failed[_longest(spans[failed], FAILED)].tolist()}
    return [low + place for place in sorted(found)]


def _longest(spans: NDArray[np.int64], count: int) -> NDArray[np.intp]:
    """Places of the longest, the earlier of two that are the same."""
    if len(spans) > count:
        least = np.partition(spans, -count)[-count]
        places = np.flatnonzero(spans >= least)
    else:
        places = np.arange(len(spans))
    return places[np.argsort(-spans[places], kind="stable")][:count]


_REQUEST = "id, trace, name, intended_ns, start_ns, end_ns, status, ok, error, fallback"


def _rows(reader: JournalReader, column: str, values: Sequence[object]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(values), _AT_ONCE):
        some = values[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        sql = f"SELECT {_REQUEST} FROM requests WHERE {column} IN ({marks})"  # noqa: S608  # question marks
        yield from reader.rows(sql, some)


def _steps(reader: JournalReader, traces: Sequence[str]) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of the wire by trace id. One look at the wire for twenty thousand of them."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for start in range(0, len(traces), _AT_ONCE):
        some = traces[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        sql = f"""
            SELECT trace, link, method, path, arrived_ns, ended_ns, status, ending, faults FROM wire
            WHERE trace IN ({marks}) ORDER BY arrived_ns, id
        """  # noqa: S608  # only question marks are put in
        for row in reader.rows(sql, some):
            found.setdefault(str(row[0]), []).append(row)
    return found


def _trace(row: tuple[Any, ...], wire: Sequence[tuple[Any, ...]], axis: Axis, spans: Sequence[FaultSpan]) -> Trace:
    _, trace, name, intended_ns, start_ns, end_ns, status, ok, error, fallback = row
    said = str(error) if error else str(status)
    return Trace(
        name=str(name),
        trace=str(trace or ""),
        at_s=axis.second(intended_ns),
        sent_ms=None if start_ns is None else _ms(start_ns - intended_ns),
        latency_ms=None if end_ns is None else _ms(end_ns - intended_ns),
        said=said if end_ns is not None or error else "never ended",
        good=bool(ok),
        fallback=str(fallback or ""),
        steps=tuple(_drawn(wire[:MOST_STEPS], intended_ns, axis, spans)),
    )


def _drawn(wire: Sequence[tuple[Any, ...]], intended_ns: int, axis: Axis, spans: Sequence[FaultSpan]) -> Iterator[Step]:
    """The steps of one request: attempts counted, indented below the exchange that asked for them."""
    attempts: dict[tuple[Any, ...], int] = {}
    depths: dict[str, int] = {}
    for _, link, method, path, arrived_ns, ended_ns, status, ending, touched in wire:
        call = (link, method, path)
        attempts[call] = attempts.get(call, 0) + 1
        client, _, upstream = str(link).partition("->")
        depth = depths.get(client, -1) + 1
        depths.setdefault(upstream, depth)
        answered = ending == "answered"
        yield Step(
            link=str(link),
            attempt=attempts[call],
            start_ms=_ms(arrived_ns - intended_ns),
            length_ms=None if ended_ns is None else _ms(ended_ns - arrived_ns),
            said=str(status) if answered else str(ending).replace("_", " "),
            bad=not answered or status >= 500,
            depth=min(depth, 6),
            faults=_faults(str(link), (arrived_ns, ended_ns), str(touched or ""), axis, spans),
        )


def _faults(
    link: str, stamps_ns: tuple[int, int | None], touched: str, axis: Axis, spans: Sequence[FaultSpan]
) -> tuple[str, ...]:
    """Faults the gate wrote down, and those that were on meanwhile, on this link or on the service behind it."""
    named = [name for name in touched.split(",") if name]
    start_s = axis.second(stamps_ns[0])
    end_s = axis.second(stamps_ns[1]) if stamps_ns[1] is not None else axis.end_s
    for span in spans:
        on = span.effective_s is not None and span.effective_s[0] <= end_s and start_s <= span.effective_s[1]
        gate_knows = span.family == "http"  # then only the rows that carry its name were touched
        if on and not gate_knows and span.target in (link, link.partition("->")[2]) and span.name not in named:
            named.append(span.name)
    return tuple(named)


def _ms(span_ns: int) -> float:
    return round(span_ns / NS_PER_MS, 2)
