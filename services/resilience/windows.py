"""
Sliding windows: how many of the latest calls failed, were slow, or both.

An outcome is two bits, FAILED and SLOW. Totals are kept by subtracting what leaves the window (R4J:
core/metrics/FixedSizeSlidingWindowMetrics.java, SlidingTimeWindowMetrics.java). Not thread-safe: the breaker's lock
is held around every call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from services.resilience.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.resilience.call_times import Call

SUCCEEDED = 0
FAILED = 1
SLOW = 2


class Window(Protocol):
    """The totals of the latest calls. `minimum` is the number of calls below which there is no rate."""

    minimum: int
    calls: int
    failed: int
    slow: int
    slow_failed: int

    def record(self, outcome: int, now_ns: int) -> bool:
        """Take in one call; False if no total has changed by it."""

    def record_successes(self, calls: Sequence[Call]) -> None:
        """Take in calls that were neither failed nor slow."""

    def not_before(self, now_ns: int) -> int:
        """now_ns, or the earliest time that the window still takes in without going back."""

    def refresh(self, now_ns: int) -> None:
        """Let go of what is too old at now_ns."""


class CountWindow:
    """The last `size` calls, a byte each."""

    __slots__ = ("_cells", "_head", "_size", "calls", "failed", "minimum", "slow", "slow_failed")

    def __init__(self, size: int, minimum: int) -> None:
        self.minimum = min(minimum, size)
        self.calls = self.failed = self.slow = self.slow_failed = 0
        self._size = size
        self._cells = bytearray(size)
        self._head = 0

    def record(self, outcome: int, now_ns: int) -> bool:  # noqa: ARG002  # the protocol's, for windows with a clock
        head = self._head
        self._head = head + 1 if head + 1 < self._size else 0
        if self.calls < self._size:
            self.calls += 1
        else:
            leaving = self._cells[head]
            if leaving == outcome:
                return False
            if leaving:
                self._add(leaving, -1)
        self._cells[head] = outcome
        if outcome:
            self._add(outcome, 1)
        return True

    def record_successes(self, calls: Sequence[Call]) -> None:
        if self.failed or self.slow:
            for _ in calls[-self._size :]:  # more would go round
                self.record(SUCCEEDED, 0)
            return
        # Every cell holds SUCCEEDED before and after.
        self.calls = min(self.calls + len(calls), self._size)
        self._head = (self._head + len(calls)) % self._size

    def not_before(self, now_ns: int) -> int:
        return now_ns

    def refresh(self, now_ns: int) -> None:
        """A count window has no clock: nothing grows old by itself."""

    def _add(self, outcome: int, by: int) -> None:
        if outcome & FAILED:
            self.failed += by
        if outcome & SLOW:
            self.slow += by
            if outcome & FAILED:
                self.slow_failed += by


class TimeWindow:
    """The calls of the current second of the clock and of the `size` - 1 seconds before it."""

    __slots__ = ("_buckets", "_head", "_head_s", "_size", "calls", "failed", "minimum", "slow", "slow_failed")

    def __init__(self, size: int, minimum: int, now_ns: int) -> None:
        self.minimum = minimum
        self.calls = self.failed = self.slow = self.slow_failed = 0
        self._size = size
        self._buckets = [[0, 0, 0, 0] for _ in range(size)]
        self._head = 0
        self._head_s = now_ns // NS_PER_S

    def record(self, outcome: int, now_ns: int) -> bool:
        if now_ns // NS_PER_S != self._head_s:
            self.refresh(now_ns)
        bucket = self._buckets[self._head]
        bucket[0] += 1
        self.calls += 1
        if outcome & FAILED:
            bucket[1] += 1
            self.failed += 1
        if outcome & SLOW:
            bucket[2] += 1
            self.slow += 1
            if outcome & FAILED:
                bucket[3] += 1
                self.slow_failed += 1
        return True

    def record_successes(self, calls: Sequence[Call]) -> None:
        if calls[-1][1] // NS_PER_S == self._head_s:
            self._buckets[self._head][0] += len(calls)
            self.calls += len(calls)
        else:
            for _, now_ns, _ in calls:
                self.record(SUCCEEDED, self.not_before(now_ns))

    def not_before(self, now_ns: int) -> int:
        return max(now_ns, self._head_s * NS_PER_S)

    def refresh(self, now_ns: int) -> None:
        gap = now_ns // NS_PER_S - self._head_s
        if gap == 0:
            return
        # A clock that went back drops one bucket and ages the label by a second, as upstream does.
        for _ in range(min(gap, self._size) if gap > 0 else 1):
            self._head = (self._head + 1) % self._size
            self._drop(self._buckets[self._head])
        self._head_s += gap if gap > 0 else 1

    def _drop(self, bucket: list[int]) -> None:
        self.calls -= bucket[0]
        self.failed -= bucket[1]
        self.slow -= bucket[2]
        self.slow_failed -= bucket[3]
        bucket[:] = (0, 0, 0, 0)
