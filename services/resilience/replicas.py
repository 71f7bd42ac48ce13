"""
Our policies, driven by the operations of recorded traces and looked at in the traces' words.

For the replay of Resilience4j's answers, see replay.py. Operations and looks are those of the trace format (R4J:
CircuitBreakerStateMachine.java, AtomicRateLimiter.java, asked step by step).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from services.resilience import intervals
from services.resilience.breaker_config import CircuitBreakerConfig, State, TransitionToOpen, WindowType
from services.resilience.circuit_breaker import CircuitBreaker
from services.resilience.clock import NS_PER_MS, ManualClock
from services.resilience.errors import CallNotPermitted, IllegalStateTransition
from services.resilience.rate_limiter import RateLimiter, RateLimiterConfig
from services.resilience.rates import java_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.resilience.events import Event


class _Recorded(Exception):
    """Counts as a failure."""


class _Ignored(Exception):
    """Is ignored."""


class _NotRecorded(Exception):
    """Counts as a success."""


class _TripFor(_Recorded):
    """Counts as a failure, and transitionOnResult asks to open for a while."""


class _TripNoWait(_Recorded):
    """Counts as a failure, and transitionOnResult asks to open for the configured wait."""


_ERRORS = {
    "recorded": _Recorded,
    "ignored": _Ignored,
    "notRecorded": _NotRecorded,
    "tripFor": _TripFor,
    "tripNoWait": _TripNoWait,
}


class Replica(Protocol):
    """One of our policies, driven by the operations of a trace."""

    def look(self) -> dict[str, Any]:
        """What can be seen now, in the trace's words."""

    def step(self, operation: Sequence[Any]) -> dict[str, Any]:
        """Do one operation and look."""


