"""
Two versions compared by whole runs: permutation of run labels over all SLIs at once (max-t), size, and bound.

The run is the unit, never the request: requests of one run are not independent, and tests that take them for it call
8 to 40 % of identical versions different. Source of the family-wise test: Westfall and Young's max-T. Values are
such that larger is worse: log latency, asin(sqrt(bad share)).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations
from statistics import median, variance

import numpy as np
from numpy.typing import NDArray

from harness.statistics.shares import binomial_tail, t_quantile

LABELINGS = 2000
EXACT_UP_TO = math.comb(14, 7)  # drawing 2,000 of 3,432 would meet the true one again and again
WINSOR = 2.0  # in robust standard deviations
MOST_RUNS_A_SIDE = 200
_ROUNDING = 1e-9
_TO_STANDARD_DEVIATION = 1.4826  # of a median absolute deviation, for normal values


def winsorise(values: Sequence[float], widest: float = WINSOR) -> list[float]:
    """Values drawn in to the median give or take `widest` robust standard deviations; blind to who is old or new."""
    middle = median(values)
    spread = _TO_STANDARD_DEVIATION * median(abs(value - middle) for value in values)
    if not spread:
        spread = math.sqrt(variance(values)) if len(values) > 1 else 0.0
    spread = spread or 1e-12
    return [min(max(value, middle - widest * spread), middle + widest * spread) for value in values]


@cache
def labelings(runs: int, limit: int = LABELINGS, seed: int = 1) -> tuple[tuple[int, ...], ...]:
    """Which `runs` of 2 * runs places are called new: first as it was, then all others, or as many drawn ones."""
    own = tuple(range(runs, 2 * runs))
    if math.comb(2 * runs, runs) <= EXACT_UP_TO:
        return (own, *(chosen for chosen in combinations(range(2 * runs), runs) if chosen != own))
    return (own, *_drawn(runs, limit - 1, seed))


def _drawn(runs: int, count: int, seed: int) -> Iterator[tuple[int, ...]]:
    draw = random.Random(seed)
    for _ in range(count):
        yield tuple(draw.sample(range(2 * runs), runs))


def family_p(old: Sequence[Sequence[float]], new: Sequence[Sequence[float]], floors: Sequence[float]) -> list[float]:
    """
    One-sided p-values (larger is worse) of each column, such that the chance of any false alarm among all of them is
    what a single one says. old, new: as many runs each, a row a run, a column an SLI. floors: what is added to each
    column's standard deviation, so that one without scatter does not decide.
    """
    runs = len(old)
    assert 2 <= runs == len(new) <= MOST_RUNS_A_SIDE, f"{runs} and {len(new)} runs"
    values = np.array([winsorise(column) for column in zip(*old, *new, strict=True)]).reshape(-1, 2 * runs).T
    named_new = _indicators(runs) @ values / runs
    named_old = values.sum(axis=0) / runs - named_new
    squares = (values**2).sum(axis=0) / runs
    within = np.maximum(0.0, (squares - named_new**2 - named_old**2) / (runs - 1))
    t = (named_new - named_old) / (np.sqrt(within) + np.array(floors) * math.sqrt(2 / runs))
    highest = t.max(axis=1)
    return [float((highest >= own - _ROUNDING).mean()) for own in t[0]]


@cache
def _indicators(runs: int) -> NDArray[np.float64]:
    """A row a labelling, 1 where a run is called new."""
    ways = labelings(runs)
    found = np.zeros((len(ways), 2 * runs))
    found[np.arange(len(ways))[:, None], np.array(ways)] = 1.0
    return found


def hodges_lehmann(old: Sequence[float], new: Sequence[float]) -> float:
    """The shift from old to new: the median of all differences between a new and an old value."""
    return median(b - a for a in old for b in new)


def standard_error(old: Sequence[float], new: Sequence[float]) -> float:
    """Of the difference of means, each side winsorised alone. At least two values a side."""
    scatter = variance(winsorise(old)) / len(old) + variance(winsorise(new)) / len(new)
    return math.sqrt(scatter)


def upper_bound(shift: float, error: float, runs: int, floor: float = 0.0, chance: float = 0.99) -> float:
    """What a shift measured on `runs` pairs may at most be, with this chance."""
    return shift + t_quantile(chance, 2 * runs - 2) * (error + floor * math.sqrt(2 / runs))


def clopper_pearson(passed: int, runs: int, chance: float = 0.95) -> tuple[float, float]:
    """
    Exact interval of a pass rate: what share of all runs would pass, given that so many of these did. Where all or
    none passed, only one end is open to doubt, and all of the doubt is there.
    """
    half = (1 - chance) / 2 if 0 < passed < runs else 1 - chance
    low = 0.0 if not passed else _bisect(lambda share: binomial_tail(passed, runs, share) > half)
    high = 1.0 if passed == runs else _bisect(lambda share: binomial_tail(passed + 1, runs, share) > 1 - half)
    return low, high


def _bisect(reached: Callable[[float], bool]) -> float:
    """The smallest share for which the condition, false at 0 and true at 1, holds."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def fisher_more(often: int, of: int, seldom: int, of_others: int) -> float:
    """One-sided p of Fisher's exact test: so many of `of` against so many of `of_others`, by chance alone."""
    total, hits = of + of_others, often + seldom
    ways = math.comb(total, hits)
    most = min(of, hits)
    return sum(math.comb(of, k) * math.comb(of_others, hits - k) for k in range(often, most + 1)) / ways
