"""Crossings: how many requests a second cross a link, counted on the wire: what a rate limiter or a flag lets through."""

from __future__ import annotations

from harness.checks.base import Answers, Evidence, Window, inconclusive
from harness.clock import NS_PER_S
from harness.receipts.base import between
from harness.scenario.promises import Crossings
from harness.statistics import LEAST_SAMPLES
from harness.units import show_rate
from harness.verdict import CheckResult, Verdict


def judge(promise: Crossings, evidence: Evidence) -> CheckResult:
    """The requests that arrived on the link in the window, by its length; those at uncertain edges both ways."""
    title, bound = f"requests on {promise.on}", _bound(promise)
    window = evidence.bounded(evidence.window(promise))
    if (lack := _lack(promise, evidence, window)) is not None:
        return inconclusive(promise, title=title, reason=lack, bound=bound, window=window.name)
    certain = sum(evidence.record.arrivals(promise.on, *span) for span in window.spans)
    doubtful = sum(evidence.record.arrivals(promise.on, *edge) for edge in window.edges)
    rate = certain / window.seconds
    either = sorted([rate, (certain + doubtful) / (window.seconds + window.edge_seconds)])
    answers = Answers()
    said = f"{certain} requests in {window.seconds:.2f} s are {rate:.4g}/s"
    if promise.at_most_per_s is not None:
        limit = promise.at_most_per_s
        answers.add(_verdict(either[1] <= limit, either[0] > limit), f"{said}, at most {show_rate(limit)} promised")
    if promise.at_least_per_s is not None:
        limit = promise.at_least_per_s
        answers.add(_verdict(either[0] >= limit, either[1] < limit), f"{said}, at least {show_rate(limit)} promised")
    return CheckResult(
        check=promise.check,
        title=title,
        verdict=answers.verdict,
        reason=answers.reason,
        bound=bound,
        measured=f"{rate:.4g}/s",
        value=round(rate, 4),
        unit="/s",
        samples=certain,
        window=window.name,
    )


def _verdict(kept: bool, broken: bool) -> Verdict:
    return Verdict.PASS if kept else Verdict.FAIL if broken else Verdict.INCONCLUSIVE


def _lack(promise: Crossings, evidence: Evidence, window: Window) -> str | None:
    """Why silence on the link would mean nothing; None when it means something."""
    if evidence.system.link(promise.on) is None:
        return f"the system has no link {promise.on}"
    if window.seconds <= 0:
        return "the window is empty"
    asked = sum(
        high - low
        for columns in evidence.record.requests.values()
        for low, high in (between(columns, *span) for span in window.spans)
    )
    if asked < LEAST_SAMPLES:
        return f"the load sent {asked} requests in the window, {LEAST_SAMPLES} needed"
    steady = evidence.record.steady_ns
    usual = evidence.record.arrivals(promise.on, *steady)
    if usual < LEAST_SAMPLES:
        seconds = max(0, steady[1] - steady[0]) / NS_PER_S
        return (
            f"{usual} requests crossed {promise.on} in the {seconds:.1f} s before anything was done,"
            f" {LEAST_SAMPLES} needed to know that it is used at all"
        )
    return None


def _bound(promise: Crossings) -> str:
    parts = []
    if promise.at_most_per_s is not None:
        parts.append(f"at most {show_rate(promise.at_most_per_s)}")
    if promise.at_least_per_s is not None:
        parts.append(f"at least {show_rate(promise.at_least_per_s)}")
    return ", ".join(parts)
