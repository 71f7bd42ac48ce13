"""
The one clock of a run: the machine's monotonic clock in integer nanoseconds.

Every process of one machine reads the same clock, so stamps of the gate, the
load, the services and the runner can be compared. Time is handed to the code
that needs it, so tests do not sleep.
"""

from __future__ import annotations

import time
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Clock(Protocol):
    """Tells the time and waits."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds; only differences mean anything."""
        ...

    def sleep_s(self, span_s: float) -> None:
        """Wait span_s seconds; zero or less returns at once."""
        ...


class SystemClock:
    """The machine's own monotonic clock."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep_s(self, span_s: float) -> None:
        if span_s > 0:
            time.sleep(span_s)


class FakeClock:
    """A clock for tests: sleeping moves it, and nothing else does."""

    def __init__(self, now_ns: int = 100 * NS_PER_S) -> None:
        self.t_ns = now_ns

    def now_ns(self) -> int:
        return self.t_ns

    def sleep_s(self, span_s: float) -> None:
        self.t_ns += max(0, round(span_s * NS_PER_S))
