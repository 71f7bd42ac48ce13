"""
The receipt of a fault on a link: was it really there, when, and on how much of what crossed.

Judged from the gate's rows, by what the fault itself says the wire must show (its Mark). Faults of services are in
`process.py`. A breaker that opens leaves few rows: those that did cross are judged, and an edge that nobody crossed
is taken from the instants of the calls that switched the fault on and off.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress

from harness.clock import NS_PER_MS, NS_PER_S
from harness.faults.base import Mark
from harness.receipts.base import FOREVER_NS, FaultCalls, FaultSpan, Record
from harness.receipts.rows import Rows, rows_of
from harness.statistics import AffectedShare, affected_share, best_segment, median
from harness.units import show_duration, show_share
from harness.verdict import Receipt, Verdict

LEAST_AFFECTED = 10  # rows that must have been there to be affected
LEAST_SHARE = 0.05  # of a fault that touches what it touches, a limit of bytes for one
SHARE_SLICES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """Everything one fault is judged by."""

    calls: FaultCalls
    mark: Mark
    start: tuple[int, int]  # the call that switched it on: asked, answered
    end: tuple[int, int]  # the call that switched it off
    base_ns: int
    before: Rows
    during: Rows
    after: Rows
    rows: Rows  # all of them, with those that arrived while the calls were under way
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
    mark, steady = calls.fault.mark(), record.steady_ns
    rows, base_ns, unit = rows_of(record, calls, mark, start[1])
    since, until = _alone(record, calls)
    during = rows.between(start[1], end[0])
    return _Case(
        calls=calls, mark=mark, start=start, end=end, base_ns=base_ns, unit=unit,
        before=rows.between(steady[0], min(steady[1], start[0])),
        during=during,
        after=rows.between(end[1], until),
        rows=rows.between(max(steady[0], since), until),
        tolerance_ns=_tolerance_ns(mark, during, (end[0] - start[1]) / NS_PER_S),
    )  # fmt: skip


def _tolerance_ns(mark: Mark, during: Rows, seconds: float) -> int:
    """0.25 s, a tenth of the fault, or three affected arrivals, whichever is longest."""
    expected = len(during) * mark.share if mark.share_known else during.hurt
    rate = expected / max(seconds, 1e-9)
    return round(max(0.25, 0.1 * seconds, 3 / rate if rate > 0 else 0.0) * NS_PER_S)


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


# -- judging ---------------------------------------------------------------------------------------------------


def _judge_counted(case: _Case) -> Receipt:
    """A fault that hits the first N: the rows that carry its name are counted against N."""
    assert case.mark.counted is not None
    hits = case.during.hurt
    meant = min(case.mark.counted, len(case.during))
    numbers: dict[str, object] = {"crossed": len(case.during), "affected": hits, "meant": case.mark.counted}
    outside = case.before.hurt + case.after.hurt
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
    judged = case.during.between(case.start[1], case.end[0] - (case.end[0] - case.start[1]) // 10)
    if len(judged) * mark.share < LEAST_AFFECTED:
        judged = case.during  # sparse: every row counts, the last tenth too
    numbers: dict[str, object] = {
        "unit": case.unit,
        "crossed_before": len(case.before),
        "crossed": len(case.during),
        "affected": case.during.hurt,
        "share_declared": mark.share,
    }
    if (lack := _lack(case, judged)) is not None:
        return receipt_of(case.calls, "NO EVIDENCE", lack, numbers), by_call
    signed = case.calls.fault.family == "http"  # the gate writes the fault's name into the rows it touched
    share = affected_share(None if signed else case.before.slices(SHARE_SLICES), judged.slices(SHARE_SLICES))
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


def _lack(case: _Case, judged: Rows) -> str | None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edges:
    """The instants around a fault: the last row without it, the first and the last with it, the first without again."""

    last_off: int
    first_on: int
    last_on: int
    first_off: int
    open_end: bool  # no row after the last affected one: the end was not seen


def _edges(case: _Case, share: AffectedShare) -> _Edges | None:
    if case.unit == "connections" or case.calls.fault.family == "http":
        return None  # a connection has no instant at which it passes; the gate's own faults need none
    rows, base_ns = case.rows, case.base_ns
    # An exchange passes the fault when its request does; one that was not affected passed it with its answer.
    passed = [
        (start + (min(span, base_ns) if affected else span)) * 2 + affected
        for start, span, affected in zip(rows.starts, rows.spans, rows.affected, strict=True)
    ]
    passed.sort()
    segment = best_segment(bytes(map((1).__and__, passed)), share, (len(case.before), len(case.during)))
    if segment is None:
        return None
    start, stop = segment
    return _Edges(
        last_off=passed[max(0, start - 1)] >> 1,
        first_on=passed[start] >> 1,
        last_on=passed[stop - 1] >> 1,
        first_off=passed[min(stop, len(passed) - 1)] >> 1,
        open_end=stop >= len(passed),
    )


def _delay(case: _Case) -> tuple[int, bool]:
    """The delay really added (ns), and whether it is only a lower bound because clients gave up."""
    rows = case.during
    if not rows.hurt:
        return 0, False
    unanswered = sum(compress(rows.unanswered, rows.affected))
    return int(median(list(compress(rows.spans, rows.affected)))) - case.base_ns, 2 * unanswered >= rows.hurt


def _trouble(case: _Case, share: AffectedShare, edges: _Edges | None, delay_ns: int, *, at_least: bool) -> list[str]:
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
    later = case.after.between(case.end[1] + case.tolerance_ns, FOREVER_NS)
    if case.unit == "connections" or len(later) < LEAST_AFFECTED:
        return None
    after = affected_share(case.before.slices(SHARE_SLICES), later.slices(SHARE_SLICES))
    if after.lower < 0.25 * share.share:
        return None
    return f"it outlived its window: {show_share(after.during)} of the {len(later)} requests after it were affected too"


def _distance(zone: tuple[int, int], other: tuple[int, int]) -> int:
    """How far two stretches of time are apart; 0 when they touch."""
    return max(0, zone[0] - other[1], other[0] - zone[1])


def _span_of(case: _Case, edges: _Edges | None, by_call: FaultSpan) -> FaultSpan:
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
    affected = case.during.hurt
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
