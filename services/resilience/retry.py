"""
Retry: call again when a call failed, and wait in between.

Counting, events and waits are Resilience4j's (R4J: retry/internal/RetryImpl.java). `Attempts` decides and knows
neither sleeping nor calling; the two shells around it do. Differences from upstream (D5, D6): running out of attempts
on a bad result is told and counted once, and a negative interval counts as failed_with_retry. Ours, and off unless
asked for: a retry budget, and waits that the other side asked for. Ours too: where a deadline travels with the request
and a wait would outlast it, nobody would be there for the next answer; so that attempt was the last, told as
DEADLINE_TOO_NEAR before its ERROR, and what it ended in goes to the caller at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

from services.resilience import intervals
from services.resilience.breaker_config import any_exception, no_exception
from services.resilience.clock import NS_PER_MS, Clock, SystemClock
from services.resilience.deadline import current
from services.resilience.errors import MaxRetriesExceeded
from services.resilience.events import EventLog
from services.resilience.locks import fork_safe_lock
from services.resilience.retry_after import wish_ms
from services.resilience.retry_budget import RetryBudget, RetryBudgetConfig
from services.resilience.tally import Tally
from services.resilience.validation import Checks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

P = ParamSpec("P")
T = TypeVar("T")

EVENT_TYPES = ("RETRY", "SUCCESS", "ERROR", "IGNORED_ERROR", "BUDGET_EXHAUSTED", "DEADLINE_TOO_NEAR")

RetryInterval: TypeAlias = "Callable[[int, object], int]"
"""From the attempt that failed (1 for the first) and its exception or result, to milliseconds; negative ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """Options of one retry. `max_attempts` includes the first call. Raises ConfigError for values out of bounds.

    `consume_result` is called with (attempts so far, result) for a result that is about to be asked for again.
    `budget`, if any, limits retries to a share of the calls. With `honour_retry_after`, an exception or bad result
    whose `retry_after_s` asks for a longer wait than the interval gets it, up to max_retry_after_ms.
    """

    max_attempts: int = 3
    interval: RetryInterval = field(default_factory=lambda: of_attempt(intervals.fixed(500)))
    retry: Callable[[BaseException], bool] = any_exception
    ignore: Callable[[BaseException], bool] = no_exception
    retry_result: Callable[[object], bool] | None = None
    consume_result: Callable[[int, object], object] | None = None
    fail_after_max_attempts: bool = False
    budget: RetryBudgetConfig | None = None
    honour_retry_after: bool = False
    max_retry_after_ms: int = 30_000
    event_consumer_buffer_size: int = 100
    enabled: bool = True

    def __post_init__(self) -> None:
        checks = Checks()
        checks.at_least("maxAttempts", self.max_attempts, 1)
        checks.at_least("maxRetryAfter", self.max_retry_after_ms, 0, "ms")
        checks.at_least("eventConsumerBufferSize", self.event_consumer_buffer_size, 1)
        checks.finish()


def of_attempt(interval: intervals.Interval) -> RetryInterval:
    """A retry interval that looks at the attempt's number alone."""
    return lambda attempt, _outcome: interval(attempt)


@dataclass(slots=True)
class RetryCounts:
    """Protected calls (not attempts) by how they ended, under the names of the metric's `kind`."""

    successful_without_retry: int = 0
    successful_with_retry: int = 0
    failed_without_retry: int = 0
    failed_with_retry: int = 0


