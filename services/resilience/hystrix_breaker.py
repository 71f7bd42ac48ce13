"""
Hystrix's circuit: our state machine with another window, looked at every half second.

Calls are counted in buckets (20 of 500 ms); the circuit decides when a bucket closes and not at each call, so calls go
on for up to one bucket beyond the threshold (Hystrix: HystrixCircuitBreaker.java, HealthCountsStream.java). There is no
timer: whoever comes first after a bucket's end closes it, and what is decided holds from that end on.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, cast

from services.resilience import intervals
from services.resilience.breaker_config import NEVER_SLOW_NS, CircuitBreakerConfig, State, WindowType
from services.resilience.breaker_core import BreakerCore
from services.resilience.circuit_breaker import BreakerMetrics, CircuitBreaker
from services.resilience.clock import NS_PER_MS, Clock
from services.resilience.errors import CallNotPermitted
from services.resilience.events import error_text
from services.resilience.rates import NO_RATE
from services.resilience.windows import FAILED, SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from services.resilience.call_times import Call
    from services.resilience.events import EventLog
    from services.resilience.hystrix_config import HystrixCommandProperties


class BucketWindow:
    """The calls of the last `count` closed buckets; `latest` is the outcome of the call recorded last."""

    slow = 0
    slow_failed = 0

    def __init__(self, count: int, interval_ns: int, minimum: int, now_ns: int) -> None:
        self.minimum = minimum
        self.calls = self.failed = 0
        self.latest = SUCCEEDED
        self.next_tick_ns = now_ns + interval_ns
        self._interval_ns = interval_ns
        self._closed: deque[tuple[int, int]] = deque([(0, 0)] * count)
        self._open_calls = self._open_failed = 0

    def record(self, outcome: int, now_ns: int) -> bool:  # noqa: ARG002  # whoever records has closed what was due
        """Take in one call; True, as every one may matter when the bucket closes."""
        self.latest = outcome
        self._open_calls += 1
        self._open_failed += outcome & FAILED
        return True

    def record_successes(self, calls: Sequence[Call]) -> None:
        """Take in calls that were quick and went well."""
        self.latest = SUCCEEDED
        self._open_calls += len(calls)

    def not_before(self, now_ns: int) -> int:
        """The instant of a call taken in late, in nanoseconds: as it is."""
        return now_ns

    def refresh(self, now_ns: int) -> None:
        """Buckets are closed one by one, by who decides."""

    def close_bucket(self, now_ns: int) -> int:
        """Close the bucket that ends next, and open one; the instant at which it ended.

        With nothing recorded at all, the buckets up to now_ns are closed at once: one is like the other.
        """
        ended_ns = self.next_tick_ns
        if not (self.calls or self._open_calls):
            ended_ns += (now_ns - ended_ns) // self._interval_ns * self._interval_ns
        calls, failed = self._closed.popleft()
        self._closed.append((self._open_calls, self._open_failed))
        self.calls += self._open_calls - calls
        self.failed += self._open_failed - failed
        self._open_calls = self._open_failed = 0
        self.next_tick_ns = ended_ns + self._interval_ns
        return ended_ns

    @property
    def error_percentage(self) -> int:
        """Errors in percent, cut to a whole number as Java's (int) of a double does: 49.9 is 49."""
        return int(self.failed / self.calls * 100) if self.calls else 0


