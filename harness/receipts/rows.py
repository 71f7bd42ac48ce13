"""
The rows of one link as the receipt of a fault sees them: when, how long, and whether the fault touched them.

What tells a touched row is the fault's own Mark. Rows are exchanges; where a toxic is drawn once a connection, or
acts when a connection closes, they are connections.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress, pairwise

from harness.clock import NS_PER_MS
from harness.faults.base import Mark
from harness.journal.columns import (
    ABSENT,
    ENDINGS,
    OPEN,
    UNANSWERED,
    LinkColumns,
    both,
    either,
    flags_of,
    link_columns,
)
from harness.receipts.base import FaultCalls, Record
from harness.statistics import nearest_rank

GONE = frozenset({"client_gone", "never_answered"})
_LEAST_SLOWER_NS = 5 * NS_PER_MS


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in order of their start; affected and unanswered hold 1 or 0 for each."""

    starts: Sequence[int]
    spans: Sequence[int]  # nanoseconds; of one without an end, to the end of the load
    affected: bytes
    unanswered: bytes  # the client gave up, so the span is only a lower bound

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def hurt(self) -> int:
        """How many are affected."""
        return self.affected.count(1)

    def between(self, start_ns: int, end_ns: int) -> Rows:
        """The rows that start in a stretch of time."""
        low = bisect_left(self.starts, start_ns)
        part = slice(low, max(low, bisect_left(self.starts, end_ns)))
        return Rows(self.starts[part], self.spans[part], self.affected[part], self.unanswered[part])

    def slices(self, count: int) -> list[tuple[int, int]]:
        """(rows, affected ones) by equal time slices."""
        first, last = self.starts[0], self.starts[-1] + 1
        cuts = [first + (last - first) * number // count for number in range(count)]
        places = [*(bisect_left(self.starts, cut) for cut in cuts), len(self)]
        return [(high - low, self.affected.count(1, low, high)) for low, high in pairwise(places)]

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, int, int]]) -> Rows:
        """From (start, span, affected, unanswered) in any order."""
        ordered = sorted(rows)
        return cls(
            [row[0] for row in ordered],
            [row[1] for row in ordered],
            bytes(row[2] for row in ordered),
            bytes(row[3] for row in ordered),
        )


def rows_of(record: Record, calls: FaultCalls, mark: Mark, on_ns: int) -> tuple[Rows, int, str]:
    """The rows of a fault's link, their usual length in the steady phase (ns), and what a row is. on_ns: its start."""
    link = calls.fault.target
    if mark.by == "close":
        return _closings(record, link, mark), 0, "connections"
    columns = _columns(record, calls, mark)
    _fill_open(columns, record.load_ended_ns)
    low, high = (bisect_left(columns.arrived_ns, edge) for edge in record.steady_ns)
    answered = flags_of(columns.flags[low:high], UNANSWERED).translate(bytes([1, 0]) + bytes(254))
    steady = sorted(compress(columns.span_ns[low:high], answered))
    base_ns = int(nearest_rank(steady, 0.5)) if steady else 0
    gone = _endings(columns, GONE)
    unanswered = both(flags_of(columns.flags, UNANSWERED), either(gone, flags_of(columns.flags, OPEN)))
    affected = _affected(calls, mark, columns, unanswered, (base_ns, steady))
    rows = Rows(columns.arrived_ns, columns.span_ns, affected, unanswered)
    if calls.fault.family == "toxic" and mark.share < 1:
        return _by_connection(columns, rows, on_ns), base_ns, "connections"
    if mark.by == "ending" and (more := _without_exchange(record, link, mark)):
        rows = Rows.of([*zip(rows.starts, rows.spans, rows.affected, rows.unanswered, strict=True), *more])
    return rows, base_ns, "requests"


def _columns(record: Record, calls: FaultCalls, mark: Mark) -> LinkColumns:
    if calls.fault.family != "http":
        return record.link(calls.fault.target)
    return link_columns(
        record.reader, calls.fault.target, fault=calls.name, methods=sorted(mark.methods), path=mark.path
    )


