"""
Feign's front end: its Retryer, its RetryableException, its time-outs.

`FeignRetryer(100, 2000, 3)` calls three times and waits 150 and 225 ms: the attempt is counted before the wait is
worked out (feign: core/src/main/java/feign/DefaultRetryer.java). Only transport errors and answers with a
Retry-After header are tried again; a plain 5xx is not (codec/DefaultErrorDecoder.java).
"""

from __future__ import annotations

from dataclasses import dataclass

from services.resilience.clock import NS_PER_S, Clock, SystemClock
from services.resilience.errors import ResilienceError
from services.resilience.exception_names import exception_matcher
from services.resilience.retry import Retry, RetryConfig
from services.resilience.retry_after import retry_after_s, wish_ms
from services.resilience.validation import Checks

_is_transport_error = exception_matcher("java.io.IOException")[0]


class FeignError(ResilienceError):
    """An answer that is no success; not tried again. `status` is the HTTP status, None if there was no answer."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class RetryableError(FeignError):
    """Something to try again; after `retry_after_s` seconds if that is set, up to the retryer's longest period."""

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, status=status)
        self.retry_after_s = retry_after_s


def error_of(status: int, *, retry_after: str | None = None, clock: Clock | None = None) -> FeignError:
    """What Feign makes of an answer that is no success: RetryableError if its Retry-After header can be read."""
    wait_s = retry_after_s(retry_after, (clock or SystemClock()).wall_ns() / NS_PER_S)
    if wait_s is None:
        return FeignError(f"status {status}", status=status)
    return RetryableError(f"status {status}, to be tried again after {wait_s:g} s", status=status, retry_after_s=wait_s)


def is_retryable(error: BaseException) -> bool:
    """Whether Feign would try again: a RetryableError, or a transport error, which Feign wraps in one."""
    return isinstance(error, RetryableError) or _is_transport_error(error)


class FeignRetryer(Retry):
    """Retryer.Default: period_ms * 1.5, * 1.5^2 ... up to max_period_ms, max_attempts calls in all, no jitter.

    When they are used up the last exception is raised as it is. Raises ConfigError for values out of bounds.
    """

    def __init__(
        self,
        period_ms: int = 100,
        max_period_ms: int = 1000,
        max_attempts: int = 5,
        *,
        name: str = "feign",
        clock: Clock | None = None,
    ) -> None:
        checks = Checks()
        checks.at_least("period", period_ms, 0, "ms")
        checks.at_least("maxPeriod", max_period_ms, 0, "ms")
        checks.finish()
        self.period_ms = period_ms
        self.max_period_ms = max_period_ms
        config = RetryConfig(max_attempts=max_attempts, interval=self._wait_ms, retry=is_retryable)
        super().__init__(name, config, clock)

    def _wait_ms(self, attempt: int, error: object) -> int:
        asked_ms = wish_ms(error) if isinstance(error, RetryableError) else None
        try:
            wait_ms = int(self.period_ms * 1.5**attempt) if asked_ms is None else asked_ms
        except OverflowError:  # far above any longest period
            wait_ms = self.max_period_ms
        return min(wait_ms, self.max_period_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """Request.Options: how long to wait for a connection, and for each read. Raises ConfigError for values below 1 ms.

    They belong to the HTTP client, below every policy of this library: aiohttp takes them as ClientTimeout's
    sock_connect and sock_read, httpx as Timeout's connect and read.
    """

    connect_ms: int = 10_000
    read_ms: int = 60_000

    def __post_init__(self) -> None:
        checks = Checks()
        checks.at_least("connectTimeout", self.connect_ms, 1, "ms")
        checks.at_least("readTimeout", self.read_ms, 1, "ms")
        checks.finish()

    @property
    def connect_s(self) -> float:
        """The limit for a connection in seconds."""
        return self.connect_ms / 1000

    @property
    def read_s(self) -> float:
        """The limit for a read in seconds."""
        return self.read_ms / 1000
