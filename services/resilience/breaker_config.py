"""
What a circuit breaker is told: the options of Resilience4j's CircuitBreakerConfig with their defaults and bounds.

Wherever a configuration comes from, it ends here and is checked here (R4J: circuitbreaker/CircuitBreakerConfig.java).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.resilience import intervals
from services.resilience.clock import NS_PER_S
from services.resilience.validation import Checks

if TYPE_CHECKING:
    from collections.abc import Callable


class State(enum.StrEnum):
    """The six states. METRICS_ONLY counts and never moves, DISABLED does not even count."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"
    DISABLED = "DISABLED"
    FORCED_OPEN = "FORCED_OPEN"
    METRICS_ONLY = "METRICS_ONLY"


class WindowType(enum.StrEnum):
    """What slidingWindowSize counts: calls, or seconds."""

    COUNT_BASED = "COUNT_BASED"
    TIME_BASED = "TIME_BASED"


NEVER_SLOW_NS = 1 << 62
"""A slowCallDurationThreshold by which no call is slow, and is not meant to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionToOpen:
    """A transitionOnResult predicate's wish to open now: for wait_ms, or for the configured wait if None."""

    wait_ms: int | None = None


def any_exception(_error: BaseException) -> bool:
    """Every exception is a failure: what counts when nothing is configured."""
    return True


def no_exception(_error: BaseException) -> bool:
    """No exception is ignored: what counts when nothing is configured."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakerConfig:
    """Options of one breaker; rates in percent, durations in the unit of their name.

    `wait_interval` maps the number of the opening (1 for the first since CLOSED) to milliseconds.
    `record` and `ignore` look at exceptions, ignore first; `record_result` at returned values other than None;
    `transition_on_result` at (result, exception) of every call that is not ignored, and acts in CLOSED only.
    The two about health say whether /actuator/health shows the breaker, and whether DOWN when it is open.
    Raises ConfigError for values outside upstream's bounds.
    """

    failure_rate_threshold: float = 50.0
    slow_call_rate_threshold: float = 100.0
    slow_call_duration_threshold_ns: int = 60 * NS_PER_S
    sliding_window_type: WindowType = WindowType.COUNT_BASED
    sliding_window_size: int = 100
    minimum_number_of_calls: int = 100
    permitted_number_of_calls_in_half_open_state: int = 10
    wait_interval: Callable[[int], int] = field(default_factory=lambda: intervals.fixed(60_000))
    automatic_transition_from_open_to_half_open: bool = False
    max_wait_duration_in_half_open_state_ms: int = 0
    transition_to_state_after_wait_duration: State = State.OPEN
    initial_state: State = State.CLOSED
    record: Callable[[BaseException], bool] = any_exception
    ignore: Callable[[BaseException], bool] = no_exception
    record_result: Callable[[object], bool] | None = None
    transition_on_result: Callable[[object, BaseException | None], TransitionToOpen | None] | None = None
    event_consumer_buffer_size: int = 100
    register_health_indicator: bool = True
    allow_health_indicator_to_fail: bool = False
    enabled: bool = True

    def __post_init__(self) -> None:
        checks = Checks()
        checks.percentage("failureRateThreshold", self.failure_rate_threshold)
        checks.percentage("slowCallRateThreshold", self.slow_call_rate_threshold)
        checks.at_least("slowCallDurationThreshold", self.slow_call_duration_threshold_ns, 1, "ns")
        checks.at_least("slidingWindowSize", self.sliding_window_size, 1)
        checks.at_least("minimumNumberOfCalls", self.minimum_number_of_calls, 1)
        checks.at_least("permittedNumberOfCallsInHalfOpenState", self.permitted_number_of_calls_in_half_open_state, 1)
        checks.at_least("maxWaitDurationInHalfOpenState", self.max_wait_duration_in_half_open_state_ms, 0, "ms")
        checks.one_of(
            "transitionToStateAfterWaitDuration",
            self.transition_to_state_after_wait_duration,
            (State.OPEN, State.CLOSED),
        )
        checks.at_least("eventConsumerBufferSize", self.event_consumer_buffer_size, 1)
        checks.finish()
