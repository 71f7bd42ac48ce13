"""
The receipt of a fault of a service: was its process really gone, frozen, or another one afterwards.

Judged by pids and start times in the events of the service, and by what the observer of processes saw; refused and
unanswered requests on its links are told beside, they are no proof.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.clock import NS_PER_S
from harness.faults.kill import Kill
from harness.receipts.base import FOREVER_NS, FaultCalls, FaultSpan, Record
from harness.receipts.fault import call_zone, receipt_of
from harness.units import show_duration
from harness.verdict import Receipt, Verdict

ENDED = ("service.killed", "service.stopped", "service.exited")
_BY_THE_CALL_NS = NS_PER_S // 2  # what ends later, the end of the run included, was ended by something else
_SEEN_AFTER_NS = NS_PER_S // 2  # how long the process table may lag behind the signal


def judge_process(record: Record, calls: FaultCalls) -> tuple[Receipt, FaultSpan | None]:
    """The receipt of a fault of one service or of several, and when they were really away (None: they never were)."""
    parts = calls.fault.parts(record.system.members)
    if parts == (calls.fault,):
        return _judge_service(record, calls)
    if not parts:
        return receipt_of(
            calls, "NO EVIDENCE", f"the system has no services that {calls.fault.target} stands for"
        ), None
    judged = [_judge_service(record, replace(calls, fault=part)) for part in parts]
    spans = [span for _, span in judged if span is not None]
    numbers: dict[str, object] = {
        part.target: receipt.numbers for part, (receipt, _) in zip(parts, judged, strict=True)
    }
    bad = [receipt for receipt, _ in judged if receipt.verdict is not Verdict.PASS]
    if bad:
        span = _whole(spans) if len(spans) == len(parts) else None
        return receipt_of(calls, bad[0].status, "; ".join(r.sentence for r in bad), numbers), span
    whole = _whole(spans)
    begun_s, ended_s = record.second(whole.start[1]), record.second(whole.end[0])
    text = f"{len(parts)} services were away between {begun_s:.2f} s and {ended_s:.2f} s, each gone and back"
    return receipt_of(calls, "APPLIED", text, numbers), whole


def _whole(spans: Sequence[FaultSpan]) -> FaultSpan:
    """From the first service gone to the last one back."""
    first, last = min(spans, key=lambda s: s.start[1]), max(spans, key=lambda s: s.end[1])
    return FaultSpan(start=first.start, end=last.end, how="by process")


def _judge_service(record: Record, calls: FaultCalls) -> tuple[Receipt, FaultSpan | None]:
    """As judge_process, for a fault of one service."""
    if calls.failed is not None:
        return receipt_of(calls, "NO EFFECT", f"it could not be injected or healed: {calls.failed}"), None
    if calls.injecting_ns is None or calls.injected_ns is None:
        return receipt_of(calls, "NO EVIDENCE", "the run ended before it was injected"), None
    if isinstance(calls.fault, Kill) and calls.fault.only is not None:
        return _judge_one(record, calls, calls.fault.only)
    paused = calls.fault.kind == "pause"
    away = _first(record, calls, ("service.paused",) if paused else ENDED, calls.injecting_ns)
    if away is None or away[0] > calls.injected_ns + _BY_THE_CALL_NS:
        what = "paused" if paused else "ended"
        return receipt_of(calls, "NO EVIDENCE", f"no event says that {calls.fault.target} was {what} by it"), None
    back = _first(record, calls, ("service.resumed",) if paused else ("service.ready",), away[0])
    end = call_zone(record, calls)[1]
    expected_back = calls.healing_ns is not None or not calls.fault.undoable
    end_zone = (back[0], back[0]) if back is not None else end
    span = FaultSpan(start=(min(calls.injecting_ns, away[0]), away[0]), end=end_zone, how="by process")
    numbers = _numbers(record, calls, away, back)
    trouble = _trouble(record, calls, away, back, expected_back=expected_back)
    if trouble:
        return receipt_of(calls, "UNCLEAR", trouble, numbers), span
    return receipt_of(calls, "APPLIED", _said(record, away, back, numbers), numbers), span


def _judge_one(record: Record, calls: FaultCalls, program: str) -> tuple[Receipt, FaultSpan | None]:
    """A single process of the service: the runner itself saw it gone. How long it stayed away is not known."""
    assert calls.injecting_ns is not None
    gone = _first(record, calls, ("service.process_killed",), calls.injecting_ns)
    if gone is None or gone[0] > (calls.injected_ns or 0) + _BY_THE_CALL_NS:
        return receipt_of(
            calls, "NO EVIDENCE", f"no event says that {program} of {calls.fault.target} was killed"
        ), None
    span = FaultSpan(start=(calls.injecting_ns, gone[0]), end=call_zone(record, calls)[1], how="by process")
    text = f"pid {gone[2].get('killed_pid')} was killed, the rest of {calls.fault.target} was not"
    return receipt_of(calls, "APPLIED", text, {"pid": gone[2].get("killed_pid")}), span


Happened = tuple[int, str, dict[str, Any]]


def _first(record: Record, calls: FaultCalls, kinds: tuple[str, ...], after_ns: int) -> Happened | None:
    """The first event of these kinds on the fault's service from an instant on."""
    for t_ns, kind, subject, data in record.events:
        if kind in kinds and subject == calls.fault.target and t_ns >= after_ns:
            return t_ns, kind, data
    return None


