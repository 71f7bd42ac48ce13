"""
OpenTelemetry: what the policies did, on the span of the call that they did it to.

    stop = otel.annotate(registry)

A refusal, a retry, a time-out or a state transition becomes an event of the span that is current in that call, and its
summary an attribute of the span, by which traces can be searched: "every request that met an open circuit". Calls that
go well add nothing and cost nothing. Ours; neither Resilience4j nor OpenTelemetry's semantic conventions have names for
these, so they are made of Micrometer's and Actuator's words.

Needs opentelemetry-api (extra `otel`), and an SDK that records spans to be of any use. It makes no spans, and no metrics:
those are in `registry.metrics_text()`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from services.resilience import bulkhead, circuit_breaker, rate_limiter, retry, time_limiter
from services.resilience.clock import NS_PER_MS
from services.resilience.errors import ConfigError, Problem
from services.resilience.events import ROUTINE

if TYPE_CHECKING:
    from services.resilience.events import Event
    from services.resilience.registry import Registry

Attributes: TypeAlias = dict[str, "str | int | float | bool"]

PREFIX = "resilience4j."

_TYPES = {
    "circuitbreaker": circuit_breaker.EVENT_TYPES,
    "retry": retry.EVENT_TYPES,
    "bulkhead": bulkhead.EVENT_TYPES,
    "threadpoolbulkhead": bulkhead.EVENT_TYPES,
    "timelimiter": time_limiter.EVENT_TYPES,
    "ratelimiter": rate_limiter.EVENT_TYPES,
}
_UNTOLD = {"retry": frozenset[str](), "ratelimiter": frozenset({"SUCCESSFUL_ACQUIRE"})}
"""What is not told of a module, where it is not just the routine: a retry's SUCCESS comes after failures only."""

_DETAILS = {
    "STATE_TRANSITION": "state_transition",
    "FAILURE_RATE_EXCEEDED": "failure_rate",
    "SLOW_CALL_RATE_EXCEEDED": "slow_call_rate",
    "DRAINED": "permits",
}
"""What an event's detail is called; a retry's is the number of attempts."""

_SUMMARIES: dict[tuple[str, str], tuple[str, Callable[[Event], Any]]] = {
    ("circuitbreaker", "NOT_PERMITTED"): ("not_permitted", lambda _: True),
    ("circuitbreaker", "STATE_TRANSITION"): ("state", lambda event: str(event.detail).rpartition("_TO_")[2]),
    ("retry", "RETRY"): ("attempts", lambda event: event.detail),
    ("retry", "SUCCESS"): ("attempts", lambda event: event.detail),
    ("retry", "ERROR"): ("attempts", lambda event: event.detail),
    ("bulkhead", "CALL_REJECTED"): ("rejected", lambda _: True),
    ("threadpoolbulkhead", "CALL_REJECTED"): ("rejected", lambda _: True),
    ("timelimiter", "TIMEOUT"): ("timed_out", lambda _: True),
    ("ratelimiter", "FAILED_ACQUIRE"): ("not_permitted", lambda _: True),
}
"""Which events leave an attribute on the span itself."""


def annotate(registry: Registry) -> Callable[[], None]:
    """Tell the current span of every event of this registry's policies, those that are still to be made too.

    Returns what ends it. Raises ConfigError where opentelemetry-api is not installed.
    """
    try:
        from opentelemetry import trace
    except ImportError as error:
        problem = Problem(key="otel", message="opentelemetry-api is not installed", hint="pip install 'harness[otel]'")
        raise ConfigError([problem]) from error
    ends: list[Callable[[], None]] = []

    def listen(module: str, policy: Any) -> None:
        def tell(event: Event) -> None:
            span = trace.get_current_span()
            if span.is_recording():
                span.add_event(f"{PREFIX}{module}.{event.type.lower()}", attributes_of(module, policy.name, event))
                span.set_attributes(summary_of(module, policy.name, event))

        told = frozenset(_TYPES[module]) - _UNTOLD.get(module, ROUTINE)
        ends.append(policy.events.subscribe(tell, types=told, in_context=True))

    forget = registry.for_each_policy(listen)

    def stop() -> None:
        forget()
        for end in ends:
            end()
        ends.clear()

    return stop


def attributes_of(module: str, name: str, event: Event) -> Attributes:
    """A span event's attributes: whose it is, and what the event carries; durations and waits in milliseconds."""
    told: Attributes = {f"{PREFIX}{module}.name": name}
    if event.duration_ns is not None:
        told[f"{PREFIX}duration_ms"] = event.duration_ns / NS_PER_MS
    if event.error is not None:
        told["exception.message"] = event.error
    if event.detail is not None:
        told[f"{PREFIX}{_DETAILS.get(event.type, 'attempts')}"] = event.detail
    if event.wait_ms is not None:
        told[f"{PREFIX}wait_ms"] = event.wait_ms
    return told


def summary_of(module: str, name: str, event: Event) -> Attributes:
    """The span's own attributes: one for the fact, one for whose it is; nothing for an event that is no summary."""
    summary = _SUMMARIES.get((module, event.type))
    if summary is None:
        return {}
    return {f"{PREFIX}{module}.name": name, f"{PREFIX}{module}.{summary[0]}": summary[1](event)}
