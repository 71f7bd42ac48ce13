"""
The client-side rate limiter: so many permissions a cycle, and reservations in cycles to come.

Resilience4j's AtomicRateLimiter (R4J: ratelimiter/internal/AtomicRateLimiter.java), held to it by recorded answers.
Two differences: DRAINED tells how many permissions there were (D7), and a caller that is refused is refused at once
instead of after a wait that cannot help it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from services.resilience.clock import NS_PER_S, Clock, SystemClock
from services.resilience.errors import RequestNotPermitted
from services.resilience.events import EventLog
from services.resilience.locks import fork_safe_lock
from services.resilience.validation import Checks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

P = ParamSpec("P")
T = TypeVar("T")

EVENT_TYPES = ("SUCCESSFUL_ACQUIRE", "FAILED_ACQUIRE", "DRAINED")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimiterConfig:
    """Options of one rate limiter. Raises ConfigError for values out of bounds."""

    limit_for_period: int = 50
    limit_refresh_period_ns: int = 500
    timeout_duration_ns: int = 5 * NS_PER_S
    event_consumer_buffer_size: int = 100
    register_health_indicator: bool = True
    allow_health_indicator_to_fail: bool = False
    enabled: bool = True

    def __post_init__(self) -> None:
        checks = Checks()
        checks.at_least("limitForPeriod", self.limit_for_period, 1)
        checks.at_least("limitRefreshPeriod", self.limit_refresh_period_ns, 1, "ns")
        checks.at_least("timeoutDuration", self.timeout_duration_ns, 0, "ns")
        checks.at_least("eventConsumerBufferSize", self.event_consumer_buffer_size, 1)
        checks.finish()


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimiterMetrics:
    """What a caller would find now; permissions below 0 are reserved out of cycles to come."""

    available_permissions: int
    wait_ns: int
    cycle: int


class RateLimiter:
    """One rate limiter. Safe under threads; `call` and `call_sync` may be mixed."""

    def __init__(self, name: str, config: RateLimiterConfig | None = None, clock: Clock | None = None) -> None:
        self.name = name
        self.config = config or RateLimiterConfig()
        self.clock: Clock = clock or SystemClock()
        self.waiting_threads = 0
        self._lock = fork_safe_lock()
        self.events = EventLog(self.clock, self._lock, self.config.event_consumer_buffer_size)
        self._start_ns = self.clock.now_ns()
        self._limit = self.config.limit_for_period
        self._timeout_ns = self.config.timeout_duration_ns
        self._cycle = 0
        self._permissions = self._limit

    @property
    def metrics(self) -> RateLimiterMetrics:
        """What a caller would find now. Changes nothing."""
        with self._lock:
            since_ns, cycle, permissions = self._look()
            wait_ns = self._wait_for(1, permissions, since_ns)
            return RateLimiterMetrics(available_permissions=permissions, wait_ns=wait_ns, cycle=cycle)

    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await fn(...) when there is a permission. Raises RequestNotPermitted at once if there will be none in time."""
        if not self.config.enabled:
            return await fn(*args, **kwargs)
        wait_ns = self._reserve_or_refuse()
        if wait_ns > 0:
            self._wait(1)
            try:
                await self.clock.sleep_async(wait_ns)
            finally:
                self._wait(-1)
        return await fn(*args, **kwargs)

    def call_sync(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call fn(...) when there is a permission. As `call`, without an event loop."""
        if not self.config.enabled:
            return fn(*args, **kwargs)
        wait_ns = self._reserve_or_refuse()
        if wait_ns > 0:
            self._wait(1)
            try:
                self.clock.sleep(wait_ns)
            finally:
                self._wait(-1)
        return fn(*args, **kwargs)

    def reserve(self, permits: int = 1) -> int:
        """Take permits now or out of cycles to come: nanoseconds until they may be used, -1 if that were too late."""
        with self._lock:
            wait_ns, granted = self._take(permits, self._timeout_ns)
            kind = "SUCCESSFUL_ACQUIRE" if granted else "FAILED_ACQUIRE"
            self.events.append(kind, self.clock.now_ns(), detail=permits)
        self.events.deliver()
        return wait_ns if granted else -1

    def drain(self) -> int:
        """Take as many permissions as were left at the last use and return their number (below 0: reservations undone).

        As upstream, what a cycle since then brought stays: only a drain in the cycle of the last use leaves nothing.
        """
        with self._lock:
            left = self._permissions
            _, granted = self._take(left, timeout_ns=0)  # after a lower limit's cycle there may be less: all stays
            drained = left if granted else 0
            self.events.append("DRAINED", self.clock.now_ns(), detail=drained)
        self.events.deliver()
        return drained

    def change_limit_for_period(self, limit: int) -> None:
        """Another limit from the next cycle on."""
        with self._lock:
            self._limit = limit

    def change_timeout_duration_ns(self, timeout_ns: int) -> None:
        """Another longest wait, from now on."""
        with self._lock:
            self._timeout_ns = timeout_ns

    def _take(self, permits: int, timeout_ns: int) -> tuple[int, bool]:
        """Take permits if their wait is not too long; the wait, and whether they were taken. The lock is held."""
        since_ns, self._cycle, self._permissions = self._look()
        wait_ns = self._wait_for(permits, self._permissions, since_ns)
        granted = timeout_ns >= wait_ns
        if granted:
            self._permissions -= permits
        return wait_ns, granted

    def _look(self) -> tuple[int, int, int]:
        """Nanoseconds since the start, the cycle, and the permissions in it. The lock is held."""
        since_ns = self.clock.now_ns() - self._start_ns
        cycle = since_ns // self.config.limit_refresh_period_ns
        permissions = self._permissions
        if cycle != self._cycle:
            permissions = min(permissions + (cycle - self._cycle) * self._limit, self._limit)
        return since_ns, cycle, permissions

    def _wait_for(self, permits: int, permissions: int, since_ns: int) -> int:
        if permissions >= permits:
            return 0
        period_ns = self.config.limit_refresh_period_ns
        missing = -(permissions + self._limit - permits) + self._limit - 1
        full_cycles = missing // self._limit if missing >= 0 else -(-missing // self._limit)
        return full_cycles * period_ns + period_ns - since_ns % period_ns

    def _reserve_or_refuse(self) -> int:
        wait_ns = self.reserve()
        if wait_ns < 0:
            raise RequestNotPermitted(self.name)
        return wait_ns

    def _wait(self, by: int) -> None:
        with self._lock:
            self.waiting_threads += by
