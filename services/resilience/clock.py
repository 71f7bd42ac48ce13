"""
Time, handed in: one monotonic clock in integer nanoseconds, its timers and its sleeps.

SystemClock is the machine's; ManualClock stands still until told to advance, so that a test of an hour takes
milliseconds. Nothing else in this library asks the machine for the time. (Upstream's java.time.Clock, its scheduler
and its sleep function in one, so that all of them can be handed in.)
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from typing import TYPE_CHECKING, Protocol

from services.resilience.locks import fork_safe_lock

if TYPE_CHECKING:
    from collections.abc import Callable

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Timer:
    """A callback that is due at `due_ns` unless cancelled before."""

    __slots__ = ("callback", "cancelled", "due_ns")

    def __init__(self, due_ns: int, callback: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Do not run the callback. Safe to call twice, and from the callback itself."""
        self.cancelled = True


class Clock(Protocol):
    """What the policies need of time."""

    def now_ns(self) -> int:
        """Nanoseconds on a clock that never goes back, from an arbitrary zero."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC, for the time stamps people read."""

    def schedule(self, delay_ns: int, callback: Callable[[], None]) -> Timer:
        """Run callback once, delay_ns from now, in whatever thread the clock has."""

    def sleep(self, span_ns: int) -> None:
        """Block the calling thread."""

    async def sleep_async(self, span_ns: int) -> None:
        """Suspend the calling task."""


class SystemClock:
    """The machine's monotonic clock. Its timers share one daemon thread, started for the first of them.

    `now_ns` and `wall_ns` are the clock's two readings, in nanoseconds, as attributes.
    """

    IDLE_S = 1.0
    """How long the thread waits for another timer after the last, before it ends."""

    LONGEST_WAIT_S = 3600.0
    """A longer wait is done in pieces: the platform's own limit on a wait is an error, not a limit."""

    def __init__(self) -> None:
        # Attributes rather than methods: both are read several times in each protected call.
        self.now_ns = time.monotonic_ns
        self.wall_ns = time.time_ns
        self._timers: list[tuple[int, int, Timer]] = []
        self._order = itertools.count()
        self._changed = threading.Condition(fork_safe_lock(inner=True))
        self._thread: threading.Thread | None = None

    def schedule(self, delay_ns: int, callback: Callable[[], None]) -> Timer:
        """Run callback once in the clock's thread, delay_ns from now."""
        timer = Timer(self.now_ns() + delay_ns, callback)
        with self._changed:
            heapq.heappush(self._timers, (timer.due_ns, next(self._order), timer))
            # A forked child has the heap but not the thread: is_alive() is false there.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._serve, name="resilience-timers", daemon=True)
                self._thread.start()
            self._changed.notify_all()  # in a forked child the first to be told may be a thread that is not there
        return timer

    def sleep(self, span_ns: int) -> None:
        """Block the calling thread for span_ns; not at all if that is below 0."""
        time.sleep(max(span_ns, 0) / NS_PER_S)

    async def sleep_async(self, span_ns: int) -> None:
        """Suspend the calling task for span_ns; it is suspended once even for 0."""
        await asyncio.sleep(max(span_ns, 0) / NS_PER_S)

    def _serve(self) -> None:
        while (timer := self._next_due()) is not None:
            if not timer.cancelled:
                timer.callback()

    def _next_due(self) -> Timer | None:
        with self._changed:
            while True:
                while self._timers and self._timers[0][2].cancelled:
                    heapq.heappop(self._timers)
                if self._timers:
                    wait_ns = self._timers[0][0] - self.now_ns()
                    if wait_ns <= 0:
                        return heapq.heappop(self._timers)[2]
                    self._changed.wait(min(wait_ns / NS_PER_S, self.LONGEST_WAIT_S))
                elif not self._changed.wait(self.IDLE_S) and not self._timers:
                    self._thread = None
                    return None


class ManualClock:
    """A clock that moves only in `advance` (and in its own sleeps). Wall and monotonic time are the same number."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns
        self._timers: list[tuple[int, int, Timer]] = []
        self._order = itertools.count()

    def now_ns(self) -> int:
        """Nanoseconds, as far as the clock was advanced."""
        return self._now_ns

    def wall_ns(self) -> int:
        """The same number."""
        return self._now_ns

    def schedule(self, delay_ns: int, callback: Callable[[], None]) -> Timer:
        """Run callback once, in the `advance` that passes delay_ns from now."""
        timer = Timer(self._now_ns + delay_ns, callback)
        heapq.heappush(self._timers, (timer.due_ns, next(self._order), timer))
        return timer

    def advance(self, span_ns: int) -> None:
        """Move on by span_ns and run what falls due, each at its own instant, by due time and then by age."""
        end_ns = self._now_ns + span_ns
        while self._timers and self._timers[0][0] <= end_ns:
            due_ns, _, timer = heapq.heappop(self._timers)
            self._now_ns = max(self._now_ns, due_ns)
            if not timer.cancelled:
                timer.callback()
        self._now_ns = end_ns

    def sleep(self, span_ns: int) -> None:
        """Advance by span_ns, and so run what falls due meanwhile."""
        self.advance(max(span_ns, 0))

    async def sleep_async(self, span_ns: int) -> None:
        """As `sleep`, and let other tasks run once."""
        self.advance(max(span_ns, 0))
        await asyncio.sleep(0)
