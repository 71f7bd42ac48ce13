"""
From the entries of one instance to the config of its policy.

Everything upstream's `Common*ConfigurationProperties` decide is decided here: which interval function, which
predicates, and our two defaults about refusals inside a pipeline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from services.resilience import intervals
from services.resilience.breaker_config import CircuitBreakerConfig, State, WindowType, any_exception, no_exception
from services.resilience.bulkhead import BulkheadConfig
from services.resilience.clock import NS_PER_MS
from services.resilience.errors import (
    BulkheadFull,
    CallNotPermitted,
    ConfigError,
    DeadlineExceeded,
    Problem,
    RequestNotPermitted,
)
from services.resilience.exception_names import ExceptionMatcher, exception_matcher, predicate
from services.resilience.rate_limiter import RateLimiterConfig
from services.resilience.retry import RetryConfig, of_attempt
from services.resilience.retry_budget import RetryBudgetConfig
from services.resilience.settings import Entries
from services.resilience.thread_pool_bulkhead import ThreadPoolBulkheadConfig
from services.resilience.time_limiter import TimeLimiterConfig
from services.resilience.validation import Checks

C = TypeVar("C")
ExceptionPredicate = Callable[[BaseException], bool]


class Builder:
    """Reads entries into keyword arguments and gathers mistakes under the keys as they were written."""

    def __init__(self, entries: Entries, place: str) -> None:
        self._entries = entries
        self._place = place
        self.checks = Checks()
        self.arguments: dict[str, Any] = {}
        self.warnings: list[str] = []

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or the default."""
        return self._entries[key].value if key in self._entries else default

    def copy(self, **keys: str) -> None:
        """Arguments that are values of keys as they are: copy(max_attempts="maxAttempts")."""
        for argument, key in keys.items():
            if key in self._entries:
                self.arguments[argument] = self._entries[key].value

    def copy_ms(self, **keys: str) -> None:
        """The same for durations, cut to whole milliseconds."""
        for argument, key in keys.items():
            if key in self._entries:
                self.arguments[argument] = self.ms(key, 0)

    def ms(self, key: str, default: int | None) -> Any:
        """A duration cut to whole milliseconds as Java's toMillis does."""
        return self._entries[key].value // NS_PER_MS if key in self._entries else default

    def callable(self, key: str) -> Callable[..., Any] | None:
        """The function named by a key."""
        if key not in self._entries:
            return None
        try:
            return predicate(self.get(key))
        except ValueError as error:
            self._complain(key, str(error))
            return None

    def matcher(self, key: str) -> ExceptionMatcher | None:
        """The exception classes listed by a key."""
        if key not in self._entries:
            return None
        try:
            found, unmapped = exception_matcher(self.get(key))
        except ValueError as error:
            self._complain(key, str(error))
            return None
        for name in unmapped:
            self.warnings.append(
                f"{self._entries[key].written}: no Python class is known for {name!r}, it matches nothing"
            )
        return found

    def build(self, config_class: Callable[..., C]) -> C:
        """The config. Raises ConfigError with every mistake, keys spelled as the person did."""
        problems = self.checks.problems
        try:
            config = config_class(**self.arguments)
        except ConfigError as error:
            problems = [*problems, *error.problems]
        if problems:
            raise ConfigError([self._placed(problem) for problem in problems])
        return config

    def _complain(self, key: str, message: str) -> None:
        self.checks.problems.append(Problem(key=key, message=message))

    def _placed(self, problem: Problem) -> Problem:
        written = self._entries[problem.key].written if problem.key in self._entries else f"{self._place}.{problem.key}"
        return Problem(key=written, message=problem.message, hint=problem.hint)


