"""
What the library raises: refusals, time limits, and mistakes in a configuration.

Names follow Resilience4j with its "Exception" left off. Messages are built when
they are read, not when they are raised: a refusal has to be cheap.
"""

from __future__ import annotations

from dataclasses import dataclass


class ResilienceError(Exception):
    """Anything this library raises by itself."""


class CallNotPermitted(ResilienceError):
    """A circuit breaker refused a call.

    `retry_after_s` is the time until a call may be let through again, None where nobody can know it
    (HALF_OPEN with all permits out, FORCED_OPEN).
    """

    def __init__(self, name: str, state: str, retry_after_s: float | None = None) -> None:
        super().__init__(name, state, retry_after_s)
        self.name = name
        self.state = state
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"CircuitBreaker '{self.name}' is {self.state} and does not permit further calls"


class BulkheadFull(ResilienceError):
    """A bulkhead had no room within its maxWaitDuration."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"Bulkhead '{self.name}' is full and does not permit further calls"


class RequestNotPermitted(ResilienceError):
    """A rate limiter could not promise a permission within its timeoutDuration."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"RateLimiter '{self.name}' does not permit further calls"


class TimeLimitExceeded(ResilienceError, TimeoutError):
    """A time limiter gave up on a call after `timeout_s` seconds."""

    def __init__(self, name: str, timeout_s: float) -> None:
        super().__init__(name, timeout_s)
        self.name = name
        self.timeout_s = timeout_s

    def __str__(self) -> str:
        return f"TimeLimiter '{self.name}' recorded a timeout exception after {self.timeout_s:g} s"


class DeadlineExceeded(TimeLimitExceeded):
    """A call was not made: whoever asked for it gave up `late_s` seconds before."""

    def __init__(self, name: str, late_s: float) -> None:
        super().__init__(name, 0.0)
        self.late_s = late_s
        self.args = (name, late_s)

    def __str__(self) -> str:
        return f"'{self.name}' was not called: the deadline had passed {self.late_s:.3f} s before"


class MaxRetriesExceeded(ResilienceError):
    """A retry ran out of attempts while the result was still one to retry (failAfterMaxAttempts)."""

    def __init__(self, name: str, attempts: int) -> None:
        super().__init__(name, attempts)
        self.name = name
        self.attempts = attempts

    def __str__(self) -> str:
        return f"Retry '{self.name}' has exhausted all attempts ({self.attempts})"


class ResultRecordedAsFailure(ResilienceError):
    """Stands for a returned value that the recordResult predicate calls a failure. Seen in events, never raised."""

    def __init__(self, name: str, result: object) -> None:
        super().__init__(name, result)
        self.name = name
        self.result = result

    def __str__(self) -> str:
        return f"CircuitBreaker '{self.name}' recorded a result as failure"


class IllegalStateTransition(ResilienceError):
    """A manual transition that the state machine does not have, for example CLOSED to HALF_OPEN."""

    def __init__(self, name: str, source: str, target: str) -> None:
        super().__init__(name, source, target)
        self.name = name
        self.source = source
        self.target = target

    def __str__(self) -> str:
        return f"CircuitBreaker '{self.name}' tried an illegal state transition from {self.source} to {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake: the key it is at, what is there, what would be right, and `FILE:LINE` where it was read from a file."""

    key: str
    message: str
    hint: str | None = None
    place: str | None = None

    def __str__(self) -> str:
        start = f"{self.place}: " if self.place else ""
        return f"{start}{self.key}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class ConfigError(ResilienceError, ValueError):
    """A configuration that cannot be used. Holds every mistake found, not the first alone."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)
