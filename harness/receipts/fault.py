"""
The receipt of a fault on a link: was it really there, when, and on how much of what crossed.

Judged from the gate's rows, by what the fault itself says the wire must show (its Mark). Faults of services are in
`process.py`. A breaker that opens leaves few rows: those that did cross are judged, and an edge that nobody crossed
is taken from the instants of the calls that switched the fault on and off.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from harness.clock import NS_PER_MS, NS_PER_S
from harness.faults.base import Mark
from harness.journal.columns import Exchange
from harness.receipts.base import FOREVER_NS, FaultCalls, FaultSpan, Record
from harness.statistics import AffectedShare, Edges, affected_share, fault_edges, median, nearest_rank
from harness.units import show_duration, show_share
from harness.verdict import Receipt, Verdict

LEAST_AFFECTED = 10  # rows that must have been there to be affected
LEAST_SHARE = 0.05  # of a fault that touches what it touches, a limit of bytes for one
SHARE_SLICES = 10
_LEAST_SLOWER_NS = 5 * NS_PER_MS
GONE = frozenset({"client_gone", "never_answered"})


class Row(NamedTuple):
    """One exchange (or one connection that carried none) as a fault's receipt sees it."""

    start_ns: int
    span_ns: int
    affected: bool
    unanswered: bool = False  # the client gave up, so the span is only a lower bound


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """Everything one fault is judged by."""

    calls: FaultCalls
    mark: Mark
    start: tuple[int, int]  # the call that switched it on: asked, answered
    end: tuple[int, int]  # the call that switched it off
    base_ns: int
    before: list[Row]
    during: list[Row]
    after: list[Row]
    rows: list[Row]  # all of them, with those that arrived while the calls were under way
    unit: str  # requests, or connections where the share is drawn once a connection

    tolerance_ns: int  # how far an edge may lie from its call


def judge_fault(record: Record, calls: FaultCalls) -> tuple[Receipt, FaultSpan | None]:
    """The receipt of one fault on a link, and when it was really on (None: it never was)."""
    if calls.failed is not None:
        return receipt_of(calls, "NO EFFECT", f"it could not be injected or healed: {calls.failed}"), None
    if calls.injecting_ns is None or calls.injected_ns is None:
        return receipt_of(calls, "NO EVIDENCE", "the run ended before it was injected"), None
    case = _case_of(record, calls)
    # The gate does its own faults between two requests, at the instant of the call: nothing is left to measure.
    how = "by the gate" if calls.fault.family == "http" else "by call"
    by_call = FaultSpan(start=case.start, end=case.end, how=how)
    if case.mark.counted is not None:
        return _judge_counted(case), by_call
    return _judge_rows(case, by_call)


def receipt_of(calls: FaultCalls, status: str, sentence: str, numbers: dict[str, object] | None = None) -> Receipt:
    """A fault's receipt; only APPLIED is a pass."""
    return Receipt(
        kind="fault",
        subject=calls.name,
        verdict=Verdict.PASS if status == "APPLIED" else Verdict.INCONCLUSIVE,
        status=status,
        sentence=f"{calls.fault.describe()}: {sentence}",
        numbers=numbers or {},
    )


def call_zone(record: Record, calls: FaultCalls) -> tuple[tuple[int, int], tuple[int, int]]:
    """The zones in which the fault was switched on and off, by the calls alone."""
    assert calls.injecting_ns is not None
    assert calls.injected_ns is not None
    end_ns = record.arrivals_end_ns
    healing = calls.healing_ns if calls.healing_ns is not None else end_ns
    healed = calls.healed_ns if calls.healed_ns is not None else max(healing, end_ns)
    return (calls.injecting_ns, calls.injected_ns), (max(healing, calls.injected_ns), max(healed, calls.injected_ns))


# -- rows ------------------------------------------------------------------------------------------------------