def circuit_breaker(build: Builder, *, beside: frozenset[str]) -> CircuitBreakerConfig:
    """The breaker's config; `beside` names the modules that protect the same calls."""
    build.copy(
        failure_rate_threshold="failureRateThreshold",
        slow_call_rate_threshold="slowCallRateThreshold",
        slow_call_duration_threshold_ns="slowCallDurationThreshold",
        sliding_window_size="slidingWindowSize",
        minimum_number_of_calls="minimumNumberOfCalls",
        permitted_number_of_calls_in_half_open_state="permittedNumberOfCallsInHalfOpenState",
        automatic_transition_from_open_to_half_open="automaticTransitionFromOpenToHalfOpenEnabled",
        register_health_indicator="registerHealthIndicator",
        allow_health_indicator_to_fail="allowHealthIndicatorToFail",
        event_consumer_buffer_size="eventConsumerBufferSize",
        enabled="enabled",
    )
    build.copy_ms(max_wait_duration_in_half_open_state_ms="maxWaitDurationInHalfOpenState")
    for argument, key, choices in (
        ("sliding_window_type", "slidingWindowType", WindowType),
        ("transition_to_state_after_wait_duration", "transitionToStateAfterWaitDuration", State),
        ("initial_state", "initialState", State),
    ):
        if (value := build.get(key)) is not None:
            build.checks.one_of(key, value, [choice.value for choice in choices])
            if value in choices.__members__:
                build.arguments[argument] = choices(value)
    if (strategy := build.get("slidingWindowSynchronizationStrategy")) is not None:
        build.checks.one_of("slidingWindowSynchronizationStrategy", strategy, ("SYNCHRONIZED", "LOCK_FREE"))
    build.arguments["wait_interval"] = _open_interval(build)
    build.arguments["record"] = _any_of(build, "recordExceptions", "recordFailurePredicate") or any_exception
    build.arguments["ignore"] = _breaker_ignore(build, beside)
    build.arguments["record_result"] = build.callable("recordResultPredicate")
    if not build.get("enabled", True):
        build.arguments["initial_state"] = State.DISABLED
    return build.build(CircuitBreakerConfig)


def retry(build: Builder, *, beside: frozenset[str]) -> RetryConfig:
    """The retry's config; `beside` names the modules that protect the same calls."""
    build.copy(
        max_attempts="maxAttempts",
        fail_after_max_attempts="failAfterMaxAttempts",
        event_consumer_buffer_size="eventConsumerBufferSize",
        enabled="enabled",
    )
    build.copy(honour_retry_after="honourRetryAfter")
    build.copy_ms(max_retry_after_ms="maxRetryAfter")
    build.arguments["budget"] = _retry_budget(build)
    function = build.callable("intervalBiFunction")
    build.arguments["interval"] = function or of_attempt(_retry_interval(build))
    build.arguments["retry"] = _any_of(build, "retryExceptions", "retryExceptionPredicate") or any_exception
    listed = build.matcher("retryExceptions")
    ignore: ExceptionPredicate = build.matcher("ignoreExceptions") or no_exception
    if (
        "circuitbreaker" in beside
        and not build.get("retryCallNotPermitted", False)
        and not (listed and CallNotPermitted in listed.classes)
    ):
        ignore = _either(ignore, ExceptionMatcher([CallNotPermitted]))
    if not (listed and DeadlineExceeded in listed.classes):  # nobody waits for another attempt
        ignore = _either(ignore, ExceptionMatcher([DeadlineExceeded]))
    build.arguments["ignore"] = ignore
    build.arguments["retry_result"] = build.callable("resultPredicate")
    build.arguments["consume_result"] = build.callable("consumeResultBeforeRetryAttempt")
    return build.build(RetryConfig)


def bulkhead(build: Builder, *, beside: frozenset[str]) -> BulkheadConfig:  # noqa: ARG001  # the builders' common form
    """The bulkhead's config."""
    build.copy(
        max_concurrent_calls="maxConcurrentCalls",
        event_consumer_buffer_size="eventConsumerBufferSize",
        enabled="enabled",
    )
    build.copy_ms(max_wait_duration_ms="maxWaitDuration")
    return build.build(BulkheadConfig)


def thread_pool_bulkhead(build: Builder, *, beside: frozenset[str]) -> ThreadPoolBulkheadConfig:  # noqa: ARG001
    """The thread-pool bulkhead's config."""
    build.copy(
        max_thread_pool_size="maxThreadPoolSize",
        core_thread_pool_size="coreThreadPoolSize",
        queue_capacity="queueCapacity",
        event_consumer_buffer_size="eventConsumerBufferSize",
        enabled="enabled",
    )
    build.copy_ms(keep_alive_duration_ms="keepAliveDuration")
    return build.build(ThreadPoolBulkheadConfig)


def time_limiter(build: Builder, *, beside: frozenset[str]) -> TimeLimiterConfig:  # noqa: ARG001
    """The time limiter's config."""
    build.copy(
        cancel_running_future="cancelRunningFuture",
        event_consumer_buffer_size="eventConsumerBufferSize",
        enabled="enabled",
    )
    build.copy_ms(timeout_duration_ms="timeoutDuration")
    return build.build(TimeLimiterConfig)


