"""Throughput: good answers a second, of the requests that belong to the window."""

from __future__ import annotations

import math

from harness.checks.base import GOOD, UNFINISHED, Evidence, Selection, of_whom
from harness.scenario.promises import Throughput
from harness.statistics.shares import LEAST_SAMPLES, Z_90
from harness.units import show_rate
from harness.verdict import CheckResult, Verdict


def judge(promise: Throughput, evidence: Evidence) -> CheckResult:
    """The good answers to requests meant for the window, by its length; uncertain edges are judged both ways."""
    window = evidence.bounded(evidence.window(promise))
    selection = evidence.select(promise.of, window)
    count = selection.count(evidence.outcomes)
    good = sum(evidence.outcomes(c, low, high).count(GOOD) for c, low, high in selection.inside)
    verdict, reason = _verdict(promise, evidence, selection, good)
    rate = good / window.seconds if window.seconds > 0 else 0.0
    half = Z_90 * math.sqrt(_scatter(selection, evidence)) / window.seconds if window.seconds > 0 else 0.0
    interval = (max(0.0, rate - half), rate + half)
    return CheckResult(
        check=promise.check,
        title=f"throughput of {of_whom(promise.of)} at least {show_rate(promise.at_least_per_s)}",
        verdict=verdict,
        reason=reason,
        bound=f"at least {show_rate(promise.at_least_per_s)}",
        measured=f"{rate:.4g}/s",
        value=round(rate, 4),
        unit="/s",
        samples=count.samples,
        window=window.name,
        thin=verdict is not Verdict.INCONCLUSIVE and interval[0] <= promise.at_least_per_s <= interval[1],
        interval=(round(interval[0], 4), round(interval[1], 4)),
        evidence=evidence.worst(selection, evidence.outcomes) if verdict is Verdict.FAIL else (),
    )


def _verdict(promise: Throughput, evidence: Evidence, selection: Selection, good: int) -> tuple[Verdict, str]:
    window = selection.window
    expected = promise.at_least_per_s * window.seconds
    if window.seconds <= 0:
        return Verdict.INCONCLUSIVE, "the window is empty"
    said = f"{good} good answers in {window.seconds:.2f} s are {good / window.seconds:.4g}/s"
    if expected < LEAST_SAMPLES:
        return Verdict.INCONCLUSIVE, f"{said}; the window promises only {expected:.1f} answers, {LEAST_SAMPLES} needed"
    unfinished = sum(evidence.outcomes(c, a, b).count(UNFINISHED) for c, a, b in selection.inside)
    at_edges = sum(evidence.outcomes(c, a, b).count(GOOD) for c, a, b in selection.at_edges)
    worst = min(good / window.seconds, (good + at_edges) / (window.seconds + window.edge_seconds))
    best = max(
        (good + unfinished) / window.seconds, (good + unfinished + at_edges) / (window.seconds + window.edge_seconds)
    )
    if best < promise.at_least_per_s:
        return Verdict.FAIL, f"{said}, {promise.at_least_per_s:.4g}/s promised"
    if worst < promise.at_least_per_s:
        return Verdict.INCONCLUSIVE, f"{said}; the edges of the window or {unfinished} unfinished requests decide it"
    return Verdict.PASS, said


def _scatter(selection: Selection, evidence: Evidence) -> float:
    """The variance of the number of good answers, from their scatter over the time slices."""
    counts = [size - bad for size, bad in selection.count(evidence.outcomes).clusters]
    mean = sum(counts) / len(counts)
    return sum((count - mean) ** 2 for count in counts) * len(counts) / (len(counts) - 1)
