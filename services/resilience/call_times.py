"""
How many calls ended in one way, how long they took together, and the longest of the latest.

What Micrometer calls a timer: `_count`, `_sum`, `_max`. The maximum is of the last one to two minutes, so that one
slow call does not stand for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from services.resilience.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

Call: TypeAlias = tuple[str, int, int]
"""A call that ended: the event's type, when, and after how long. Times in nanoseconds."""

_SPAN_NS = 60 * NS_PER_S


class CallTimes:
    """Count, sum and recent maximum of durations. The owner's lock is held around `add`."""

    __slots__ = ("_max_before_ns", "_max_ns", "_since_ns", "count", "total_ns")

    def __init__(self) -> None:
        self.count = 0
        self.total_ns = 0
        self._max_ns = 0
        self._max_before_ns = 0
        self._since_ns: int | None = None

    def add(self, duration_ns: int, now_ns: int) -> None:
        """Take in one call that ended at now_ns."""
        self.count += 1
        self.total_ns += duration_ns
        if self._since_ns is None:
            self._since_ns = now_ns
        elif now_ns - self._since_ns >= _SPAN_NS:
            self._rotate(now_ns)
        if duration_ns > self._max_ns:  # noqa: PLR1730  # max() costs a call in every protected call
            self._max_ns = duration_ns

    def add_all(self, calls: Sequence[Call]) -> None:
        """Take in calls, at least one, in the order in which they ended."""
        if self._since_ns is None or calls[-1][1] - self._since_ns >= _SPAN_NS:
            for _, now_ns, duration_ns in calls:
                self.add(duration_ns, now_ns)
        else:
            durations_ns = [duration_ns for _, _, duration_ns in calls]
            self.count += len(calls)
            self.total_ns += sum(durations_ns)
            self._max_ns = max(self._max_ns, *durations_ns)

    def max_ns(self, now_ns: int) -> int:
        """The longest call of the last one to two minutes before now_ns, 0 if there was none."""
        if self._since_ns is not None and now_ns - self._since_ns >= _SPAN_NS:
            self._rotate(now_ns)
        return max(self._max_ns, self._max_before_ns)

    def _rotate(self, now_ns: int) -> None:
        spans = (now_ns - (self._since_ns or 0)) // _SPAN_NS
        self._max_before_ns = self._max_ns if spans == 1 else 0
        self._max_ns = 0
        self._since_ns = (self._since_ns or 0) + spans * _SPAN_NS