class BreakerReplica:
    """A circuit breaker under a clock that only the trace moves."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._clock = ManualClock(config["startEpochNanos"])
        self._trip_ms: int = config["tripForMillis"]
        self._breaker = CircuitBreaker("trace", self._translate(config), self._clock)
        self._heard: list[str] = []
        self._breaker.events.subscribe(self._hear)

    def look(self) -> dict[str, Any]:
        """As Replica."""
        metrics = self._breaker.metrics
        return {
            "state": self._breaker.state.value,
            "failureRate": java_text(metrics.failure_rate),
            "slowCallRate": java_text(metrics.slow_call_rate),
            "bufferedCalls": metrics.buffered_calls,
            "failedCalls": metrics.failed_calls,
            "slowCalls": metrics.slow_calls,
            "slowFailedCalls": metrics.slow_failed_calls,
            "notPermittedCalls": metrics.not_permitted_calls,
        }

    def step(self, operation: Sequence[Any]) -> dict[str, Any]:
        """As Replica."""
        self._heard = []
        result = self._perform(str(operation[0]), operation[1:])
        seen = self.look()
        if self._heard:
            seen["events"] = self._heard
        if result is not None:
            seen["result"] = result
        return seen

    def _perform(self, name: str, arguments: Sequence[Any]) -> str | None:
        try:
            if name == "tryAcquire":
                return "ok" if self._breaker.try_acquire() else "rejected"
            if name == "acquire":
                self._breaker.acquire()
                return "ok"
            self._act(name, arguments)
        except CallNotPermitted:
            return "rejected"
        except IllegalStateTransition:
            return "illegal"
        return None

    def _act(self, name: str, arguments: Sequence[Any]) -> None:
        breaker = self._breaker
        match name, *arguments:
            case "success", duration_ns:
                breaker.on_success(duration_ns)
            case "error", duration_ns, kind:
                breaker.on_error(duration_ns, _ERRORS[kind]())
            case "result", duration_ns, kind:
                breaker.on_result(duration_ns, None if kind == "null" else kind)
            case ("release",):
                breaker.release()
            case "advance", span_ns:
                self._clock.advance(span_ns)
            case ("reset",):
                breaker.reset()
            case "to", state:
                breaker.transition_to(State(state))
            case "openFor", wait_ms:
                breaker.transition_to_open_for(wait_ms)
            case "openUntil", from_now_ms:
                breaker.transition_to_open_until(self._clock.now_ns() + from_now_ms * NS_PER_MS)
            case _:
                raise ValueError(f"unknown operation {name!r} with {list(arguments)}")

    def _hear(self, event: Event) -> None:
        detail = event.detail
        if detail is None:
            self._heard.append(event.type)
        else:
            self._heard.append(f"{event.type}:{java_text(detail) if isinstance(detail, float) else detail}")

    def _translate(self, config: dict[str, Any]) -> CircuitBreakerConfig:
        if "waitIntervalExponential" in config:
            growth = config["waitIntervalExponential"]
            wait = intervals.exponential(growth["initialMillis"], growth["multiplier"], growth["maxMillis"])
        else:
            wait = intervals.fixed(config["waitDurationInOpenStateMillis"])
        return CircuitBreakerConfig(
            failure_rate_threshold=config["failureRateThreshold"],
            slow_call_rate_threshold=config["slowCallRateThreshold"],
            slow_call_duration_threshold_ns=config["slowCallDurationThresholdNanos"],
            permitted_number_of_calls_in_half_open_state=config["permittedNumberOfCallsInHalfOpenState"],
            minimum_number_of_calls=config["minimumNumberOfCalls"],
            sliding_window_size=config["slidingWindowSize"],
            sliding_window_type=WindowType(config["slidingWindowType"]),
            automatic_transition_from_open_to_half_open=config["automaticTransitionFromOpenToHalfOpenEnabled"],
            max_wait_duration_in_half_open_state_ms=config["maxWaitDurationInHalfOpenStateMillis"],
            transition_to_state_after_wait_duration=State(config.get("transitionToStateAfterWaitDuration", "OPEN")),
            initial_state=State(config.get("initialState", "CLOSED")),
            wait_interval=wait,
            record=lambda error: isinstance(error, _Recorded),
            ignore=lambda error: isinstance(error, _Ignored),
            record_result=lambda result: result == "failure",
            transition_on_result=self._transition_on_result,
        )

    def _transition_on_result(self, _result: object, error: BaseException | None) -> TransitionToOpen | None:
        if isinstance(error, _TripFor):
            return TransitionToOpen(wait_ms=self._trip_ms)
        return TransitionToOpen() if isinstance(error, _TripNoWait) else None


class RateLimiterReplica:
    """A rate limiter under a clock that only the trace moves."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._clock = ManualClock(config["startNanos"])
        translated = RateLimiterConfig(
            limit_for_period=config["limitForPeriod"],
            limit_refresh_period_ns=config["limitRefreshPeriodNanos"],
            timeout_duration_ns=config["timeoutDurationNanos"],
        )
        self._limiter = RateLimiter("trace", translated, self._clock)
        self._heard: list[str] = []
        self._limiter.events.subscribe(self._hear)

    def look(self) -> dict[str, Any]:
        """As Replica."""
        metrics = self._limiter.metrics
        return {
            "availablePermissions": metrics.available_permissions,
            "nanosToWait": metrics.wait_ns,
            "cycle": metrics.cycle,
        }

    def step(self, operation: Sequence[Any]) -> dict[str, Any]:
        """As Replica."""
        self._heard = []
        result = self._perform(operation)
        seen = self.look()
        if self._heard:
            seen["events"] = self._heard
        if result is not None:
            seen["result"] = result
        return seen

    def _perform(self, operation: Sequence[Any]) -> int | None:
        match operation:
            case "reserve", permits:
                return self._limiter.reserve(permits)
            case ["drain"]:
                self._limiter.drain()
            case "advance", span_ns:
                self._clock.advance(span_ns)
            case "changeLimitForPeriod", limit:
                self._limiter.change_limit_for_period(limit)
            case "changeTimeoutDurationNanos", timeout_ns:
                self._limiter.change_timeout_duration_ns(timeout_ns)
            case _:
                raise ValueError(f"unknown operation {list(operation)}")
        return None

    def _hear(self, event: Event) -> None:
        # D7: upstream tells at most 0 where we tell how many permissions were drained.
        number = min(int(event.detail or 0), 0) if event.type == "DRAINED" else event.detail
        self._heard.append(f"{event.type}:{number}")
