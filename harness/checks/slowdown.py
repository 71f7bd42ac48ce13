"""
Slowdown: percentiles of latency as multiples of the same ones before the first fault.

What isolation promises is that others stay as fast as they were, whatever that is on this machine. The percentiles of
the steady phase make the bounds, and the latency check judges by them.
"""

from __future__ import annotations

from dataclasses import replace

from harness.checks import latency
from harness.checks.base import Evidence, Window, inconclusive, of_whom
from harness.clock import NS_PER_S
from harness.journal.columns import GOOD
from harness.scenario.promises import Latency, Slowdown
from harness.statistics import nearest_rank, printable
from harness.units import show_duration
from harness.verdict import CheckResult

_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def judge(promise: Slowdown, evidence: Evidence) -> CheckResult:
    """The steady phase's percentiles, times what is allowed, are the bounds of the window."""
    wanted = {
        name: times
        for name, times in (("p50", promise.p50), ("p90", promise.p90), ("p99", promise.p99))
        if times is not None
    }
    told = ", ".join(f"{name} at most {times:g} times" for name, times in wanted.items())
    title = f"slowdown of {of_whom(promise.of)}: {told}"
    spans = _steady_ns(promise, evidence)
    bounds, known = {}, []
    for name, times in wanted.items():
        if not spans or not printable(len(spans), _SHARES[name]):
            reason = f"{len(spans)} good answers before the first fault, too few to know their {name}"
            return inconclusive(promise, title=title, reason=reason, bound=told, window=evidence.window(promise).name)
        usual_s = nearest_rank(spans, _SHARES[name]) / NS_PER_S
        known.append(f"{name} {show_duration(usual_s)}")
        bounds[name] = usual_s * times + promise.give_s
    bounded = Latency(
        of=promise.of, during=promise.during, after_s=f"{promise.after_s:.9f}s", except_=promise.except_, answers="all",
        **{name: f"{limit_s:.9f}s" for name, limit_s in bounds.items()},
    )  # fmt: skip
    found = latency.judge(bounded, evidence)
    before = f"before the first fault {', '.join(known)} of {len(spans)} requests"
    return replace(found, check=promise.check, title=title, reason=f"{found.reason}; {before}")


def _steady_ns(promise: Slowdown, evidence: Evidence) -> list[int]:
    """Latencies of good answers in the steady phase, in ascending order."""
    window = Window(name="steady", spans=(evidence.record.steady_ns,))
    return sorted(
        columns.latency_ns[place]
        for columns, low, high in evidence.select(promise.of, window).inside
        for place in range(low, high)
        if columns.outcome[place] == GOOD
    )