def _pid_before(record: Record, calls: FaultCalls) -> tuple[Any, Any] | None:
    """(pid, start time) of the service when the fault was asked for."""
    started = [
        (data.get("pid"), data.get("started_at"))
        for t_ns, kind, subject, data in record.events
        if kind == "service.started" and subject == calls.fault.target and t_ns <= (calls.injecting_ns or 0)
    ]
    return started[-1] if started else None


def _trouble(
    record: Record, calls: FaultCalls, away: Happened, back: Happened | None, *, expected_back: bool
) -> str | None:
    before = _pid_before(record, calls)
    if before is None:
        return f"no event says under which pid {calls.fault.target} ran before"
    if away[2].get("pid") != before[0]:
        return f"pid {away[2].get('pid')} was hit, but {calls.fault.target} ran as pid {before[0]}"
    if expected_back and back is None:
        return f"{calls.fault.target} did not come back"
    if back is not None and away[1] in ENDED:
        again = _first(record, calls, ("service.started",), away[0])
        if again is None or (again[2].get("pid"), again[2].get("started_at")) == before:
            return f"{calls.fault.target} came back as the same process, pid {before[0]}: it was never gone"
    return _seen_alive(record, calls, away, back)


def _seen_alive(record: Record, calls: FaultCalls, away: Happened, back: Happened | None) -> str | None:
    """Whether the process table showed the service at work while it should have been away."""
    # The call that brings it back has its effect some time before anybody can say so.
    until_ns = min(back[0] if back is not None else FOREVER_NS, calls.healing_ns or FOREVER_NS) - _SEEN_AFTER_NS
    pid = away[2].get("pid")
    for t_ns, ok, text in _probes(record, calls.fault.target):
        data = json.loads(text)
        if not away[0] + _SEEN_AFTER_NS < t_ns < until_ns or not ok or data.get("pid") != pid:
            continue
        if away[1] in ENDED and data.get("status") not in ("zombie", "dead", "gone"):
            return f"pid {pid} was still {data.get('status')} {show_duration((t_ns - away[0]) / NS_PER_S)} later"
        if away[1] == "service.paused" and data.get("status") != "stopped":
            return (
                f"pid {pid} was {data.get('status')}, not stopped, {show_duration((t_ns - away[0]) / NS_PER_S)} later"
            )
    return None


def _probes(record: Record, service: str) -> list[tuple[Any, ...]]:
    sql = "SELECT t_ns, ok, data FROM probes WHERE observer = 'processes' AND subject = ? ORDER BY t_ns"
    return list(record.reader.rows(sql, (service,)))


def _numbers(record: Record, calls: FaultCalls, away: Happened, back: Happened | None) -> dict[str, object]:
    until_ns = back[0] if back is not None else record.arrivals_end_ns
    sql = """
        SELECT ending, count(*) FROM wire
        WHERE substr(link, -length(?)) = ? AND arrived_ns >= ? AND arrived_ns < ? GROUP BY ending
    """
    suffix = f"->{calls.fault.target}"
    endings = dict(record.reader.rows(sql, (suffix, suffix, away[0], until_ns)))
    return {
        "pid": away[2].get("pid"),
        "away_s": round((until_ns - away[0]) / NS_PER_S, 3),
        "requests_meanwhile": sum(endings.values()),
        "unanswered_meanwhile": sum(count for ending, count in endings.items() if ending != "answered"),
    }


def _said(record: Record, away: Happened, back: Happened | None, numbers: dict[str, object]) -> str:
    verb = away[1].partition(".")[2]
    length = show_duration(float(str(numbers["away_s"])))
    until = f"back after {length}" if back is not None else f"away to the end of the run, {length}"
    lost = (
        f"{numbers['unanswered_meanwhile']} of {numbers['requests_meanwhile']} requests to it went unanswered meanwhile"
    )
    return f"pid {numbers['pid']} was {verb} at {record.second(away[0]):.2f} s, {until}; {lost}"
