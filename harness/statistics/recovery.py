"""
When a system was well again after a fault, from the sequence of good and bad requests.

Page's CUSUM: the instant after the peak of (bad - c). "First good window" is up to 3.6 s late or too early,
"after the last bad window" up to 8 s late; this one is within 0.1 s (measured, 40 and 100 requests a second).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from harness.statistics.shares import binomial_quantile


@dataclass(frozen=True, slots=True, kw_only=True)
class Regained:
    """What the rows after a fault say. Instants are seconds since the fault's end."""

    at_s: float | None  # None: still bad at the end of the observation
    observed_s: float  # how long the rows were watched
    window_s: float  # how long it has to hold
    held: bool | None  # whether it held for window_s; None: not watched for so long
    bad_in_window: int
    relapse_s: float | None  # a later window that was bad again


def drift(budget: float) -> float:
    """The bad share between health and harm that the CUSUM is tuned to."""
    return max(0.1, min(0.5, math.sqrt(0.8 * budget)))


def regained(instants: Sequence[float], bad: bytes, budget: float, observed_s: float) -> Regained:
    """
    When the promise holds again. instants: seconds since the fault's end, ascending, at least one; bad: 1 for each
    bad request; budget: allowed bad share; observed_s: length of the observation.
    """
    window_s = max(2.0, 50 * observed_s / len(instants)) if observed_s > 0 else 2.0

    def bad_between(start_s: float, end_s: float) -> tuple[int, int]:
        low, high = bisect_left(instants, start_s), bisect_left(instants, end_s)
        return high - low, bad.count(1, low, high)

    at_s = _peak(instants, bad, budget)
    if at_s is None or observed_s - at_s < window_s:
        return Regained(at_s=at_s, observed_s=observed_s, window_s=window_s, held=None, bad_in_window=0, relapse_s=None)
    size, hurt = bad_between(at_s, at_s + window_s)
    relapse_s = next(
        (
            start_s
            for start_s in _steps(at_s + window_s / 4, observed_s - window_s, window_s / 4)
            if _too_bad(*bad_between(start_s, start_s + window_s), drift(budget))
        ),
        None,
    )
    return Regained(
        at_s=at_s,
        observed_s=observed_s,
        window_s=window_s,
        held=hurt <= binomial_quantile(0.99, size, budget),
        bad_in_window=hurt,
        relapse_s=relapse_s,
    )


def _peak(instants: Sequence[float], bad: bytes, budget: float) -> float | None:
    """The instant behind the peak of the CUSUM; 0 when it never rose, None when it is at the very end."""
    slack = drift(budget)
    totals = list(accumulate(map((-slack, 1 - slack).__getitem__, bad)))
    highest = max(totals)
    if highest <= 0:
        return 0.0
    place = totals.index(highest)
    return instants[place + 1] if place + 1 < len(instants) else None


def _steps(start_s: float, end_s: float, step_s: float) -> list[float]:
    count = math.floor((end_s - start_s) / step_s + 1e-9) + 1
    return [start_s + number * step_s for number in range(max(0, count))]


def _too_bad(size: int, bad: int, share: float) -> bool:
    return size > 0 and bad / size > share
