"""
The keys of a configuration, under Resilience4j's names, and how each value is read.

One table a module; what a value may be is said by its reader, what range it may have by the policy's own config class.
`enabled`, `retryCallNotPermitted`, `retryBudget...`, `honourRetryAfter`, `maxRetryAfter`, `recordBulkheadFull` and
`recordRequestNotPermitted` are ours.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from services.resilience.durations import duration_ns

if TYPE_CHECKING:
    from collections.abc import Callable


_LARGEST = 2**31 - 1
"""Upstream's whole numbers have 32 bits; a larger one does not bind there either."""


def canonical(key: str) -> str:
    """One spelling for camelCase, kebab-case, snake_case and UPPERCASE."""
    return re.sub("[-_]", "", key).lower()


def boolean(value: object) -> bool:
    """True or false, as a bool or as a word."""
    word = str(value).strip().lower()
    if word not in {"true", "false"}:
        raise ValueError(f"is {value!r}, must be true or false")
    return word == "true"


def integer(value: object) -> int:
    """A whole number, as an int or as digits."""
    if isinstance(value, bool) or not re.fullmatch(r"\s*[+-]?\d+\s*", str(value)):
        raise ValueError(f"is {value!r}, must be a whole number")
    if abs(int(str(value))) > _LARGEST:
        raise ValueError(f"is {value!r}, must be at most {_LARGEST}")
    return int(str(value))


def number(value: object) -> float:
    """A number, with a point or without."""
    if isinstance(value, bool) or not re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", str(value)):
        raise ValueError(f"is {value!r}, must be a number")
    if math.isinf(float(str(value))):
        raise ValueError(f"is {value!r}, must be a finite number")
    return float(str(value))


def word(value: object) -> str:
    """A name out of a list, in capitals."""
    return str(value).strip().upper().replace("-", "_")


def as_is(value: object) -> object:
    """Whatever it is: read later, by what uses it."""
    return value


_COMMON: dict[str, Callable[[object], Any]] = {
    "enabled": boolean,
    "baseConfig": str,
    "eventConsumerBufferSize": integer,
}

CIRCUIT_BREAKER: dict[str, Callable[[object], Any]] = {
    **_COMMON,
    "failureRateThreshold": number,
    "slowCallRateThreshold": number,
    "slowCallDurationThreshold": duration_ns,
    "slidingWindowType": word,
    "slidingWindowSize": integer,
    "slidingWindowSynchronizationStrategy": word,
    "minimumNumberOfCalls": integer,
    "permittedNumberOfCallsInHalfOpenState": integer,
    "waitDurationInOpenState": duration_ns,
    "automaticTransitionFromOpenToHalfOpenEnabled": boolean,
    "maxWaitDurationInHalfOpenState": duration_ns,
    "transitionToStateAfterWaitDuration": word,
    "initialState": word,
    "recordExceptions": as_is,
    "ignoreExceptions": as_is,
    "recordFailurePredicate": as_is,
    "recordResultPredicate": as_is,
    "ignoreExceptionPredicate": as_is,
    "ignoreExceptionsPrecedenceEnabled": boolean,
    "ignoreClassBindingExceptions": boolean,
    "enableExponentialBackoff": boolean,
    "exponentialBackoffMultiplier": number,
    "exponentialMaxWaitDurationInOpenState": duration_ns,
    "enableRandomizedWait": boolean,
    "randomizedWaitFactor": number,
    "writableStackTraceEnabled": boolean,
    "allowHealthIndicatorToFail": boolean,
    "registerHealthIndicator": boolean,
    "recordBulkheadFull": boolean,
    "recordRequestNotPermitted": boolean,
}

