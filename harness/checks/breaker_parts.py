"""
The single parts of a promise on a breaker: opened in time, closed in time, refused enough, opened at which rate.
"""

from __future__ import annotations

import json
from typing import Any

from harness.checks.base import Answers, Evidence, Window, percent
from harness.checks.breaker_word import Word
from harness.clock import NS_PER_S
from harness.receipts.base import FaultSpan
from harness.receipts.observer import ACTUATOR
from harness.scenario.promises import Breaker
from harness.units import show_duration
from harness.verdict import Verdict


def opens(answers: Answers, evidence: Evidence, word: Word, faults: list[FaultSpan], limit_s: float) -> None:
    """Whether it opened within limit_s seconds of the first fault's start."""
    if not faults:
        answers.add(Verdict.INCONCLUSIVE, "opens_within has no fault to count from")
        return
    start = min(faults, key=lambda span: span.start[0]).start
    opened = next((t.t_ns for t in word.transitions if t.after == "open" and t.t_ns >= start[0]), None)
    limit = show_duration(limit_s)
    if opened is None:
        watched_s = (evidence.record.load_ended_ns - start[1]) / NS_PER_S
        if watched_s < limit_s:
            answers.add(Verdict.INCONCLUSIVE, f"it did not open in the {watched_s:.1f} s watched, {limit} allowed")
        else:
            answers.hold(kept=False, clause=f"it did not open, promised within {limit} of the fault's start")
        return
    least_s, most_s = max(0, opened - start[1]) / NS_PER_S, (opened - start[0]) / NS_PER_S
    clause = f"it opened {show_duration(least_s)} after the fault's start, {limit} allowed"
    _add_bounded(answers, least_s, most_s, limit_s, clause)


def closes(answers: Answers, evidence: Evidence, word: Word, faults: list[FaultSpan], limit_s: float) -> None:
    """Whether it was closed for good within limit_s seconds of the last fault's end."""
    if not faults:
        answers.add(Verdict.INCONCLUSIVE, "closes_within has no fault to count from")
        return
    end = max(faults, key=lambda span: span.end[1]).end
    limit = show_duration(limit_s)
    watched_s = (evidence.record.load_ended_ns - end[1]) / NS_PER_S
    if not any(t.after == "open" for t in word.transitions):
        answers.add(Verdict.INCONCLUSIVE, "it never opened, so it could not close")
    elif word.transitions[-1].after == "closed":
        closed = word.transitions[-1].t_ns
        least_s, most_s = max(0, closed - end[1]) / NS_PER_S, max(0, closed - end[0]) / NS_PER_S
        clause = f"it closed {show_duration(least_s)} after the fault's end, {limit} allowed"
        _add_bounded(answers, least_s, most_s, limit_s, clause)
    elif watched_s < limit_s:
        last = word.transitions[-1].after
        answers.add(Verdict.INCONCLUSIVE, f"it was still {last} after the {watched_s:.1f} s watched, {limit} allowed")
    else:
        last = word.transitions[-1].after
        answers.hold(kept=False, clause=f"it was still {last} {watched_s:.1f} s after the fault's end, {limit} allowed")


def _add_bounded(answers: Answers, least_s: float, most_s: float, limit_s: float, clause: str) -> None:
    """A time known up to the uncertain edge it counts from."""
    if least_s > limit_s:
        answers.hold(kept=False, clause=clause)
    elif most_s > limit_s:
        answers.add(Verdict.INCONCLUSIVE, f"{clause}, but the edge of the fault is only known to"
                    f" {show_duration(most_s - least_s)}")  # fmt: skip
    else:
        answers.hold(kept=True, clause=clause)


def refused(word: Word, window: Window) -> int:
    """Refused calls: the counter begins anew with each state, so its highest value in each stretch is added up."""
    total, highest = 0, 0
    previous: tuple[str, int] | None = None
    for t_ns, state, count in word.looks:
        if previous is not None and (state != previous[0] or count < previous[1]):
            total, highest = total + highest, 0
        if window.holds(t_ns):
            highest = max(highest, count)
        previous = (state, count)
    return total + highest


def opened_at(answers: Answers, promise: Breaker, evidence: Evidence, window: Window, least: float) -> None:
    """The failure rate that was seen while it was open, against the least promised."""
    client, _, name = promise.on.partition("->")
    sql = "SELECT t_ns, data FROM probes WHERE observer = ? AND subject = ? AND ok ORDER BY t_ns"
    for t_ns, text in evidence.reader.rows(sql, (ACTUATOR, client)):
        data = json.loads(text)
        rate = _rate(data.get("failure_rates", {}).get(name))
        if rate is not None and data.get("breakers", {}).get(name) == "OPEN" and window.holds(t_ns):
            answers.hold(rate >= least, f"it opened at a failure rate of {percent(rate)}, {percent(least)} promised")
            return
    answers.add(Verdict.INCONCLUSIVE, "no look at it while it was open says at which failure rate it opened")


def _rate(value: Any) -> float | None:
    """A share from `50.0%` or from a number of percent; None for anything else and for Resilience4j's -1."""
    try:
        rate = float(str(value).strip().rstrip("%")) / 100
    except ValueError:
        return None
    return rate if rate >= 0 else None