def _case_of(record: Record, calls: FaultCalls) -> _Case:
    start, end = call_zone(record, calls)
    mark, link = calls.fault.mark(), calls.fault.target
    exchanges = [e for e in record.wire(link) if _speaks_of(mark, e)]
    steady = record.steady_ns
    quiet = [e for e in exchanges if steady[0] <= e.arrived_ns < steady[1]]
    answered = [_span(e, record) for e in quiet if e.head_ns is not None]
    base_ns = int(median(answered)) if answered else 0
    affected = _test_of(calls, mark, base_ns, answered)
    rows = [_row(e, record, affected) for e in exchanges]
    unit = "requests"
    if mark.by == "ending":
        rows += _without_exchange(record, link, mark)
        rows.sort(key=lambda r: r.start_ns)
    if mark.by == "close":
        rows, unit = _closings(record, link, mark), "connections"
    elif calls.fault.family == "toxic" and mark.share < 1:
        rows, unit = _by_connection(exchanges, rows, start[1]), "connections"
    since, until = _alone(record, calls)
    during = _between(rows, start[1], end[0])
    return _Case(
        calls=calls, mark=mark, start=start, end=end, base_ns=base_ns, unit=unit,
        before=_between(rows, steady[0], min(steady[1], start[0])),
        during=during,
        after=_between(rows, end[1], until),
        rows=_between(rows, max(steady[0], since), until),
        tolerance_ns=_tolerance_ns(mark, during, (end[0] - start[1]) / NS_PER_S),
    )  # fmt: skip


def _tolerance_ns(mark: Mark, during: list[Row], seconds: float) -> int:
    """0.25 s, a tenth of the fault, or three affected arrivals, whichever is longest."""
    expected = len(during) * mark.share if mark.share_known else sum(row.affected for row in during)
    rate = expected / max(seconds, 1e-9)
    return round(max(0.25, 0.1 * seconds, 3 / rate if rate > 0 else 0.0) * NS_PER_S)


def _speaks_of(mark: Mark, exchange: Exchange) -> bool:
    """Whether a fault that chooses by method and path means this exchange."""
    if mark.methods and (exchange.method or "").upper() not in mark.methods:
        return False
    return mark.path is None or fnmatchcase((exchange.path or "").partition("?")[0], mark.path)


def _span(exchange: Exchange, record: Record) -> int:
    """How long the exchange took. An answer that came after its client had gone counts: it shows the whole delay."""
    end_ns = exchange.ended_ns if exchange.ended_ns is not None else record.load_ended_ns
    return max(0, end_ns - exchange.arrived_ns, (exchange.head_ns or 0) - exchange.arrived_ns)


def _unanswered(exchange: Exchange) -> bool:
    return exchange.head_ns is None and (exchange.ending in GONE or exchange.ended_ns is None)


def _row(exchange: Exchange, record: Record, affected: Callable[[Exchange, int], bool]) -> Row:
    span_ns = _span(exchange, record)
    return Row(
        start_ns=exchange.arrived_ns,
        span_ns=span_ns,
        affected=affected(exchange, span_ns),
        unanswered=_unanswered(exchange),
    )


