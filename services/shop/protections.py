"""
The protections of the order service's four neighbours, in Resilience4j's keys, and why the numbers are what they are.

Sized so that a fault shows within seconds at 40 orders a second. A window of 30 calls is about a second of traffic:
an outage opens the breaker within half a second, one reset in five practically never does. The time limits are far
above what a healthy neighbour takes (a few milliseconds), and leave the look-ups and one charge below half a second
together where only one of them is slow.

Only broken connections and 5xx answers are repeated. Repeating a call that was too slow would multiply the load on
a neighbour that has too much already; repeating a refusal of our own protections would only wait.
"""

from __future__ import annotations

from services.shop.settings import OrderSettings

_ATTEMPTS = {"user": 2, "product": 2, "recommendation": 1, "payment": 3}
_TIME_LIMIT = {"user": "300ms", "product": "300ms", "recommendation": "150ms", "payment": "400ms"}
_CONCURRENT = {"user": 20, "product": 20, "recommendation": 20, "payment": 20}

SHARED_POOL = "shared"
CACHE = "cache"
# Asked for every product: five failures in ten are enough to leave it alone, for a second at a time.
_CACHE_BREAKER: dict[str, object] = {
    "slidingWindowType": "COUNT_BASED",
    "slidingWindowSize": 10,
    "minimumNumberOfCalls": 5,
    "failureRateThreshold": 50,
    "waitDurationInOpenState": "1s",
    "permittedNumberOfCallsInHalfOpenState": 2,
    "automaticTransitionFromOpenToHalfOpenEnabled": True,
}
_POOL: dict[str, object] = {"coreThreadPoolSize": 4, "maxThreadPoolSize": 4, "queueCapacity": 20}

_EVENTS = {"eventConsumerBufferSize": 1000}
_REFUSALS = "CallNotPermitted,BulkheadFull"
_BREAKER: dict[str, object] = {
    "slidingWindowType": "COUNT_BASED",
    "slidingWindowSize": 30,
    "minimumNumberOfCalls": 10,
    "failureRateThreshold": 50,
    "waitDurationInOpenState": "1s",
    "permittedNumberOfCallsInHalfOpenState": 3,
    "automaticTransitionFromOpenToHalfOpenEnabled": True,
    # Says nothing about the neighbour: no room here, or no time left to ask.
    "ignoreExceptions": "BulkheadFull,DeadlineExceeded,services.shop.client.DeadlinePassed",
}
_RETRY: dict[str, object] = {
    "waitDuration": "50ms",
    "enableExponentialBackoff": True,
    "exponentialBackoffMultiplier": 2,
    "retryExceptions": "services.shop.client.ConnectionFailed,services.shop.client.ServerFailed",
    "ignoreExceptions": _REFUSALS,
}


def order_defaults(settings: OrderSettings | None = None) -> dict[str, object]:
    """The defaults of all four neighbours, by dotted key; the environment overrides each of them.

    A neighbour asked in threads has a thread pool instead of a bulkhead; one that Hystrix protects has nothing here.
    """
    blocking, shared = (settings.blocking, settings.shared_pool) if settings is not None else (frozenset(), False)
    by_hystrix = {"payment"} if settings is not None and settings.payment_style == "hystrix" else set()
    pools = {SHARED_POOL} if blocking and shared else blocking
    defaults: dict[str, object] = {
        f"resilience4j.thread-pool-bulkhead.instances.{name}.{key}": value
        for name in pools
        for key, value in _POOL.items()
    }
    if settings is not None and settings.cache_urls:
        of_cache = {**_CACHE_BREAKER, **_EVENTS}
        defaults |= {f"resilience4j.circuitbreaker.instances.{CACHE}.{key}": value for key, value in of_cache.items()}
    for name, attempts in _ATTEMPTS.items():
        if name in by_hystrix:
            continue
        of_neighbour: dict[str, dict[str, object]] = {
            "circuitbreaker": _BREAKER,
            "retry": {**_RETRY, "maxAttempts": attempts},
            "bulkhead": {"maxConcurrentCalls": _CONCURRENT[name], "maxWaitDuration": "0ms"},
            "timelimiter": {"timeoutDuration": _TIME_LIMIT[name]},
        }
        if name in blocking:
            del of_neighbour["bulkhead"]
        for module, values in of_neighbour.items():
            for key, value in {**values, **_EVENTS}.items():
                defaults[f"resilience4j.{module}.instances.{name}.{key}"] = value
    return defaults
