"""
What Spring Boot's Actuator answers for Resilience4j, as dictionaries ready for JSON.

Shapes as recorded from a running service with Resilience4j 2.4.0. Events have two keys more than upstream's:
`monotonicTimeNs`, the clock of the machine, and `sequence`, by which a reader notices that the ring has lapped.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from services.resilience import bulkhead, circuit_breaker, rate_limiter, retry, time_limiter
from services.resilience.breaker_config import State
from services.resilience.clock import NS_PER_MS, NS_PER_S
from services.resilience.rates import java_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.resilience.circuit_breaker import CircuitBreaker
    from services.resilience.events import Event
    from services.resilience.registry import Registry

_LISTS = {
    "retries": ("retries", ("retry",)),
    "bulkheads": ("bulkheads", ("bulkhead", "threadpoolbulkhead")),
    "ratelimiters": ("rateLimiters", ("ratelimiter",)),
    "timelimiters": ("timeLimiters", ("timelimiter",)),
}
_UPDATES = {"CLOSE": State.CLOSED, "FORCE_OPEN": State.FORCED_OPEN, "DISABLE": State.DISABLED}


def answer(registry: Registry, path: str) -> dict[str, Any]:
    """The answer at /actuator/PATH. Raises KeyError for a path, name or event type unknown."""
    parts = path.strip("/").split("/")
    if parts == ["circuitbreakers"]:
        return {"circuitBreakers": {one.name: breaker(one) for one in registry.all_of("circuitbreaker")}}
    if len(parts) == 1 and parts[0] in _LISTS:
        key, modules = _LISTS[parts[0]]
        return {key: [policy.name for module in modules for policy in registry.all_of(module)]}
    if parts == ["resilience-lint"]:
        return {"findings": [finding.to_json() for finding in registry.lint()]}
    if parts[0] in _EVENTS and len(parts) <= 3:
        return _events(registry, *parts)
    raise KeyError(path)


def update(registry: Registry, name: str, wish: str) -> dict[str, str]:
    """Bring a breaker into the state that CLOSE, FORCE_OPEN or DISABLE stands for."""
    if wish not in _UPDATES:
        raise ValueError(f"updateState is {wish!r}, must be one of {', '.join(_UPDATES)}")
    found = {one.name: one for one in registry.all_of("circuitbreaker")}[name]
    found.transition_to(_UPDATES[wish])
    return {
        "circuitBreakerName": name,
        "currentState": found.state.value,
        "message": f"{name} state has been changed successfully",
    }


def breaker(one: CircuitBreaker) -> dict[str, Any]:
    """One breaker as /actuator/circuitbreakers shows it: rates are strings with a percent sign."""
    metrics = one.metrics
    return {
        "failureRate": java_text(metrics.failure_rate) + "%",
        "slowCallRate": java_text(metrics.slow_call_rate) + "%",
        "failureRateThreshold": java_text(one.config.failure_rate_threshold) + "%",
        "slowCallRateThreshold": java_text(one.config.slow_call_rate_threshold) + "%",
        "bufferedCalls": metrics.buffered_calls,
        "failedCalls": metrics.failed_calls,
        "slowCalls": metrics.slow_calls,
        "slowFailedCalls": metrics.slow_failed_calls,
        "notPermittedCalls": metrics.not_permitted_calls,
        "state": one.state.value,
    }


def breaker_event(name: str, event: Event) -> dict[str, Any]:
    """One breaker event as /actuator/circuitbreakerevents shows it."""
    return _event_json("circuitBreakerName", name, event, _breaker_fields)


def creation_time(wall_ns: int) -> str:
    """Java's ZonedDateTime.toString() with all nine digits: 2026-11-22T16:59:17.287794131Z[Etc/UTC]."""
    seconds, nanoseconds = divmod(wall_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z[Etc/UTC]"


def _breaker_fields(event: Event) -> dict[str, Any]:
    return {
        "errorMessage": event.error,
        "durationInMs": None if event.duration_ns is None else event.duration_ns // NS_PER_MS,
        "stateTransition": event.detail if event.type == "STATE_TRANSITION" else None,
    }


def _retry_fields(event: Event) -> dict[str, Any]:
    return {"errorMessage": event.error, "numberOfAttempts": event.detail}


def _bulkhead_fields(event: Event) -> dict[str, Any]:
    """Ours beside Resilience4j's: how long a refused call had waited, so that a reader can hold refusals to a limit."""
    return {} if event.duration_ns is None else {"durationInMs": event.duration_ns / NS_PER_MS}


def _no_fields(_event: Event) -> dict[str, Any]:
    return {}


_EVENTS: dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...], Callable[[Event], dict[str, Any]]]] = {
    "circuitbreakerevents": (
        "circuitBreakerEvents",
        "circuitBreakerName",
        ("circuitbreaker",),
        circuit_breaker.EVENT_TYPES,
        _breaker_fields,
    ),
    "retryevents": ("retryEvents", "retryName", ("retry",), retry.EVENT_TYPES, _retry_fields),
    "bulkheadevents": (
        "bulkheadEvents",
        "bulkheadName",
        ("bulkhead", "threadpoolbulkhead"),
        bulkhead.EVENT_TYPES,
        _bulkhead_fields,
    ),
    "ratelimiterevents": (
        "rateLimiterEvents",
        "rateLimiterName",
        ("ratelimiter",),
        rate_limiter.EVENT_TYPES,
        _no_fields,
    ),
    "timelimiterevents": (
        "timeLimiterEvents",
        "timeLimiterName",
        ("timelimiter",),
        time_limiter.EVENT_TYPES,
        _no_fields,
    ),
}


def _events(registry: Registry, path: str, name: str | None = None, kind: str | None = None) -> dict[str, Any]:
    key, name_key, modules, kinds, fields = _EVENTS[path]
    policies = [policy for module in modules for policy in registry.all_of(module)]
    if name is not None and name not in {policy.name for policy in policies}:
        raise KeyError(name)
    if kind is not None and kind.upper() not in kinds:
        raise KeyError(kind)
    found = [
        (policy.name, event)
        for policy in policies
        if name in {None, policy.name}
        for event in policy.events.snapshot()
        if kind is None or event.type == kind.upper()
    ]
    found.sort(key=lambda pair: pair[1].monotonic_ns)
    return {key: [_event_json(name_key, owner, event, fields) for owner, event in found]}


def _event_json(name_key: str, owner: str, event: Event, fields: Callable[[Event], dict[str, Any]]) -> dict[str, Any]:
    return {
        name_key: owner,
        "type": event.type,
        "creationTime": creation_time(event.wall_ns),
        **fields(event),
        "monotonicTimeNs": event.monotonic_ns,
        "sequence": event.sequence,
    }
