"""Fallback: how often an answer says, by its x-fallback header, that it came from the named fallback."""

from __future__ import annotations

import re
from dataclasses import replace

from harness.checks.base import (
    BAD,
    GOOD,
    LEFT_OUT,
    UNFINISHED,
    Codes,
    Evidence,
    inconclusive,
    judge_good,
    of_whom,
    percent,
)
from harness.journal.columns import RequestColumns
from harness.scenario.promises import Fallback
from harness.verdict import CheckResult, Verdict


def judge(promise: Fallback, evidence: Evidence) -> CheckResult:
    """The share of finished requests it served, at least and at most."""
    title = f"fallback {promise.named} on {of_whom(promise.of)}"
    window = evidence.window(promise)
    selection = evidence.select(promise.of, window)
    results = []
    for least, serves in ((promise.serves_at_least, True), (promise.serves_at_most, False)):
        if least is None:
            continue
        codes = _codes(promise.named, serves=serves)
        wanted = least if serves else 1 - least
        result = judge_good(promise, evidence, selection, codes, least=wanted, title=title, noun="finished requests")
        results.append(result if serves else _turned(result, least))
    if not results:
        return inconclusive(promise, title=title, reason="the promise names neither bound", window=window.name)
    return max(results, key=lambda r: r.verdict.gravity)


def _codes(named: str, *, serves: bool) -> Codes:
    """Good is an answer from the fallback (or, for the upper bound, one that is not)."""

    def codes(columns: RequestColumns, low: int, high: int) -> bytes:
        served = [named in re.split(r"[,;\s]+", word or "") for word in columns.fallbacks.words]
        code_of = [GOOD if own is serves else BAD for own in served]
        found = bytearray(map(code_of.__getitem__, columns.fallback[low:high]))
        outcome = columns.outcome[low:high]
        if outcome.count(GOOD) == len(outcome):
            return bytes(found)
        for place, code in enumerate(outcome):
            if code == UNFINISHED:
                found[place] = UNFINISHED
            elif code == BAD and columns.status[low + place] == 0:
                found[place] = LEFT_OUT  # no answer at all, so it came from nowhere
        return bytes(found)

    return codes


def _turned(result: CheckResult, most: float) -> CheckResult:
    """The same result told from the other side: a share served, and an upper bound on it."""
    if result.value is None or result.interval is None:
        return replace(result, bound=f"at most {percent(most)}")
    low, high = result.interval
    value = 100 - result.value
    return replace(
        result,
        bound=f"at most {percent(most)}",
        measured=percent(value / 100),
        value=round(value, 4),
        interval=(round(100 - high, 4), round(100 - low, 4)),
        reason=f"{percent(value / 100)} served, at most {percent(most)} promised"
        + (" (too few to say)" if result.verdict is Verdict.INCONCLUSIVE else ""),
    )
