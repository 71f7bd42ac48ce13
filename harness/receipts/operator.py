"""
The receipt of an operator's request: did the service say yes to it, and to the one that took it back.

The answers stand in the run's own events. What the service then did is a promise's to show.
"""

from __future__ import annotations

from typing import Any

from harness.faults.request import Request
from harness.receipts.base import FaultCalls, FaultSpan, Record
from harness.receipts.fault import call_zone, receipt_of
from harness.verdict import Receipt

ANSWERED = "service.answered"


def judge_request(record: Record, calls: FaultCalls) -> tuple[Receipt, FaultSpan | None]:
    """The receipt of one request, and between which answers it was in force (None: it never was)."""
    if calls.failed is not None:
        return receipt_of(calls, "NO EFFECT", f"it could not be sent or taken back: {calls.failed}"), None
    if calls.injecting_ns is None or calls.injected_ns is None:
        return receipt_of(calls, "NO EVIDENCE", "the run ended before it was sent"), None
    done = _answer(record, calls, calls.injecting_ns, calls.injected_ns)
    if done is None:
        return receipt_of(calls, "NO EVIDENCE", f"no event tells what {calls.fault.target} answered"), None
    start, end = call_zone(record, calls)
    span = FaultSpan(start=start, end=end, how="by answer")
    numbers: dict[str, object] = {"status": done["status"]}
    if calls.healing_ns is None or calls.healed_ns is None:
        return receipt_of(calls, "UNCLEAR", "the run ended before it was taken back", numbers), span
    undone = _answer(record, calls, calls.healing_ns, calls.healed_ns)
    if undone is None:
        text = f"no event tells what {calls.fault.target} answered when it was taken back"
        return receipt_of(calls, "UNCLEAR", text, numbers), span
    numbers["undo_status"] = undone["status"]
    text = f"answered {done['status']} at {record.second(start[1]):.2f} s"
    text += f", and {undone['status']} at {record.second(end[1]):.2f} s, when it was taken back"
    return receipt_of(calls, "APPLIED", text, numbers), span


def _answer(record: Record, calls: FaultCalls, since_ns: int, until_ns: int) -> dict[str, Any] | None:
    """What the service answered to this request in a stretch of time; None when nothing tells."""
    fault = calls.fault
    assert isinstance(fault, Request)
    for t_ns, subject, data in record.events_of(ANSWERED):
        asked = (subject, data.get("method"), data.get("path"))
        if since_ns <= t_ns <= until_ns and asked == (fault.service, fault.method, fault.path):
            return data if 200 <= int(data.get("status") or 0) < 300 else None
    return None
