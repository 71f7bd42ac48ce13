"""Availability: the share of requests with a good outcome. No response at all is bad."""

from __future__ import annotations

from harness.checks.base import Evidence, judge_good, of_whom, percent
from harness.scenario.promises import Availability
from harness.verdict import CheckResult


def judge(promise: Availability, evidence: Evidence) -> CheckResult:
    """PASS when at most the allowed number of requests in the window was bad."""
    return judge_good(
        promise,
        evidence,
        evidence.select(promise.of, evidence.window(promise)),
        evidence.outcomes,
        least=promise.at_least,
        title=f"availability of {of_whom(promise.of)} at least {percent(promise.at_least)}",
    )