def _test_of(calls: FaultCalls, mark: Mark, base_ns: int, steady: list[int]) -> Callable[[Exchange, int], bool]:
    """What tells an affected exchange. A fault of the gate's own leaves its name in the row, which has to be there."""
    if calls.fault.family == "http":
        return lambda e, _: calls.name in e.faults.split(",")
    if mark.by == "status":
        return lambda e, _: e.status in mark.statuses
    if mark.by == "ending":
        return lambda e, _: e.ending in mark.endings or (e.ended_ns is None and bool(mark.endings & GONE))
    usual_ns = int(nearest_rank(sorted(steady), 0.99)) if steady else base_ns
    slower_ns = max(2 * base_ns, usual_ns + usual_ns // 2, base_ns + _LEAST_SLOWER_NS)
    cut_ns = slower_ns if mark.delay_ms is None else base_ns + mark.delay_ms * NS_PER_MS // 2
    # A client that gives up before the answer comes was delayed too, by an unknown amount beyond its patience.
    return lambda e, span_ns: span_ns > (min(cut_ns, slower_ns) if _unanswered(e) else cut_ns)


def _without_exchange(record: Record, link: str, mark: Mark) -> list[Row]:
    """Connections that were refused or reset before a request could be read on them."""
    sql = """
        SELECT opened_ns, ifnull(closed_ns, opened_ns), ending FROM connections
        WHERE link = ? AND ending IN ('refused', 'reset', 'aborted')
          AND connection NOT IN (SELECT connection FROM wire WHERE link = ?)
    """
    return [
        Row(start_ns=opened_ns, span_ns=max(0, closed_ns - opened_ns), affected=ending in mark.endings)
        for opened_ns, closed_ns, ending in record.reader.rows(sql, (link, link))
    ]


def _closings(record: Record, link: str, mark: Mark) -> list[Row]:
    """Connections that the upstream closed: how long after their last answer the client's side heard of it."""
    sql = """
        SELECT ended, closed_ns - ended FROM (
            SELECT c.closed_ns AS closed_ns, max(w.ended_ns) AS ended FROM connections c
            JOIN wire w ON w.link = c.link AND w.connection = c.connection
            WHERE c.link = ? AND c.closed_by = 'upstream' AND c.closed_ns IS NOT NULL GROUP BY c.connection
        ) WHERE ended IS NOT NULL ORDER BY ended
    """
    late_ns = (mark.delay_ms or 0) * NS_PER_MS // 2
    return [
        Row(start_ns=ended, span_ns=max(0, span), affected=span > late_ns)
        for ended, span in record.reader.rows(sql, (link,))
    ]


def _by_connection(exchanges: list[Exchange], rows: list[Row], on_ns: int) -> list[Row]:
    """One row a connection and side of the fault: affected when any of its exchanges was."""
    found: dict[tuple[int, bool], Row] = {}
    for exchange, row in zip(exchanges, rows, strict=False):
        key = (exchange.connection, row.start_ns >= on_ns)
        known = found.get(key)
        if known is None or (row.affected and not known.affected):
            found[key] = row
    return sorted(found.values(), key=lambda r: r.start_ns)


def _alone(record: Record, calls: FaultCalls) -> tuple[int, int]:
    """The stretch around a fault in which no earlier or later one hurts the same link or its upstream service."""
    link = calls.fault.target
    others = [c for c in record.faults.values() if c is not calls and c.fault.target in (link, link.partition("->")[2])]
    since = [c.healed_ns for c in others if c.healed_ns is not None and c.healed_ns <= (calls.injecting_ns or 0)]
    until = [
        c.injecting_ns
        for c in others
        if c.injecting_ns is not None and c.injecting_ns >= (calls.healing_ns or FOREVER_NS)
    ]
    return max(since, default=-FOREVER_NS), min(until, default=FOREVER_NS)


def _between(rows: list[Row], start_ns: int, end_ns: int) -> list[Row]:
    low = bisect_left(rows, start_ns, key=lambda r: r.start_ns)
    return rows[low : bisect_left(rows, end_ns, key=lambda r: r.start_ns)]


# -- judging ---------------------------------------------------------------------------------------------------


def _judge_counted(case: _Case) -> Receipt:
    """A fault that hits the first N: the rows that carry its name are counted against N."""
    assert case.mark.counted is not None
    hits = sum(row.affected for row in case.during)
    meant = min(case.mark.counted, len(case.during))
    numbers: dict[str, object] = {"crossed": len(case.during), "affected": hits, "meant": case.mark.counted}
    outside = sum(row.affected for row in (*case.before, *case.after))
    if meant == 0:
        return receipt_of(case.calls, "NO EVIDENCE", f"nothing it speaks of crossed {_where(case)}", numbers)
    if hits == 0:
        return receipt_of(case.calls, "NO EFFECT", f"none of the {len(case.during)} requests was touched", numbers)
    if hits != meant or outside:
        text = (
            f"{hits} of {len(case.during)} requests were touched while it was on and {outside} outside, {meant} meant"
        )
        return receipt_of(case.calls, "UNCLEAR", text, numbers)
    return receipt_of(case.calls, "APPLIED", f"the first {hits} of {len(case.during)} requests were touched", numbers)


def _judge_rows(case: _Case, by_call: FaultSpan) -> tuple[Receipt, FaultSpan | None]:
    mark = case.mark
    judged = _between(case.during, case.start[1], case.end[0] - (case.end[0] - case.start[1]) // 10)
    if len(judged) * mark.share < LEAST_AFFECTED:
        judged = case.during  # sparse: every row counts, the last tenth too
    numbers: dict[str, object] = {
        "unit": case.unit,
        "crossed_before": len(case.before),
        "crossed": len(case.during),
        "affected": sum(row.affected for row in case.during),
        "share_declared": mark.share,
    }
    if (lack := _lack(case, judged)) is not None:
        return receipt_of(case.calls, "NO EVIDENCE", lack, numbers), by_call
    signed = case.calls.fault.family == "http"  # the gate writes the fault's name into the rows it touched
    share = affected_share(None if signed else _slices(case.before), _slices(judged))
    edges = _edges(case, share)
    delay_ns, at_least = _delay(case)
    numbers |= {"share": round(share.share, 4), "share_lower": round(share.lower, 4)}
    if mark.by == "delay" and share.during > 0:
        numbers |= {"delay_ms": round(delay_ns / NS_PER_MS, 1), "delay_is_lower_bound": at_least}
    if share.upper < 0.25 * mark.share if mark.share_known else share.lower <= 0 and share.share < LEAST_SHARE:
        seen = f"{numbers['affected']} of {len(case.during)} {case.unit} looked affected"
        before = f"{show_share(share.before)} did in the steady phase"
        text = f"{seen} while it was on, {show_share(mark.share)} declared; {before}"
        return receipt_of(case.calls, "NO EFFECT", text, numbers), None
    span = _span_of(case, edges, by_call)
    numbers |= {"start_ms": _off(case.start, span.start), "end_ms": _off(case.end, span.end), "edges": span.how}
    trouble = _trouble(case, share, edges, delay_ns, at_least=at_least)
    said = _said(case, share, delay_ns, at_least=at_least)
    if trouble:
        return receipt_of(case.calls, "UNCLEAR", f"{'; '.join(trouble)} ({said})", numbers), span
    how = "" if span.how != "by call" else "; too few crossed to see its edges, so the calls' own instants bound it"
    return receipt_of(case.calls, "APPLIED", said + how, numbers), span


def _lack(case: _Case, judged: list[Row]) -> str | None:
    """What is missing for a judgement; None when nothing is."""
    if case.mark.share == 0:
        return f"it was declared to touch 0 % of {case.unit}, so it can show nothing"
    if len(case.before) < LEAST_AFFECTED:
        return (
            f"only {len(case.before)} {case.unit} crossed {_where(case)} in the steady phase before it,"
            f" {LEAST_AFFECTED} needed to know how it looks without it"
        )
    if len(judged) * case.mark.share < LEAST_AFFECTED:
        return (
            f"only {len(case.during)} {case.unit} crossed {_where(case)} while it was on,"
            f" {round(LEAST_AFFECTED / case.mark.share)} needed:"
            " the breaker was already open, or the client does not use the link"
        )
    return None


def _slices(rows: list[Row]) -> list[tuple[int, int]]:
    first, last = rows[0].start_ns, rows[-1].start_ns + 1
    found = [[0, 0] for _ in range(SHARE_SLICES)]
    for row in rows:
        place = (row.start_ns - first) * SHARE_SLICES // (last - first)
        found[place][0] += 1
        found[place][1] += row.affected
    return [(size, bad) for size, bad in found]


def _edges(case: _Case, share: AffectedShare) -> Edges | None:
    if case.unit == "connections" or case.calls.fault.family == "http":
        return None  # a connection has no instant at which it passes; the gate's own faults need none
    points = sorted(
        (row.start_ns + min(row.span_ns, case.base_ns) if row.affected else row.start_ns + row.span_ns, row.affected)
        for row in case.rows
    )
    return fault_edges(points, share, (len(case.before), len(case.during)))


def _delay(case: _Case) -> tuple[int, bool]:
    """The delay really added (ns), and whether it is only a lower bound because clients gave up."""
    hurt = [row for row in case.during if row.affected]
    if not hurt:
        return 0, False
    unanswered = sum(row.unanswered for row in hurt)
    return int(median([row.span_ns for row in hurt])) - case.base_ns, 2 * unanswered >= len(hurt)


def _trouble(case: _Case, share: AffectedShare, edges: Edges | None, delay_ns: int, *, at_least: bool) -> list[str]:
    """What keeps a fault that had an effect from being APPLIED, each as a clause."""
    mark, found = case.mark, []
    if not mark.share_known:
        if share.lower < LEAST_SHARE:
            found.append(f"it touched {show_share(share.share)} of {case.unit}, too few to be sure of it")
    elif share.lower < 0.5 * mark.share or share.share < 0.7 * mark.share:
        found.append(f"it touched {show_share(share.share)} of {case.unit}, {show_share(mark.share)} declared")
    if mark.by == "delay" and mark.delay_ms is not None:
        ratio = delay_ns / (mark.delay_ms * NS_PER_MS)
        if ratio > 1.5 or (ratio < 0.7 and not at_least):
            found.append(f"it added {show_duration(delay_ns / NS_PER_S)}, {mark.delay_ms} ms declared")
    if edges is not None:
        if (off := _distance(case.start, (edges.last_off, edges.first_on))) > case.tolerance_ns:
            found.append(f"it began {show_duration(off / NS_PER_S)} away from the call that switched it on")
        if not edges.open_end and (off := _distance(case.end, (edges.last_on, edges.first_off))) > case.tolerance_ns:
            early = edges.first_off < case.end[0]
            found.append(
                f"it ended {show_duration(off / NS_PER_S)} before the call that switched it off" if early
                else f"it outlived its window by {show_duration(off / NS_PER_S)}"
            )  # fmt: skip
    if not any("outlived" in clause for clause in found) and (still := _still_on(case, share)):
        found.append(still)
    return found


def _still_on(case: _Case, share: AffectedShare) -> str | None:
    """Whether the wire stayed hurt after the fault was taken back."""
    later = [row for row in case.after if row.start_ns > case.end[1] + case.tolerance_ns]
    if case.unit == "connections" or len(later) < LEAST_AFFECTED:
        return None
    after = affected_share(_slices(case.before), _slices(later))
    if after.lower < 0.25 * share.share:
        return None
    return f"it outlived its window: {show_share(after.during)} of the {len(later)} requests after it were affected too"


def _distance(zone: tuple[int, int], other: tuple[int, int]) -> int:
    """How far two stretches of time are apart; 0 when they touch."""
    return max(0, zone[0] - other[1], other[0] - zone[1])


def _span_of(case: _Case, edges: Edges | None, by_call: FaultSpan) -> FaultSpan:
    """Measured edges where rows were dense enough to show them, the calls' instants where not."""
    if edges is None:
        return by_call
    start, seen_start = _narrowed((edges.last_off, edges.first_on), case.start, case.tolerance_ns)
    if edges.open_end:
        return FaultSpan(start=start, end=case.end, how="measured" if seen_start else "by call")
    end, seen_end = _narrowed((edges.last_on, edges.first_off), case.end, case.tolerance_ns)
    return FaultSpan(start=start, end=end, how="measured" if seen_start and seen_end else "by call")


def _narrowed(seen: tuple[int, int], call: tuple[int, int], tolerance_ns: int) -> tuple[tuple[int, int], bool]:
    low, high = max(seen[0], call[0]), min(seen[1], call[1])
    if low <= high:
        return (low, high), seen[1] - seen[0] <= 2 * tolerance_ns
    if seen[1] - seen[0] > 2 * tolerance_ns:
        return call, False
    return (min(seen), max(seen)), True


def _off(call: tuple[int, int], real: tuple[int, int]) -> float:
    """Milliseconds from the middle of the call to the middle of the effective edge."""
    return round((sum(real) - sum(call)) / 2 / NS_PER_MS, 1)


def _said(case: _Case, share: AffectedShare, delay_ns: int, *, at_least: bool) -> str:
    affected = sum(row.affected for row in case.during)
    text = (
        f"{affected} of {len(case.during)} {case.unit} were affected ({show_share(share.share)} beyond the background)"
    )
    if case.mark.by == "delay" and affected:
        bound = "at least " if at_least else ""
        text += f", {bound}{show_duration(delay_ns / NS_PER_S)} slower"
        text += " (the clients gave up by then)" if at_least else ""
    return text


def _where(case: _Case) -> str:
    return case.calls.fault.target
