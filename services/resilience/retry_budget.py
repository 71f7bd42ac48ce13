"""
A retry budget: retries may be a share of the calls, so that many callers' retries do not become the outage.

A bucket of tokens. Each protected call puts `ratio` of a token in, time puts min_retries_per_second in, each retry
takes one out, and no more than `capacity` are kept, which is also what it starts with. An empty bucket ends a retry
early. (The idea is Finagle's RetryBudget; Resilience4j has none.) Whole numbers throughout: ten calls at 0.1 are
one retry, not 0.9999.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.resilience.clock import Clock, SystemClock
from services.resilience.locks import fork_safe_lock
from services.resilience.validation import Checks

_TOKEN = 10**12
"""One token, so that a thousandth of a token per second is a whole number of parts per nanosecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudgetConfig:
    """Retries per call, retries per second whatever the calls, and the most retries saved up.

    Rates are kept to thousandths. Raises ConfigError for values out of bounds.
    """

    ratio: float = 0.1
    min_retries_per_second: float = 0.0
    capacity: int = 10

    def __post_init__(self) -> None:
        checks = Checks()
        checks.at_least("retryBudgetRatio", self.ratio, 0)
        checks.at_least("retryBudgetMinRetriesPerSecond", self.min_retries_per_second, 0)
        checks.at_least("retryBudgetCapacity", self.capacity, 1)
        checks.finish()


class RetryBudget:
    """One bucket. Several retries may share it: a budget is for what they all call."""

    def __init__(self, config: RetryBudgetConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.refused = 0
        self._clock: Clock = clock or SystemClock()
        self._lock = fork_safe_lock(inner=True)
        self._capacity = config.capacity * _TOKEN
        self._deposit = round(config.ratio * 1000) * (_TOKEN // 1000)
        self._per_ns = round(config.min_retries_per_second * 1000)
        self._level = self._capacity
        self._filled_ns = self._clock.now_ns()

    @property
    def tokens(self) -> float:
        """How many retries are left now."""
        with self._lock:
            self._fill()
            return self._level / _TOKEN

    def deposit(self) -> None:
        """A protected call begins."""
        with self._lock:
            self._level = min(self._level + self._deposit, self._capacity)

    def withdraw(self) -> bool:
        """Whether there may be one more retry; False is counted in `refused`."""
        with self._lock:
            self._fill()
            if self._level < _TOKEN:
                self.refused += 1
                return False
            self._level -= _TOKEN
            return True

    def _fill(self) -> None:
        now_ns = self._clock.now_ns()
        self._level = min(self._level + (now_ns - self._filled_ns) * self._per_ns, self._capacity)
        self._filled_ns = now_ns
