"""
Interval functions: how long to wait, in whole milliseconds, before attempt number 1, 2, 3 ...

Every intermediate value is truncated to whole milliseconds, as in R4J: core/IntervalFunction.java, so that
100 ms x 1.5 gives 100, 150, 225, 337, 505.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_MS = (1 << 63) - 1

Interval: TypeAlias = "Callable[[int], int]"
"""From the attempt, counted from 1, to milliseconds."""


def fixed(wait_ms: int) -> Interval:
    """The same wait_ms every time."""
    return lambda _attempt: wait_ms


def exponential(initial_ms: int = 500, multiplier: float = 1.5, max_ms: int | None = None) -> Interval:
    """initial_ms, then each time `multiplier` times as long, at most max_ms."""
    ceiling_ms = _LONGEST_MS if max_ms is None else max_ms

    def wait(attempt: int) -> int:
        value = initial_ms
        for _ in range(attempt - 1):
            if value >= ceiling_ms and multiplier >= 1:
                break  # grown past the cap: the remaining rounds change nothing
            value = int(value * multiplier)
        return min(value, ceiling_ms)

    return wait


def randomized(wait_ms: int = 500, factor: float = 0.5, random_share: Callable[[], float] = random.random) -> Interval:
    """Uniform in wait_ms plus or minus `factor` of it, both ends included, at least 1 ms."""
    return lambda _attempt: _spread(wait_ms, factor, random_share)


def exponential_random(
    initial_ms: int = 500,
    multiplier: float = 1.5,
    factor: float = 0.5,
    max_ms: int | None = None,
    random_share: Callable[[], float] = random.random,
) -> Interval:
    """The exponential value, spread by `factor`, and then capped by max_ms."""
    grown = exponential(initial_ms, multiplier)

    def wait(attempt: int) -> int:
        value = _spread(grown(attempt), factor, random_share)
        return value if max_ms is None else min(value, max_ms)

    return wait


def _spread(value_ms: int, factor: float, random_share: Callable[[], float]) -> int:
    low, high = value_ms - factor * value_ms, value_ms + factor * value_ms
    return int(max(1.0, low + random_share() * (high - low + 1)))
