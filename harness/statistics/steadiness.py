"""
Whether a stretch before the fault was steady: warm-up cut off, no trend, no growing backlog.

Trend by Theil-Sen (how much) and Mann-Kendall (whether at all); both have to speak. MSER-5 was tried and refuses
28-47 % of stationary short windows, so it is not here.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.statistics.quantiles import median

WARM_UP_BIN_S = 0.25
TREND_BINS = 12
_FACTOR = 1.5
_LEAST_CHANGE_S = 0.005
_MANN_KENDALL = 2.33


def warm_up_end(points: Sequence[tuple[float, float]], start_s: float, end_s: float) -> float:
    """
    The instant at which the warm-up is over, never later than half of the stretch. points: (instant, latency),
    both in seconds, in order of time.
    """
    half_s = (start_s + end_s) / 2
    half = bisect_left(points, (half_s,))
    late = [latency_s for _, latency_s in points[half:]]
    if not late:
        return start_s
    reference_s = median(late)
    limit_s = max(_FACTOR * reference_s, reference_s + _LEAST_CHANGE_S)
    over_s = start_s
    for number in range(max(1, math.ceil((half_s - start_s) / WARM_UP_BIN_S))):
        low_s = start_s + number * WARM_UP_BIN_S
        high_s = min(low_s + WARM_UP_BIN_S, half_s)
        held = [latency_s for _, latency_s in points[bisect_left(points, (low_s,)) : bisect_left(points, (high_s,))]]
        if held and median(held) > limit_s:
            over_s = high_s
    return over_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """How the median latency moved over a stretch."""

    first_s: float
    last_s: float
    log_change: float  # Theil-Sen, over the whole stretch
    z: float  # Mann-Kendall

    @property
    def speaks(self) -> bool:
        """Whether it is large, beyond chance, and matters."""
        return (
            abs(self.log_change) >= math.log(_FACTOR)
            and abs(self.z) >= _MANN_KENDALL
            and abs(self.last_s - self.first_s) >= _LEAST_CHANGE_S
        )


def trend(points: Sequence[tuple[float, float]], start_s: float, end_s: float) -> Trend | None:
    """The trend of latency (seconds) over time, from the medians of 12 bins; None when too few bins hold a sample."""
    cuts = [start_s + (end_s - start_s) * number / TREND_BINS for number in range(TREND_BINS + 1)]
    places = [bisect_left(points, (cut,)) for cut in cuts]
    bins = [[latency_s for _, latency_s in points[low:high]] for low, high in pairwise(places)]
    medians = [(place, max(1e-9, median(held))) for place, held in enumerate(bins) if held]
    count = len(medians)
    if count < TREND_BINS // 2:
        return None
    pairs = [(a, b) for i, a in enumerate(medians) for b in medians[i + 1 :]]
    slope = median([math.log(b[1] / a[1]) / (b[0] - a[0]) for a, b in pairs])
    signs = sum((b[1] > a[1]) - (b[1] < a[1]) for a, b in pairs)
    change = slope * (medians[-1][0] - medians[0][0])
    middle_s = median([value for _, value in medians])
    return Trend(
        first_s=middle_s * math.exp(-change / 2),
        last_s=middle_s * math.exp(change / 2),
        log_change=change,
        z=signs / math.sqrt(count * (count - 1) * (2 * count + 5) / 18),
    )


def backlog_grows(at_half: int, at_end: int, arrivals: int) -> bool:
    """Whether more requests are open at the end than at half time, beyond chance; arrivals of the second half."""
    return at_end - at_half > max(5, 0.1 * arrivals)
