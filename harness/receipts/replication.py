"""
The receipt of a lag of replication: did the primary itself see its replica fall behind, by as much as was declared.

PostgreSQL's protocol is no HTTP, so the wire holds nothing to judge by; the primary's own figures do.
"""

from __future__ import annotations

from harness.clock import NS_PER_MS
from harness.faults.lag import Lag
from harness.receipts.base import FaultCalls, FaultSpan, Record
from harness.receipts.fault import call_zone, receipt_of
from harness.receipts.nodes import looks_of, replica_rows
from harness.statistics import median
from harness.units import show_duration
from harness.verdict import Receipt

LEAST_LOOKS = 3
LEAST_SHARE = 0.5  # of the declared lag: what is sent while nothing is written comes without any


def judge_lag(record: Record, calls: FaultCalls) -> tuple[Receipt, FaultSpan | None]:
    """The receipt of one lag, and when it was on (None: it never was)."""
    if calls.failed is not None:
        return receipt_of(calls, "NO EFFECT", f"it could not be injected or healed: {calls.failed}"), None
    if calls.injecting_ns is None or calls.injected_ns is None:
        return receipt_of(calls, "NO EVIDENCE", "the run ended before it was injected"), None
    fault = calls.fault
    assert isinstance(fault, Lag)
    start, end = call_zone(record, calls)
    span = FaultSpan(start=start, end=end, how="by call")
    replica, _, primary = fault.link.partition("->")
    looks = looks_of(record).get(primary, [])
    before = replica_rows(looks, replica, record.steady_ns[0], start[0])
    during = replica_rows(looks, replica, start[1] + (fault.lag_ms or 0) * NS_PER_MS, end[1])
    if len(during) < LEAST_LOOKS:
        text = f"{primary} said {len(during)} times how far {replica} was behind, {LEAST_LOOKS} are needed"
        return receipt_of(calls, "NO EVIDENCE", text), span
    if fault.stopped:
        return _stopped(calls, before, during, span)
    return _late(calls, before, during, span, (fault.lag_ms or 0) / 1000)


def _late(
    calls: FaultCalls, before: list[dict[str, object]], during: list[dict[str, object]], span: FaultSpan, lag_s: float
) -> tuple[Receipt, FaultSpan | None]:
    usual_s, found_s = (
        median(_figures(rows, "lag_s")) if _figures(rows, "lag_s") else 0.0 for rows in (before, during)
    )
    numbers: dict[str, object] = {"lag_s": round(found_s, 4), "before_s": round(usual_s, 4), "looks": len(during)}
    text = f"behind by {show_duration(found_s)} (median of {len(during)} looks), {show_duration(usual_s)} before"
    applied = found_s >= LEAST_SHARE * lag_s and found_s > 2 * usual_s
    return receipt_of(calls, "APPLIED" if applied else "NO EFFECT", text, numbers), span


def _stopped(
    calls: FaultCalls, before: list[dict[str, object]], during: list[dict[str, object]], span: FaultSpan
) -> tuple[Receipt, FaultSpan | None]:
    most, usual = (max(_figures(rows, "lag_bytes"), default=0.0) for rows in (during, before))
    numbers: dict[str, object] = {"lag_bytes": int(most), "before_bytes": int(usual), "looks": len(during)}
    text = f"behind by {int(most)} bytes at most, {int(usual)} before"
    return receipt_of(calls, "APPLIED" if most > max(usual, 1.0) else "NO EFFECT", text, numbers), span


def _figures(rows: list[dict[str, object]], key: str) -> list[float]:
    return [float(str(row[key])) for row in rows if row.get(key) is not None]
