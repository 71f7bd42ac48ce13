"""
The receipt of the load: was it offered as it was meant to be, and on time.

The generator's own schedule error decides (measured: below 10 ms at p99 the noise of a run does not change, from
20 ms on it is four to eight times as large). What kept the machine busy explains a breach, it never decides one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from harness.journal.columns import ABSENT, BAD, RequestColumns
from harness.receipts.base import FOREVER_NS, Record
from harness.receipts.entry import entry_doubts
from harness.receipts.machine import attribution
from harness.scenario.model import Scenario
from harness.scenario.promises import Latency
from harness.units import show_share
from harness.verdict import Receipt, Verdict

SENT_SHARE = 0.995
P99_LIMIT_MS = 10.0
P50_LIMIT_MS = 2.0
MAX_LIMIT_MS = 50.0  # of fewer than 100 requests, which have no p99
CPU_LIMIT = 0.8
GATE_LAG_LIMIT_MS = 10.0
DROPPED_SHARE = 0.01  # during a fault


@dataclass(slots=True)
class _Finding:
    """Breaches found so far, each as a clause, and whether the machine alone is to blame for all of them."""

    breaches: list[str] = field(default_factory=list)
    machine: list[bool] = field(default_factory=list)

    def add(self, clause: str, *, machine: bool) -> None:
        self.breaches.append(clause)
        self.machine.append(machine)


def judge_load(record: Record, promised: Scenario) -> Receipt:
    """VALID when the load was what the scenario says; `promised` gives the tightest latency limit to be judged."""
    columns = list(record.requests.values())
    rows = sum(len(c) for c in columns)
    ended = record.events_of("load.ended")
    told: dict[str, Any] = ended[-1][2] if ended else {}
    intended = max(int(told.get("intended") or 0), rows)
    sent = sum(len(c) - c.late_us.count(ABSENT) for c in columns)
    closed = record.scenario.load.users is not None
    numbers: dict[str, Any] = {
        "model": "closed" if closed else "open",
        "intended": intended,
        "sent": sent,
        "dropped": intended - sent,
        "cpu_share_max": told.get("cpu_share_max"),
    }
    finding = _Finding()
    if not intended:
        finding.add("no request was ever meant to be sent: the load did not start", machine=False)
    _judge_sent(record, finding, columns, intended, sent)
    if not closed and (late_ms := _late_ms(columns)) is not None:
        numbers |= _judge_schedule(finding, late_ms, sent, _p99_limit_ms(record, promised))
    _judge_generator(record, finding, told, numbers)
    for doubt in entry_doubts(record):
        finding.add(doubt, machine=False)
    model = (
        " (closed model: a slow system slows the arrivals, and latency counts from the real start)" if closed else ""
    )
    if finding.breaches:
        blame = all(finding.machine)
        text = "; ".join(finding.breaches) + (f"{attribution(record)}" if blame else "")
        return _receipt("INVALID", text + model, numbers, blame=blame)
    return _receipt("VALID", _said(numbers, sent, intended) + model, numbers, blame=False)


def _late_ms(columns: list[RequestColumns]) -> dict[float, float] | None:
    """Schedule error (ms) by share, exact to a microsecond; None when nothing was sent."""
    times: Counter[int] = Counter()
    for own in columns:
        times.update(own.late_us)
    del times[ABSENT]
    sent, shares = times.total(), dict.fromkeys((0.5, 0.99, 1.0), 0.0)
    if not sent:
        return None
    reached = dict(zip(times_sorted := sorted(times), accumulate(times[late] for late in times_sorted), strict=True))
    for share in shares:
        shares[share] = next(late for late, count in reached.items() if count >= sent * share - 1e-9) / 1000
    return shares


def _receipt(status: str, sentence: str, numbers: dict[str, Any], *, blame: bool) -> Receipt:
    return Receipt(
        kind="load",
        subject="load",
        verdict=Verdict.PASS if status == "VALID" else Verdict.INCONCLUSIVE,
        status=status,
        sentence=sentence,
        numbers=numbers,
        machine_to_blame=blame,
    )


def _judge_sent(record: Record, finding: _Finding, columns: list[RequestColumns], intended: int, sent: int) -> None:
    """Everything meant has to be sent; while a fault is on, a few may be dropped and count as bad requests."""
    rows = sum(len(c) for c in columns)
    if intended and rows < SENT_SHARE * intended:
        finding.add(f"only {rows} of {intended} requests are in the journal", machine=False)
    if not any(c.late_us.count(ABSENT) for c in columns):
        return
    dropped = [
        c.intended_ns[place]
        for c in columns
        for place, latency_ns in enumerate(c.latency_ns)
        if latency_ns == ABSENT and c.outcome[place] == BAD  # without an end, and not because it was never waited for
    ]
    hurt = [(f.injecting_ns, f.healed_ns or FOREVER_NS) for f in record.faults.values() if f.injecting_ns is not None]
    inside = sum(any(start <= t <= end for start, end in hurt) for t in dropped)
    limit = record.scenario.load.max_in_flight
    if outside := len(dropped) - inside:
        finding.add(
            f"{outside} requests were dropped while no fault was on: the limit of {limit} in flight was reached",
            machine=False,
        )
    elif inside > DROPPED_SHARE * intended or sent < SENT_SHARE * intended:
        finding.add(f"{inside} of {intended} requests were dropped: raise max_in_flight above {limit}", machine=False)


def _judge_schedule(finding: _Finding, late_ms: dict[float, float], sent: int, limit_ms: float) -> dict[str, Any]:
    p50_ms, p99_ms, max_ms = late_ms[0.5], late_ms[0.99], late_ms[1.0]
    if sent < 100:
        if max_ms > MAX_LIMIT_MS:
            finding.add(f"schedule error up to {max_ms:.1f} ms (limit {MAX_LIMIT_MS:.0f} ms)", machine=True)
    elif p99_ms > limit_ms:
        finding.add(f"schedule error p99 {p99_ms:.1f} ms (limit {limit_ms:.0f} ms)", machine=True)
    if p50_ms > P50_LIMIT_MS:
        finding.add(f"schedule error p50 {p50_ms:.1f} ms (limit {P50_LIMIT_MS:.0f} ms)", machine=True)
    return {
        "schedule_error_p50_ms": round(p50_ms, 3),
        "schedule_error_p99_ms": round(p99_ms, 3),
        "schedule_error_max_ms": round(max_ms, 3),
        "schedule_error_limit_ms": limit_ms,
    }


def _p99_limit_ms(record: Record, promised: Scenario) -> float:
    """10 ms, or a tenth of the tightest latency limit that will be judged, if that is more."""
    limits: list[float] = [o.limit_s for o in record.system.objectives if o.limit_s is not None]
    for expectation in promised.expect:
        promise = expectation.promise
        if isinstance(promise, Latency):
            bounds = (promise.p50_s, promise.p90_s, promise.p95_s, promise.p99_s, promise.p999_s, promise.max_s)
            limits += [bound for bound in bounds if bound is not None]
    return max(P99_LIMIT_MS, min(limits) * 100) if limits else P99_LIMIT_MS


def _judge_generator(record: Record, finding: _Finding, told: dict[str, Any], numbers: dict[str, Any]) -> None:
    """The generator's processor time, the gate's own delays, and the test for hidden retries."""
    cpu = told.get("cpu_share_max")
    if cpu is not None and cpu > CPU_LIMIT:
        finding.add(f"the load generator used {cpu:.2f} of its core (limit {CPU_LIMIT})", machine=True)
    lag = _gate_lag_ms(record)
    if lag is not None:
        numbers["gate_lag_p99_ms"] = round(lag, 3)
        if lag > GATE_LAG_LIMIT_MS:
            finding.add(f"the gate lagged {lag:.1f} ms at p99 (limit {GATE_LAG_LIMIT_MS:.0f} ms)", machine=True)
    started = record.events_of("load.started")
    test = told.get("self_test", started[-1][2].get("self_test") if started else None)
    if test is False or (isinstance(test, dict) and test.get("ok") is False):
        wrong = test.get("wrong") if isinstance(test, dict) else None
        detail = "; ".join(map(str, wrong)) if wrong else "it failed"
        finding.add(f"the client's self-test failed, it may hide retries: {detail}", machine=False)


def _said(numbers: dict[str, Any], sent: int, intended: int) -> str:
    text = f"{sent} of {intended} requests sent ({show_share(sent / intended)})"
    if "schedule_error_p99_ms" in numbers:
        text += (
            f", schedule error p50 {numbers['schedule_error_p50_ms']:.1f} ms,"
            f" p99 {numbers['schedule_error_p99_ms']:.1f} ms"
        )
    return text + (f", {numbers['dropped']} dropped" if numbers["dropped"] else "")


def _gate_lag_ms(record: Record) -> float | None:
    """The gate's p99 over the whole run, which it says at its end; of a gate that never did, its worst second's."""
    for kind in ("gate.ended", "gate.lag"):
        lags = [float(p99) for _, _, data in record.events_of(kind) if (p99 := data.get("p99_ms")) is not None]
        if lags:
            return max(lags)
    return None
