"""How Hystrix commands fail: what is raised, and under which names (Hystrix: HystrixRuntimeException.java)."""

from __future__ import annotations

import enum

from services.resilience.errors import ResilienceError


class HystrixBadRequest(Exception):
    """Raised by a command's function for a request that is the caller's fault: no fallback, and it counts as nothing."""


class FailureType(enum.StrEnum):
    """Why a command has no answer, under HystrixRuntimeException's names; it is the event's name as well."""

    SHORTCIRCUIT = "SHORT_CIRCUITED"
    COMMAND_EXCEPTION = "FAILURE"
    TIMEOUT = "TIMEOUT"
    REJECTED_THREAD_EXECUTION = "THREAD_POOL_REJECTED"
    REJECTED_SEMAPHORE_EXECUTION = "SEMAPHORE_REJECTED"


class HystrixRuntimeError(ResilienceError):
    """A command failed and has no fallback, or one that failed or was refused too.

    The command's own exception is the `__cause__`; `fallback_error` is the fallback's, None if there is no fallback.
    """

    def __init__(self, key: str, failure: FailureType, how: str, fallback_error: Exception | None = None) -> None:
        super().__init__(key, failure, how)
        self.key = key
        self.failure = failure
        self.fallback_error = fallback_error

    def __str__(self) -> str:
        return f"{self.key} {self.failure.name.lower().replace('_', ' ')} and {self.args[2]}"