RETRY: dict[str, Callable[[object], Any]] = {
    **_COMMON,
    "maxAttempts": integer,
    "waitDuration": duration_ns,
    "intervalBiFunction": as_is,
    "retryExceptions": as_is,
    "ignoreExceptions": as_is,
    "retryExceptionPredicate": as_is,
    "resultPredicate": as_is,
    "consumeResultBeforeRetryAttempt": as_is,
    "failAfterMaxAttempts": boolean,
    "enableExponentialBackoff": boolean,
    "exponentialBackoffMultiplier": number,
    "exponentialMaxWaitDuration": duration_ns,
    "enableRandomizedWait": boolean,
    "randomizedWaitFactor": number,
    "retryCallNotPermitted": boolean,
    "retryBudgetRatio": number,
    "retryBudgetMinRetriesPerSecond": number,
    "retryBudgetCapacity": integer,
    "honourRetryAfter": boolean,
    "maxRetryAfter": duration_ns,
}

BULKHEAD: dict[str, Callable[[object], Any]] = {
    **_COMMON,
    "maxConcurrentCalls": integer,
    "maxWaitDuration": duration_ns,
    "writableStackTraceEnabled": boolean,
}

THREAD_POOL_BULKHEAD: dict[str, Callable[[object], Any]] = {
    **_COMMON,
    "maxThreadPoolSize": integer,
    "coreThreadPoolSize": integer,
    "queueCapacity": integer,
    "keepAliveDuration": duration_ns,
    "contextPropagators": as_is,
    "writableStackTraceEnabled": boolean,
}

TIME_LIMITER: dict[str, Callable[[object], Any]] = {
    **_COMMON,
    "timeoutDuration": duration_ns,
    "cancelRunningFuture": boolean,
}

RATE_LIMITER: dict[str, Callable[[object], Any]] = {
    **_COMMON,
    "limitForPeriod": integer,
    "limitRefreshPeriod": duration_ns,
    "timeoutDuration": duration_ns,
    "subscribeForEvents": boolean,
    "allowHealthIndicatorToFail": boolean,
    "registerHealthIndicator": boolean,
    "writableStackTraceEnabled": boolean,
}

MODULES: dict[str, dict[str, Callable[[object], Any]]] = {
    "circuitbreaker": CIRCUIT_BREAKER,
    "retry": RETRY,
    "bulkhead": BULKHEAD,
    "threadpoolbulkhead": THREAD_POOL_BULKHEAD,
    "timelimiter": TIME_LIMITER,
    "ratelimiter": RATE_LIMITER,
}

SPELLED = {"threadpoolbulkhead": "thread-pool-bulkhead"}
"""Modules that upstream's documentation spells otherwise than this table."""

NO_EFFECT = {
    "writableStackTraceEnabled": "exceptions here always carry their traceback",
    "slidingWindowSynchronizationStrategy": "windows here are always synchronised, LOCK_FREE is Java's",
    "subscribeForEvents": "events are kept whether subscribed for or not",
    "ignoreClassBindingExceptions": "a name that cannot be found is an error or a warning of its own",
    "ignoreExceptionsPrecedenceEnabled": "ignored exceptions are always looked at first, as upstream decides too",
    "contextPropagators": "context variables reach the pool's threads by themselves",
}
"""Keys of Resilience4j that are read, checked and do nothing, each with the reason that its warning gives."""

NO_EFFECT_SECTIONS = {
    "tags": "labels are added where metrics are collected",
    "metrics": "metrics are text that is made when asked for",
    "enabled": "`instances.<name>.enabled` switches a single policy off",
}
"""The same for what may stand beside `instances`: resilience4j.<module>.tags and its like."""

NO_EFFECT_MODULES = {
    "micrometer": "there is no Micrometer timer here",
    "scheduled": "timers share one thread of the clock",
    "thread": "there are no virtual threads here",
}
"""The same for what may stand beside the modules: resilience4j.micrometer and its like."""

ASPECT_ORDERS = {
    "retry": "retryAspectOrder",
    "circuitbreaker": "circuitBreakerAspectOrder",
    "ratelimiter": "rateLimiterAspectOrder",
    "timelimiter": "timeLimiterAspectOrder",
    "bulkhead": "bulkheadAspectOrder",
}
"""Lower is further out; a thread-pool bulkhead goes with the bulkhead, just inside it.

By default in the order of this table, starting at LOWEST_PRECEDENCE - 5.
"""

LOWEST_PRECEDENCE = 2**31 - 1

SECTIONS = {"instances": "instances", "backends": "instances", "limiters": "instances", "configs": "configs"}