class HystrixCore(BreakerCore):
    """The state machine with Hystrix's rules: ticks, one trial call, any end of it but a success opens again."""

    def __init__(
        self,
        name: str,
        config: CircuitBreakerConfig,
        clock: Clock,
        events: EventLog,
        guarded: Callable[[Callable[[], None]], None],
        *,
        properties: HystrixCommandProperties,
    ) -> None:
        self.properties = properties
        self._decided_ns: int | None = None
        super().__init__(name, config, clock, events, guarded)

    def tick(self, now_ns: int) -> None:
        """Close the buckets that have ended, and decide at the end of each."""
        window = self.buckets
        while window.next_tick_ns <= now_ns:
            ended_ns = window.close_bucket(now_ns)
            if self.state is State.CLOSED and window.calls >= window.minimum and window.calls:
                self._decide_at(ended_ns, window.error_percentage)

    @property
    def buckets(self) -> BucketWindow:
        """The window, which is of this kind in every state."""
        return cast("BucketWindow", self.window)

    def release(self) -> None:
        """A trial call that ended with no outcome, cancelled or a bad request: open again."""
        if self.state is State.HALF_OPEN:
            self.move(State.OPEN)

    def success_decides_nothing(self) -> bool:
        """Never taken for granted: a bucket may be due."""
        return False

    def _decide_at(self, ended_ns: int, percentage: int) -> None:
        if percentage < self.properties.error_threshold_percentage:
            return
        self._append("FAILURE_RATE_EXCEEDED", ended_ns, detail=float(percentage))
        self._decided_ns = ended_ns
        self.move(State.OPEN, self._reopens_ns(ended_ns))
        self._decided_ns = None

    def _decide(self, now_ns: int) -> None:  # noqa: ARG002  # the base's: a call was recorded
        if self.state is State.HALF_OPEN:
            self.move(State.OPEN if self.buckets.latest & FAILED else State.CLOSED)

    def _enter_open(self, source: State, until_ns: int | None) -> None:
        if source in {State.DISABLED, State.FORCED_OPEN}:
            self.window = self._new_window()
        self._until_ns = self._reopens_ns(self.clock.now_ns()) if until_ns is None else until_ns

    def _enter_half_open(self) -> None:
        self._permits = 1  # the buckets go on: what they hold matters to nobody before they start anew in CLOSED

    def _reopens_ns(self, opened_ns: int) -> int:
        """The last instant of the sleep window. Hystrix compares whole milliseconds, strictly."""
        return (opened_ns // NS_PER_MS + self.properties.sleep_window_ms + 1) * NS_PER_MS - 1

    def _new_window(self) -> BucketWindow:
        properties = self.properties
        return BucketWindow(
            properties.health_buckets,
            properties.health_interval_ns,
            properties.request_volume_threshold,
            self.clock.now_ns(),
        )

    def _tell_transition(self, source: State) -> None:
        if source is not self.state:
            now_ns = self.clock.now_ns() if self._decided_ns is None else self._decided_ns
            self._append("STATE_TRANSITION", now_ns, detail=f"{source}_TO_{self.state}")


class HystrixBreaker(CircuitBreaker):
    """A breaker with Hystrix's decisions, seen like any other. forceOpen is FORCED_OPEN; forceClosed counts and never
    refuses, which is METRICS_ONLY; without circuitBreaker.enabled it is DISABLED."""

    counts_refusals = True

    def __init__(self, name: str, properties: HystrixCommandProperties, clock: Clock | None = None) -> None:
        self.properties = properties
        config = CircuitBreakerConfig(
            failure_rate_threshold=float(properties.error_threshold_percentage),
            slow_call_duration_threshold_ns=NEVER_SLOW_NS,
            sliding_window_type=WindowType.TIME_BASED,
            sliding_window_size=max(properties.rolling_ms // 1000, 1),
            minimum_number_of_calls=max(properties.request_volume_threshold, 1),
            permitted_number_of_calls_in_half_open_state=1,
            wait_interval=intervals.fixed(properties.sleep_window_ms),
        )
        super().__init__(name, config, clock)
        self._core: HystrixCore = HystrixCore(
            name, config, self.clock, self.events, self._guarded, properties=properties
        )
        self.calm = False
        initial = _initial_state(properties)
        if initial is not State.CLOSED:
            self._core.enter(initial, 0)

    @property
    def metrics(self) -> BreakerMetrics:
        """The closed buckets; the failure rate in whole percent, as it is decided by."""
        with self._lock:
            self._catch_up()
            window = self._core.buckets
            has_rate = window.calls >= window.minimum
            return BreakerMetrics(
                failure_rate=float(window.error_percentage) if has_rate else NO_RATE,
                slow_call_rate=0.0 if has_rate else NO_RATE,
                buffered_calls=window.calls,
                failed_calls=window.failed,
                slow_calls=0,
                slow_failed_calls=0,
                not_permitted_calls=self._core.not_permitted,
            )

    def refusal(self) -> CallNotPermitted | None:
        """Ask for one call: None if it may be made."""
        if self.try_acquire():
            return None
        with self._lock:
            return CallNotPermitted(self.name, self._core.state.value, self._core.retry_after_s())

    def on_bad_request(self, duration_ns: int, error: BaseException) -> None:
        """A call was refused by the other side for its caller's fault: it counts as nothing, but a trial has failed."""
        text = error_text(error)
        with self._lock:
            self._catch_up()
            self._core.ignore(duration_ns, self._now_ns(), text)
        self.events.deliver()

    def _admit(self) -> None:
        if (refusal := self.refusal()) is not None:
            raise refusal

    def _catch_up(self) -> None:
        super()._catch_up()
        self._core.tick(self._now_ns())

    def _looked_at(self) -> HystrixCore:
        self._take_in()
        return self._core


def _initial_state(properties: HystrixCommandProperties) -> State:
    if not properties.circuit_enabled:
        return State.DISABLED
    if properties.force_open:
        return State.FORCED_OPEN
    return State.METRICS_ONLY if properties.force_closed else State.CLOSED
