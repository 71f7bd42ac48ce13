"""
Latency: percentiles of exact samples, from the intended start, judged as counts of slow requests.

`p99 <= 500 ms` is "at most one request in a hundred is slower". Requests that never got an answer and are older than
the bound are slow; error answers are left out unless the promise says `answers: all`.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.checks.base import (
    BAD,
    GOOD,
    LEFT_OUT,
    UNFINISHED,
    Codes,
    Evidence,
    Selection,
    advice,
    bad_interval,
    is_thin,
    of_whom,
    span_ns,
)
from harness.clock import NS_PER_S
from harness.journal.columns import RequestColumns
from harness.scenario.promises import Latency
from harness.statistics import design_effect, judge_share, nearest_rank, printable, quantile_interval
from harness.units import show_duration
from harness.verdict import CheckResult, Verdict, worst

_SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """What one percentile came to."""

    name: str
    verdict: Verdict
    text: str
    measured: str
    value_s: float | None
    interval: tuple[float, float] | None
    thin: bool
    codes: Codes


def judge(promise: Latency, evidence: Evidence) -> CheckResult:
    """Each percentile has to hold; the gravest one is shown first."""
    bounds = _bounds(promise)
    window = evidence.window(promise)
    selection = evidence.select(promise.of, window)
    wanted = " ".join(f"{name} <= {show_duration(limit_s)}" for name, limit_s in bounds.items())
    spans, left_out = _spans(promise, evidence, selection)
    effect = _effect_at_p90(promise, evidence, selection, spans)
    judged = [_judge(promise, evidence, selection, (spans, effect), bound) for bound in bounds.items()]
    decisive = max(judged, key=lambda b: b.verdict.gravity)
    reason = "; ".join(b.text for b in judged)
    if left_out:
        reason += f"; {left_out} requests without a good answer left out"
    return CheckResult(
        check=promise.check,
        title=f"latency of {of_whom(promise.of)} {wanted}",
        verdict=worst(b.verdict for b in judged),
        reason=reason,
        bound=wanted,
        measured=", ".join(b.measured for b in judged),
        value=None if decisive.value_s is None else round(decisive.value_s * 1000, 3),
        unit="ms",
        samples=len(spans),
        window=window.name,
        thin=any(b.thin for b in judged),
        interval=decisive.interval,
        evidence=evidence.worst(selection, decisive.codes) if decisive.verdict is Verdict.FAIL else (),
    )


def _bounds(promise: Latency) -> dict[str, float]:
    given = {
        "p50": promise.p50_s, "p90": promise.p90_s, "p95": promise.p95_s, "p99": promise.p99_s,
        "p99.9": promise.p999_s, "max": promise.max_s,
    }  # fmt: skip
    return {name: limit_s for name, limit_s in given.items() if limit_s is not None}


def _judge(
    promise: Latency,
    evidence: Evidence,
    selection: Selection,
    measured_ns: tuple[list[int], float],
    bound: tuple[str, float],
) -> _Bound:
    """measured_ns: the latencies in ascending order, and the design effect at their 90th percentile."""
    name, limit_s = bound
    spans, effect = measured_ns
    share = _SHARES[name]
    codes = slower_than(promise, evidence, limit_s)
    count = selection.count(codes)
    budget = round(1 - share, 9)
    judged = judge_share(count.samples, count.bad, count.pending, budget)
    known = bool(spans) and (share == 1 or printable(len(spans), share))
    value_s = nearest_rank(spans, share) / NS_PER_S if known else None
    measured = f"{name} {show_duration(value_s)}" if value_s is not None else f"no {name}"
    low, high = bad_interval(count, effect)
    thin = is_thin(judged.verdict, (low, high), budget) and budget > 0
    text = f"{measured}, bound {show_duration(limit_s)} ({judged.reason})"
    interval = None
    if value_s is not None and share < 1:
        first, last, open_end = quantile_interval(spans, share, max(effect, design_effect(count.clusters)))
        interval = (round(first / 1e6, 3), round(last / 1e6, 3))
        if thin:
            end = f">= {show_duration(last / NS_PER_S)}" if open_end else show_duration(last / NS_PER_S)
            text += f", thin: {show_duration(first / NS_PER_S)} .. {end} within this run"
    text += advice(judged, count.samples, selection.window, evidence)
    return _Bound(
        name=name, verdict=judged.verdict, text=text, measured=measured, value_s=value_s, interval=interval,
        thin=thin, codes=codes,
    )  # fmt: skip


def slower_than(promise: Latency, evidence: Evidence, limit_s: float) -> Codes:
    """Codes by one bound: slow ones are bad, what has no answer yet and may still be quick is unfinished."""
    limit_ns = round(limit_s * NS_PER_S)
    now_ns = evidence.record.load_ended_ns

    def codes(columns: RequestColumns, low: int, high: int) -> bytes:
        found = bytearray(map(limit_ns.__lt__, columns.latency_ns[low:high]))
        outcome = columns.outcome[low:high]
        if outcome.count(GOOD) == len(outcome):
            return bytes(found)
        for offset, code in enumerate(outcome):
            if code == GOOD:
                continue
            place = low + offset
            slow = span_ns(columns, place, now_ns) > limit_ns
            if columns.status[place] > 0:
                found[offset] = LEFT_OUT if promise.answers == "good" else int(slow)
            elif slow:
                found[offset] = BAD
            else:
                found[offset] = UNFINISHED if code == UNFINISHED else LEFT_OUT
        return bytes(found)

    return codes


def _spans(promise: Latency, evidence: Evidence, selection: Selection) -> tuple[list[int], int]:
    """Latencies (ns) in ascending order, unanswered ones by their age, and how many requests are left out."""
    now_ns = evidence.record.load_ended_ns
    longest_ns = round(max(_bounds(promise).values()) * NS_PER_S) if _bounds(promise) else 0
    spans: list[int] = []
    left_out = 0
    for columns, low, high in selection.inside:
        outcome = columns.outcome[low:high]
        if outcome.count(GOOD) == len(outcome):
            spans.extend(columns.latency_ns[low:high])
            continue
        for place, code in enumerate(outcome, low):
            if code == GOOD or (promise.answers == "all" and columns.status[place] > 0):
                spans.append(columns.latency_ns[place])
            elif columns.status[place] > 0 or (age := span_ns(columns, place, now_ns)) <= longest_ns:
                left_out += 1
            else:
                spans.append(age)
    spans.sort()
    return spans, left_out


def _effect_at_p90(promise: Latency, evidence: Evidence, selection: Selection, spans: list[int]) -> float:
    """The design effect at the series' own 90th percentile: it shows bursts where few requests are over the bound."""
    if len(spans) < 10:
        return 1.0
    limit_s = nearest_rank(spans, 0.9) / NS_PER_S
    return design_effect(selection.count(slower_than(promise, evidence, limit_s)).clusters)
