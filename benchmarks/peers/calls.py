"""
One function under each library's protection, in the closed state: what a healthy call costs.

Each maker gives a plain function or a coroutine function to be called without arguments. Ours has a full count window
of 100 and the slow-call rule, which of the others only interlock-cb and pyresilience have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.resilience import (
    Bulkhead,
    CircuitBreaker,
    CircuitBreakerConfig,
    Pipeline,
    Retry,
    TimeLimiter,
    WindowType,
)

Fn = Callable[..., Any]
Maker = Callable[[Fn], Fn]

SLOW_NS = 1_000_000_000


def our_breaker(window: WindowType = WindowType.COUNT_BASED) -> CircuitBreaker:
    """The defaults of Resilience4j with a slow-call rule of one second."""
    config = CircuitBreakerConfig(
        slow_call_duration_threshold_ns=SLOW_NS,
        sliding_window_type=window,
        sliding_window_size=100 if window is WindowType.COUNT_BASED else 10,
    )
    return CircuitBreaker("ours", config)


def _ours(fn: Fn) -> Fn:
    return our_breaker()(fn)


def _ours_call(fn: Fn) -> Fn:
    return _under(our_breaker(), fn)


def _ours_time(fn: Fn) -> Fn:
    return _under(our_breaker(WindowType.TIME_BASED), fn)


def _ours_heard(fn: Fn) -> Fn:
    breaker = our_breaker()
    breaker.events.subscribe(lambda event: None)
    return _under(breaker, fn)


def _under(breaker: Any, fn: Fn) -> Fn:
    import inspect

    if inspect.iscoroutinefunction(fn):
        return lambda call=breaker.call: call(fn)
    return lambda call=breaker.call_sync: call(fn)


def _ours_retry(fn: Fn) -> Fn:
    return _under(Retry("ours"), fn)


def _ours_pipeline(fn: Fn) -> Fn:
    return _under(Pipeline("ours", [Retry("ours"), our_breaker(), TimeLimiter("ours"), Bulkhead("ours")]), fn)


def _ours_pipeline_without_limit(fn: Fn) -> Fn:
    return _under(Pipeline("ours", [Retry("ours"), our_breaker(), Bulkhead("ours")]), fn)


def _circuitbreaker(fn: Fn) -> Fn:
    import circuitbreaker

    return circuitbreaker.CircuitBreaker(name=f"c{id(fn)}").decorate(fn)


def _interlock(fn: Fn) -> Fn:
    import inspect

    import interlock

    config = interlock.Config(slow_call_duration_threshold=1.0, minimum_number_of_calls=100, window_size=100)
    breaker = interlock.CircuitBreaker(name="i", config=config)
    if inspect.iscoroutinefunction(fn):
        return lambda: breaker.call(fn)
    return lambda: breaker.call(fn)


def _pybreaker(fn: Fn) -> Fn:
    import pybreaker

    return pybreaker.CircuitBreaker()(fn)


def _aiobreaker(fn: Fn) -> Fn:
    import aiobreaker

    return aiobreaker.CircuitBreaker()(fn)


def _purgatory(fn: Fn) -> Fn:
    import inspect

    import purgatory

    if inspect.iscoroutinefunction(fn):
        return purgatory.AsyncCircuitBreakerFactory()("p")(fn)
    return purgatory.SyncCircuitBreakerFactory()("p")(fn)


def _pyresilience(fn: Fn) -> Fn:
    import pyresilience

    config = pyresilience.CircuitBreakerConfig(sliding_window_size=100, minimum_calls=100, slow_call_duration=1.0)
    return pyresilience.resilient(circuit_breaker=config)(fn)


def _tenacity(fn: Fn) -> Fn:
    import tenacity

    return tenacity.retry(stop=tenacity.stop_after_attempt(3))(fn)


CANDIDATES: dict[str, Maker] = {
    "bare function": lambda fn: fn,
    "ours": _ours_call,
    "ours, decorator": _ours,
    "ours, time window 10 s": _ours_time,
    "ours, with a consumer": _ours_heard,
    "circuitbreaker": _circuitbreaker,
    "interlock-cb": _interlock,
    "pybreaker": _pybreaker,
    "aiobreaker": _aiobreaker,
    "purgatory": _purgatory,
    "pyresilience": _pyresilience,
    "ours, retry": _ours_retry,
    "tenacity, retry": _tenacity,
    "ours, retry+breaker+bulkhead": _ours_pipeline_without_limit,
    "ours, retry+breaker+time limit+bulkhead": _ours_pipeline,
}

NOT_ASYNC = {"pybreaker"}
"""It has an asynchronous side for Tornado only."""

NOT_SYNC = {"ours, retry+breaker+time limit+bulkhead"}
"""A plain function cannot be cancelled: its time limit is a thread, which is another order of cost."""


def candidates(fn: Fn, without: set[str]) -> tuple[dict[str, Fn], dict[str, str]]:
    """Those that can be made here, and why the others cannot."""
    made, missing = {}, {}
    for name, maker in CANDIDATES.items():
        if name in without:
            continue
        try:
            made[name] = maker(fn)
        except ImportError as error:
            missing[name] = f"no module {error.name}"
    return made, missing
