"""
Quantiles: the nearest rank of exact samples, and how far a second look at the same run might move it.

k6 and numpy interpolate or bucket; ours is the one that reads as a count ("at most 1 % were slower"). Source of the
interval: order statistics at the ranks of Wilson's interval, with the design effect of time slices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.statistics.shares import t_quantile, wilson

_SLICE_DEGREES = 19  # 20 time slices


def nearest_rank(ordered: Sequence[float], share: float) -> float:
    """The sample at rank ceil(n * share) of an ascending, non-empty sequence."""
    return ordered[max(0, math.ceil(len(ordered) * share - 1e-9) - 1)]


def median(values: Sequence[float]) -> float:
    """The nearest-rank median of values in any order; they must not be empty."""
    return nearest_rank(sorted(values), 0.5)


def printable(samples: int, share: float) -> bool:
    """Whether so many samples have a quantile at all: below 1/(1-share) there is only a largest one."""
    return share < 1 and samples * (1 - share) >= 1 - 1e-9


def quantile_interval(ordered: Sequence[float], share: float, effect: float) -> tuple[float, float, bool]:
    """
    95 % interval of a quantile within this run: lowest, highest, and whether the upper end is open (it lies beyond
    the largest sample). effect is the design effect at the quantile.
    """
    low, high = wilson(share, len(ordered) / max(1.0, effect), t_quantile(0.975, _SLICE_DEGREES))
    return nearest_rank(ordered, low), nearest_rank(ordered, high), high * len(ordered) > len(ordered) - 1