class Retry:
    """One retry policy. Safe under threads; `call` and `call_sync` may be mixed.

    `budget`: one to share with other retries, in place of one of its own by the configuration.
    """

    def __init__(
        self,
        name: str,
        config: RetryConfig | None = None,
        clock: Clock | None = None,
        *,
        budget: RetryBudget | None = None,
    ) -> None:
        self.name = name
        self.config = config or RetryConfig()
        self.clock: Clock = clock or SystemClock()
        self.budget = budget
        if budget is None and self.config.budget is not None:
            self.budget = RetryBudget(self.config.budget, self.clock)
        self._counts = RetryCounts()
        self.lock = fork_safe_lock()
        self.successes_at_once = Tally(self.lock)
        self.events = EventLog(self.clock, self.lock, self.config.event_consumer_buffer_size)

    @property
    def counts(self) -> RetryCounts:
        """Protected calls by how they ended, up to now."""
        self._counts.successful_without_retry = self.successes_at_once.total()
        return self._counts

    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await fn(...) up to max_attempts times. Raises the last exception, or MaxRetriesExceeded if so configured."""
        if not self.config.enabled:
            return await fn(*args, **kwargs)
        if self.budget is not None:
            self.budget.deposit()
        return await self.go_on(Attempts(self), 0, fn, *args, **kwargs)

    async def go_on(
        self, attempts: Attempts, wait_ms: int, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The rest of a call: wait wait_ms milliseconds, then attempt it until `attempts` says it is the end."""
        while True:
            if wait_ms:
                await self.clock.sleep_async(wait_ms * NS_PER_MS)
            try:
                result = await fn(*args, **kwargs)
            except Exception as error:
                next_ms = attempts.failed(error)
                if next_ms is None:
                    raise
            else:
                next_ms = attempts.returned(result)
                if next_ms is None:
                    return result
            wait_ms = next_ms

    def call_sync(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call fn(...) up to max_attempts times. As `call`, without an event loop."""
        if not self.config.enabled:
            return fn(*args, **kwargs)
        if self.budget is not None:
            self.budget.deposit()
        return self.go_on_sync(Attempts(self), 0, fn, *args, **kwargs)

    def go_on_sync(
        self, attempts: Attempts, wait_ms: int, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `go_on`, without an event loop."""
        while True:
            if wait_ms:
                self.clock.sleep(wait_ms * NS_PER_MS)
            try:
                result = fn(*args, **kwargs)
            except Exception as error:
                next_ms = attempts.failed(error)
                if next_ms is None:
                    raise
            else:
                next_ms = attempts.returned(result)
                if next_ms is None:
                    return result
            wait_ms = next_ms

    def count(self, kind: str) -> None:
        """Count one protected call that ended."""
        with self.lock:
            setattr(self._counts, kind, getattr(self._counts, kind) + 1)


class Attempts:
    """One protected call, attempt by attempt: each outcome is answered with the wait in ms, or None for the end."""

    __slots__ = ("_failures", "_last_error", "_retry")

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._failures = 0
        self._last_error: Exception | None = None

    def failed(self, error: Exception) -> int | None:
        """An attempt raised: how long to wait before the next, None to let the exception go."""
        retry, config = self._retry, self._retry.config
        if config.ignore(error) or not config.retry(error):
            retry.events.publish("IGNORED_ERROR", error, 0)
            retry.count("failed_without_retry")
            return None
        self._last_error = error
        return self._next(error, error)

    def returned(self, result: object) -> int | None:
        """An attempt returned: how long to wait before the next, None to hand the result over.

        Raises MaxRetriesExceeded if attempts are used up, the result is bad and failAfterMaxAttempts is set.
        """
        retry, config = self._retry, self._retry.config
        if config.retry_result is None or not config.retry_result(result):
            self._succeeded()
            return None
        self._last_error = None
        exhausted = MaxRetriesExceeded(retry.name, self._failures + 1)
        wait_ms = self._next(exhausted, result)
        if wait_ms is None and config.fail_after_max_attempts:
            raise exhausted
        if wait_ms is not None and config.consume_result is not None:
            config.consume_result(self._failures, result)
        return wait_ms

    def _next(self, error: Exception, outcome: object) -> int | None:
        retry, config = self._retry, self._retry.config
        self._failures += 1
        if self._failures < config.max_attempts:
            wait_ms = config.interval(self._failures, outcome)
            if config.honour_retry_after and wait_ms >= 0:
                wait_ms = max(wait_ms, min(wish_ms(outcome) or 0, config.max_retry_after_ms))
            if wait_ms >= 0 and self._in_time(wait_ms) and self._affordable():
                retry.events.publish("RETRY", self._last_error, self._failures, wait_ms)
                return wait_ms
        retry.events.publish("ERROR", error, self._failures)
        retry.count("failed_with_retry")
        return None

    def _in_time(self, wait_ms: int) -> bool:
        """Whether the request's deadline, if it has one, leaves any time for an attempt after the wait."""
        deadline = current()
        if deadline is None or deadline.at_ns - deadline.clock.now_ns() > wait_ms * NS_PER_MS:
            return True
        self._retry.events.publish("DEADLINE_TOO_NEAR", self._last_error, self._failures)
        return False

    def _affordable(self) -> bool:
        retry = self._retry
        if retry.budget is None or retry.budget.withdraw():
            return True
        retry.events.publish("BUDGET_EXHAUSTED", self._last_error, self._failures)
        return False

    def _succeeded(self) -> None:
        if self._failures == 0:
            self._retry.successes_at_once.add_one()
            return
        self._retry.events.publish("SUCCESS", self._last_error, self._failures)
        self._retry.count("successful_with_retry")
