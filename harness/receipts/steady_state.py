"""
The receipt of the steady state: was the system healthy before the first fault.

Judged on the stretch before it, warm-up trimmed: no objective broken, no trend in the latency, no growing backlog.
A system that was unwell before the fault says nothing about the fault.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import compress
from operator import add
from typing import Any

from harness.clock import NS_PER_S
from harness.journal.columns import ABSENT, BAD, UNFINISHED, flags_of
from harness.receipts.base import Record, between, objective_codes
from harness.receipts.machine import strangers_busy
from harness.statistics import backlog_grows, judge_share, median, trend, warm_up_end
from harness.units import show_duration, show_share
from harness.verdict import Receipt, Verdict

LEAST_REQUESTS = 30
LEAST_SECONDS = 1.0
MOST_POINTS = 20_000  # of one name, for medians over time; more would not move them
_NOT = bytes([1]) + bytes(255)  # for bytes.translate: 1 for 0 and 0 for everything else


def judge_steady_state(record: Record) -> Receipt | None:
    """The receipt, or None when the run has no fault and so nothing to be steady before."""
    if not record.faults or record.first_fault_ns is None:
        return None
    start_ns, end_ns = record.steady_ns
    points = _points(record, start_ns, end_ns)
    start_s, end_s = record.second(start_ns), record.second(end_ns)
    trimmed_s = warm_up_end(points, start_s, end_s) if end_s > start_s else start_s
    kept = points[bisect_left(points, (trimmed_s,)) :]
    count = sum(_count(record, record.t0_ns + round(trimmed_s * NS_PER_S), end_ns))
    numbers: dict[str, Any] = {"requests": count, "seconds": round(max(0.0, end_s - trimmed_s), 3)}
    if trimmed_s > start_s:
        numbers["warm_up_trimmed_s"] = round(trimmed_s - start_s, 3)
    crowded = strangers_busy(record, start_ns, end_ns)
    if count < LEAST_REQUESTS or end_s - trimmed_s < LEAST_SECONDS:
        return _receipt(
            "TOO SHORT",
            f"steady phase too short: {count} requests in {max(0.0, end_s - trimmed_s):.1f} s before the first fault,"
            f" {LEAST_REQUESTS} in {LEAST_SECONDS:.0f} s needed",
            numbers,
            crowded=crowded,
        )
    first_ns = record.t0_ns + round(trimmed_s * NS_PER_S)
    if unwell := _broken_objective(record, first_ns, end_ns):
        return _receipt(
            "NOT HEALTHY", f"the system was not healthy before the fault: {unwell}", numbers, crowded=crowded
        )
    if moving := _moving(kept, trimmed_s, end_s, numbers):
        return _receipt("MOVING", moving, numbers, crowded=crowded)
    if piling := _backlog(record, first_ns, end_ns):
        return _receipt("OVERLOADED", piling, numbers, crowded=crowded)
    return _receipt("HEALTHY", _said(record, count, end_s - trimmed_s, kept), numbers)


def _receipt(status: str, sentence: str, numbers: dict[str, Any], *, crowded: bool = False) -> Receipt:
    return Receipt(
        kind="steady_state",
        subject="before the first fault",
        verdict=Verdict.PASS if status == "HEALTHY" else Verdict.INCONCLUSIVE,
        status=status,
        sentence=sentence,
        numbers=numbers,
        machine_to_blame=crowded,
    )


def _points(record: Record, start_ns: int, end_ns: int) -> list[tuple[float, float]]:
    """
    (second, latency in s) of good answers, all names on one scale: a mix of quick and slow requests would otherwise
    jump between their medians from bin to bin.
    """
    by_name: list[tuple[list[tuple[float, float]], float]] = []
    for columns in record.requests.values():
        low, high = between(columns, start_ns, end_ns)
        some = slice(low, high, 1 + (high - low) // MOST_POINTS)
        good = flags_of(columns.outcome[some], BAD | UNFINISHED).translate(_NOT)
        instants = compress(columns.intended_ns[some], good)
        own = [
            ((t_ns - record.t0_ns) / NS_PER_S, latency_ns / NS_PER_S)
            for t_ns, latency_ns in zip(instants, compress(columns.latency_ns[some], good), strict=True)
        ]
        if own:
            late = [latency_s for _, latency_s in own[len(own) // 2 :]]
            by_name.append((own, max(median(late), 1e-6)))
    everything = [latency_s for own, _ in by_name for _, latency_s in own[len(own) // 2 :]]
    common_s = median(everything) if everything else 0.0
    return sorted((at_s, latency_s * common_s / own_s) for own, own_s in by_name for at_s, latency_s in own)


def _count(record: Record, start_ns: int, end_ns: int) -> list[int]:
    return [max(0, high - low) for low, high in (between(c, start_ns, end_ns) for c in record.requests.values())]


def _broken_objective(record: Record, start_ns: int, end_ns: int) -> str | None:
    """The first objective that the steady stretch refutes. Too few requests to acquit are not held against it."""
    for objective in record.system.objectives:
        columns = record.requests.get(objective.of)
        if columns is None:
            continue
        low, high = between(columns, start_ns, end_ns)
        bad = objective_codes(columns, low, high, objective, record.load_ended_ns).count(BAD)
        judged = judge_share(high - low, bad, 0, 1 - objective.target)
        if judged.verdict is Verdict.FAIL:
            share = show_share(1 - bad / (high - low))
            return f"{objective.name} at {share}, {show_share(objective.target)} promised ({judged.reason})"
    return None


def _moving(points: list[tuple[float, float]], start_s: float, end_s: float, numbers: dict[str, Any]) -> str | None:
    found = trend(points, start_s, end_s)
    if found is None:
        return "too few good answers before the fault to see whether the latency was steady"
    numbers |= {"trend_log": round(found.log_change, 3), "trend_z": round(found.z, 2)}
    if not found.speaks:
        return None
    word = "rose" if found.log_change > 0 else "fell"
    return (
        f"the median latency {word} from {show_duration(found.first_s)} to {show_duration(found.last_s)} in the"
        f" {end_s - start_s:.1f} s before the fault: still warming up, or overloaded; make the steady phase longer"
    )


def _backlog(record: Record, start_ns: int, end_ns: int) -> str | None:
    half_ns = (start_ns + end_ns) // 2
    at_half, at_end = _in_flight(record, half_ns), _in_flight(record, end_ns)
    arrivals = sum(_count(record, half_ns, end_ns))
    if not backlog_grows(at_half, at_end, arrivals):
        return None
    return (
        f"load exceeds capacity before any fault: {at_end} requests were open at the end of the steady phase,"
        f" {at_half} at half of it"
    )


def _in_flight(record: Record, t_ns: int) -> int:
    """Requests that were sent (or meant to be) before an instant and had no end by then."""
    total = 0
    for columns in record.requests.values():
        high = bisect_left(columns.intended_ns, t_ns)
        ends = map(add, columns.intended_ns[:high], columns.latency_ns[:high])
        total += sum(map(t_ns.__lt__, ends)) + columns.latency_ns[:high].count(ABSENT)
    return total


def _said(record: Record, count: int, span_s: float, kept: list[tuple[float, float]]) -> str:
    latency = show_duration(median([latency_s for _, latency_s in kept]))
    objectives = len(record.system.objectives)
    told = f"{objectives} objectives unbroken" if objectives else "no objective declared"
    return f"{count} requests in {span_s:.1f} s, median {latency}, {told}"