def rate_limiter(build: Builder, *, beside: frozenset[str]) -> RateLimiterConfig:  # noqa: ARG001
    """The rate limiter's config."""
    build.copy(
        limit_for_period="limitForPeriod",
        limit_refresh_period_ns="limitRefreshPeriod",
        timeout_duration_ns="timeoutDuration",
        register_health_indicator="registerHealthIndicator",
        allow_health_indicator_to_fail="allowHealthIndicatorToFail",
        event_consumer_buffer_size="eventConsumerBufferSize",
        enabled="enabled",
    )
    return build.build(RateLimiterConfig)


def _open_interval(build: Builder) -> intervals.Interval:
    wait_ms = build.ms("waitDurationInOpenState", 60_000)
    build.checks.at_least("waitDurationInOpenState", wait_ms, 1, "ms")
    grows, spreads = build.get("enableExponentialBackoff", False), build.get("enableRandomizedWait", False)
    if grows and spreads:
        build.checks.problems.append(
            Problem(key="enableRandomizedWait", message="cannot be true together with enableExponentialBackoff")
        )
    return _interval(build, wait_ms, "exponentialMaxWaitDurationInOpenState", grows=grows, spreads=spreads)


def _retry_interval(build: Builder) -> intervals.Interval:
    wait_ms = build.ms("waitDuration", 500)
    build.checks.at_least("waitDuration", wait_ms, 0, "ms")
    grows, spreads = build.get("enableExponentialBackoff", False), build.get("enableRandomizedWait", False)
    return _interval(build, wait_ms, "exponentialMaxWaitDuration", grows=grows, spreads=spreads)


def _retry_budget(build: Builder) -> RetryBudgetConfig | None:
    """A budget if any of its keys is there."""
    given = {
        argument: build.get(key)
        for argument, key in (
            ("ratio", "retryBudgetRatio"),
            ("min_retries_per_second", "retryBudgetMinRetriesPerSecond"),
            ("capacity", "retryBudgetCapacity"),
        )
        if build.get(key) is not None
    }
    try:
        return RetryBudgetConfig(**given) if given else None
    except ConfigError as error:
        build.checks.problems.extend(error.problems)
        return None


def _interval(build: Builder, wait_ms: int, max_key: str, *, grows: bool, spreads: bool) -> intervals.Interval:
    multiplier = build.get("exponentialBackoffMultiplier", 1.5)
    factor = build.get("randomizedWaitFactor", 0.5)
    max_ms = build.ms(max_key, None)
    build.checks.at_least("exponentialBackoffMultiplier", multiplier, 1)
    build.checks.share("randomizedWaitFactor", factor)
    if max_ms is not None:
        build.checks.at_least(max_key, max_ms, 1, "ms")
    if grows and spreads:
        return intervals.exponential_random(wait_ms, multiplier, factor, max_ms)
    if grows:
        return intervals.exponential(wait_ms, multiplier, max_ms)
    return intervals.randomized(wait_ms, factor) if spreads else intervals.fixed(wait_ms)


def _any_of(build: Builder, classes_key: str, predicate_key: str) -> ExceptionPredicate | None:
    matcher, function = build.matcher(classes_key), build.callable(predicate_key)
    build.warnings = list(dict.fromkeys(build.warnings))
    if matcher is not None and function is not None:
        return _either(matcher, function)
    return matcher or function


def _breaker_ignore(build: Builder, beside: frozenset[str]) -> ExceptionPredicate:
    ignore = _any_of(build, "ignoreExceptions", "ignoreExceptionPredicate") or no_exception
    listed = build.matcher("recordExceptions")
    for module, kind, restore in (
        ("bulkhead", BulkheadFull, "recordBulkheadFull"),
        ("threadpoolbulkhead", BulkheadFull, "recordBulkheadFull"),
        ("ratelimiter", RequestNotPermitted, "recordRequestNotPermitted"),
    ):
        if module in beside and not build.get(restore, False) and not (listed and kind in listed.classes):
            ignore = _either(ignore, ExceptionMatcher([kind]))
    if not (listed and DeadlineExceeded in listed.classes):  # says nothing about the other service: it was not asked
        ignore = _either(ignore, ExceptionMatcher([DeadlineExceeded]))
    return ignore


def _either(first: ExceptionPredicate, second: ExceptionPredicate) -> ExceptionPredicate:
    return lambda error: first(error) or second(error)
