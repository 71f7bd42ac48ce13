"""
Connections on a link: how many were open at once and how many were opened in any second, as the gate saw them.

What comes back after an outage must not be run over: a storm of connections is what this looks for.
"""

from __future__ import annotations

from bisect import bisect_left
from heapq import heapify, heappop, heappush

from harness.checks.base import Answers, Evidence, inconclusive
from harness.clock import NS_PER_S
from harness.receipts.base import FOREVER_NS
from harness.scenario.promises import Connections
from harness.units import show_rate
from harness.verdict import CheckResult

Life = tuple[int, int]


def judge(promise: Connections, evidence: Evidence) -> CheckResult:
    """The peaks over the window, its uncertain edges included: a storm at an edge is a storm."""
    title, bound = f"connections on {promise.on}", _bound(promise)
    window = evidence.bounded(evidence.window(promise))
    if evidence.system.link(promise.on) is None:
        return inconclusive(promise, title=title, reason=f"the system has no link {promise.on}", bound=bound)
    spans = sorted((*window.spans, *window.edges))
    lives = _lives(promise.on, evidence)
    touched = [life for life in lives if any(life[0] < end and life[1] > start for start, end in spans)]
    if not touched:
        reason = f"no connection of {promise.on} was open in the window"
        return inconclusive(promise, title=title, reason=reason, bound=bound, window=window.name)
    at_once = max(_at_once(lives, span) for span in spans)
    opened = _opened(sorted(start for start, _ in lives), spans)
    answers = Answers()
    if (most := promise.open_at_most) is not None:
        answers.hold(at_once <= most, f"{at_once} were open at once, at most {most} promised")
    if (limit := promise.opened_at_most_per_s) is not None:
        answers.hold(opened <= limit, f"{opened} were opened within one second, at most {show_rate(limit)} promised")
    return CheckResult(
        check=promise.check,
        title=title,
        verdict=answers.verdict,
        reason=answers.reason,
        bound=bound,
        measured=f"{at_once} at once, {opened} new in a second",
        value=float(at_once if promise.open_at_most is not None else opened),
        unit="connections",
        samples=len(touched),
        window=window.name,
    )


def _lives(link: str, evidence: Evidence) -> list[Life]:
    """When each connection of a link was opened and closed, in order."""
    sql = "SELECT opened_ns, closed_ns FROM connections WHERE link = ? ORDER BY opened_ns"
    return [(t, FOREVER_NS if end is None else end) for t, end in evidence.reader.rows(sql, (link,))]


def _at_once(lives: list[Life], span: Life) -> int:
    """The most that were open at one instant of a stretch of time."""
    ends = [end for start, end in lives if start <= span[0] < end]
    heapify(ends)
    most = len(ends)
    for start, end in lives:
        if not span[0] < start < span[1]:
            continue
        while ends and ends[0] <= start:
            heappop(ends)
        heappush(ends, end)
        most = max(most, len(ends))
    return most


def _opened(starts: list[int], spans: list[Life]) -> int:
    """The most that were opened within one second, of stretches of time."""
    most = 0
    for low, high in spans:
        inside = starts[bisect_left(starts, low) : bisect_left(starts, high)]
        for place, start in enumerate(inside):
            most = max(most, bisect_left(inside, start + NS_PER_S) - place)
    return most


def _bound(promise: Connections) -> str:
    parts = []
    if promise.open_at_most is not None:
        parts.append(f"at most {promise.open_at_most} at once")
    if promise.opened_at_most_per_s is not None:
        parts.append(f"at most {show_rate(promise.opened_at_most_per_s)} new")
    return ", ".join(parts)
