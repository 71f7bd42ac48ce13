"""
What Spring's /actuator/health says of breakers and rate limiters, by Spring's own rule.

An open breaker is CIRCUIT_OPEN, and leaves the service UP (R4J: spring-boot3 CircuitBreakersHealthIndicator.java,
RateLimitersHealthIndicator.java; spring-boot: SimpleStatusAggregator.java, which drops every status it does not know).
Only allowHealthIndicatorToFail makes it DOWN. Unlike upstream, a policy is shown unless registerHealthIndicator is
false. Judging a service by what is critical to it is another module's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from services.resilience import actuator
from services.resilience.breaker_config import State

if TYPE_CHECKING:
    from services.resilience.circuit_breaker import CircuitBreaker
    from services.resilience.rate_limiter import RateLimiter

_ORDER = ("DOWN", "OUT_OF_SERVICE", "UP", "UNKNOWN")
_BREAKER = {State.CLOSED: "UP", State.OPEN: "CIRCUIT_OPEN", State.HALF_OPEN: "CIRCUIT_HALF_OPEN"}


def health(registry: Any, group: str | None = None) -> dict[str, Any]:
    """The whole (`status`, `groups`, `components`), or one group or component. `registry` needs `all_of(module)`.

    Raises LookupError for a group that does not exist.
    """
    components: dict[str, Any] = {}
    for key, module, one in (
        ("circuitBreakers", "circuitbreaker", breaker_health),
        ("rateLimiters", "ratelimiter", limiter_health),
    ):
        details = {p.name: one(p) for p in registry.all_of(module) if p.config.register_health_indicator}
        if details:
            components[key] = {"status": aggregated(each["status"] for each in details.values()), "details": details}
    components |= {name: {"status": "UP"} for name in ("livenessState", "ping", "readinessState")}
    if group in {"liveness", "readiness"}:
        return {"status": "UP"}
    if group is not None:
        component: dict[str, Any] = components[group]
        return component
    status = aggregated(component["status"] for component in components.values())
    return {"status": status, "groups": ["liveness", "readiness"], "components": components}


def aggregated(statuses: Iterable[str]) -> str:
    """The gravest of DOWN, OUT_OF_SERVICE, UP, UNKNOWN; other words do not count, none at all is UNKNOWN."""
    present = set(statuses)
    return next((status for status in _ORDER if status in present), "UNKNOWN")


def breaker_health(one: CircuitBreaker) -> dict[str, Any]:
    """One breaker: UP, CIRCUIT_OPEN (or DOWN), CIRCUIT_HALF_OPEN, or UNKNOWN for the three special states."""
    details = actuator.breaker(one)
    status = _BREAKER.get(State(details["state"]), "UNKNOWN")
    if status == "CIRCUIT_OPEN" and one.config.allow_health_indicator_to_fail:
        status = "DOWN"
    return {"status": status, "details": details}


def limiter_health(one: RateLimiter) -> dict[str, Any]:
    """One rate limiter: UP, RATE_LIMITED (or DOWN) when the next caller's wait is above its time-out, else UNKNOWN."""
    metrics, waiting = one.metrics, one.waiting_threads
    if metrics.available_permissions > 0 or waiting == 0:
        status = "UP"
    elif metrics.wait_ns > one.config.timeout_duration_ns:
        status = "DOWN" if one.config.allow_health_indicator_to_fail else "RATE_LIMITED"
    else:
        status = "UNKNOWN"
    details = {"availablePermissions": metrics.available_permissions, "numberOfWaitingThreads": waiting}
    return {"status": status, "details": details}
