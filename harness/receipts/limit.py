"""
The receipt of a limit of processor or memory: was it in force, and did the service run into it.

The engine's own figures stand in the run's events: what it held the container to, for how long it made it wait for a
processor, how often memory was refused. A limit that a service never reaches hurts nobody.
"""

from __future__ import annotations

from typing import Any

from harness.faults.limit import Limit
from harness.receipts.base import FaultCalls, FaultSpan, Record
from harness.receipts.fault import call_zone, receipt_of
from harness.units import show_duration
from harness.verdict import Receipt

LIMITED, UNLIMITED = "service.limited", "service.unlimited"
LEAST_WAIT_S = 0.01  # less is what a process does while it starts to think


def judge_limit(record: Record, calls: FaultCalls) -> tuple[Receipt, FaultSpan | None]:
    """The receipt of one limit, and when it was in force (None: it never was)."""
    if calls.failed is not None:
        return receipt_of(calls, "NO EFFECT", f"it could not be injected or healed: {calls.failed}"), None
    if calls.injecting_ns is None or calls.injected_ns is None:
        return receipt_of(calls, "NO EVIDENCE", "the run ended before it was injected"), None
    limited = _told(record, calls, LIMITED, calls.injecting_ns, calls.injected_ns)
    if limited is None:
        return receipt_of(calls, "NO EVIDENCE", f"no event says what {calls.fault.target} was held to"), None
    start, end = call_zone(record, calls)
    span = FaultSpan(start=start, end=end, how="by call")
    freed = _told(record, calls, UNLIMITED, calls.healing_ns or 0, calls.healed_ns or 0)
    if freed is None:
        return receipt_of(calls, "UNCLEAR", "no event says that it was given back what it had"), span
    return _felt(calls, limited, freed), span


def _felt(calls: FaultCalls, limited: dict[str, Any], freed: dict[str, Any]) -> Receipt:
    """Whether the service ran into every limit it was given."""
    fault = calls.fault
    assert isinstance(fault, Limit)
    numbers: dict[str, object] = {
        key: value
        for key, value in {**limited, **freed}.items()
        if key in ("cpus", "memory_bytes", "throttled_s", "memory_hits") and value is not None
    }
    said, unfelt, unknown = [], [], []
    for wanted, key, words in (
        (fault.cpus, "throttled_s", "waited {} for a processor"),
        (fault.memory_bytes, "memory_hits", "was refused memory {} times"),
    ):
        if wanted is None:
            continue
        value = freed.get(key)
        if value is None:
            unknown.append(key)
            continue
        said.append(words.format(show_duration(value) if key == "throttled_s" else round(value)))
        if value < (LEAST_WAIT_S if key == "throttled_s" else 1):
            unfelt.append(key)
    if unknown:
        return receipt_of(calls, "NO EVIDENCE", "this machine does not show what the engine held it to", numbers)
    text = f"{fault.service} {' and '.join(said)} while it was on"
    return receipt_of(calls, "NO EFFECT" if unfelt else "APPLIED", text, numbers)


def _told(record: Record, calls: FaultCalls, kind: str, since_ns: int, until_ns: int) -> dict[str, Any] | None:
    """The event of this kind on the fault's service in a stretch of time."""
    for t_ns, subject, data in record.events_of(kind):
        if subject == calls.fault.target and since_ns <= t_ns <= until_ns:
            return data
    return None