def _fill_open(columns: LinkColumns, ended_ns: int) -> None:
    """Exchanges without an end lasted to the end of the load at least."""
    place = -1
    for _ in range(columns.span_ns.count(ABSENT)):
        place = columns.span_ns.index(ABSENT, place + 1)
        columns.span_ns[place] = max(0, ended_ns - columns.arrived_ns[place])


def _endings(columns: LinkColumns, chosen: Iterable[str]) -> bytes:
    known = set(chosen)
    return columns.ending.translate(bytes(ending in known for ending in ENDINGS) + bytes(256 - len(ENDINGS)))


def _affected(
    calls: FaultCalls, mark: Mark, columns: LinkColumns, unanswered: bytes, steady: tuple[int, list[int]]
) -> bytes:
    """What tells an affected exchange. A fault of the gate's own leaves its name in the row, which has to be there."""
    if calls.fault.family == "http":
        return columns.touched
    if mark.by == "status":
        return bytes(map(mark.statuses.__contains__, columns.status))
    if mark.by == "ending":
        ended = _endings(columns, mark.endings)
        return either(ended, flags_of(columns.flags, OPEN)) if mark.endings & GONE else ended
    base_ns, spans = steady
    usual_ns = int(nearest_rank(spans, 0.99)) if spans else base_ns
    slower_ns = max(2 * base_ns, usual_ns + usual_ns // 2, base_ns + _LEAST_SLOWER_NS)
    cut_ns = slower_ns if mark.delay_ms is None else base_ns + mark.delay_ms * NS_PER_MS // 2
    slow = bytes(map(cut_ns.__lt__, columns.span_ns))
    if not unanswered.count(1):
        return slow
    # A client that gives up before the answer comes was delayed too, by an unknown amount beyond its patience.
    slower = bytes(map(min(cut_ns, slower_ns).__lt__, columns.span_ns))
    return either(slow, both(slower, unanswered))


def _without_exchange(record: Record, link: str, mark: Mark) -> list[tuple[int, int, int, int]]:
    """Connections refused or reset before a request could be read on them, and all that spoke something else than HTTP."""
    sql = """
        SELECT opened_ns, ifnull(closed_ns, opened_ns), ending FROM connections
        WHERE link = ? AND (ending IN ('refused', 'reset', 'aborted') OR protocol = 'raw')
          AND connection NOT IN (SELECT connection FROM wire WHERE link = ?)
    """
    return [
        (opened_ns, max(0, closed_ns - opened_ns), int(ending in mark.endings), 0)
        for opened_ns, closed_ns, ending in record.reader.rows(sql, (link, link))
    ]


def _closings(record: Record, link: str, mark: Mark) -> Rows:
    """Connections that the upstream closed: how long after their last answer the client's side heard of it."""
    sql = """
        SELECT ended, closed_ns - ended FROM (
            SELECT c.closed_ns AS closed_ns, max(w.ended_ns) AS ended FROM connections c
            JOIN wire w ON w.link = c.link AND w.connection = c.connection
            WHERE c.link = ? AND c.closed_by = 'upstream' AND c.closed_ns IS NOT NULL GROUP BY c.connection
        ) WHERE ended IS NOT NULL
    """
    late_ns = (mark.delay_ms or 0) * NS_PER_MS // 2
    found = record.reader.rows(sql, (link,))
    return Rows.of((ended, max(0, span), int(span > late_ns), 0) for ended, span in found)


def _by_connection(columns: LinkColumns, rows: Rows, on_ns: int) -> Rows:
    """One row a connection and side of the fault: affected when any of its exchanges was."""
    found: dict[tuple[int, bool], tuple[int, int, int, int]] = {}
    each = zip(columns.connection, rows.starts, rows.spans, rows.affected, rows.unanswered, strict=True)
    for connection, start, span, affected, unanswered in each:
        key = (connection, start >= on_ns)
        known = found.get(key)
        if known is None or (affected and not known[2]):
            found[key] = (start, span, affected, unanswered)
    return Rows.of(found.values())
