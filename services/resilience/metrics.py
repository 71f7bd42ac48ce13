"""
Prometheus text under the names that Micrometer gives Resilience4j's metrics.

Names and labels as in R4J: micrometer/tagged/*MetricNames.java and as recorded from a running service.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from services.resilience.breaker_config import State
from services.resilience.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.resilience.circuit_breaker import CircuitBreaker
    from services.resilience.registry import Registry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_POOL_HELP = {
    "queue_depth": "Calls that wait in the queue",
    "queue_capacity": "Calls that may wait in the queue",
    "thread_pool_size": "Threads in the pool",
    "core_thread_pool_size": "Threads that are kept",
    "max_thread_pool_size": "Threads at most",
    "active_thread_count": "Threads at work",
    "available_thread_count": "Threads that could still start work",
}
_BREAKER = "resilience4j_circuitbreaker_"


class _Page:
    """Samples gathered by family: the format wants the samples of one name together, after its HELP and TYPE."""

    def __init__(self) -> None:
        self._families: dict[str, tuple[str, str, list[str]]] = {}

    def add(
        self, family: str, metric: str, help_text: str, value: float, /, *, suffix: str = "", **labels: str
    ) -> None:
        samples = self._families.setdefault(family, (metric, help_text, []))[2]
        written = ",".join(f'{key}="{_escaped(text)}"' for key, text in sorted(labels.items()))
        samples.append(f"{family}{suffix}{{{written}}} {value}")

    def text(self) -> str:
        lines: list[str] = []
        for family, (kind, help_text, samples) in self._families.items():
            lines += [f"# HELP {family} {help_text}", f"# TYPE {family} {kind}", *samples]
        return "\n".join(lines) + "\n" if lines else ""


def text(registry: Registry) -> str:
    """The page a Prometheus server scrapes."""
    page = _Page()
    breakers = list(registry.all_of("circuitbreaker"))
    for one in breakers:
        _breaker_gauges(page, one)
    for one in breakers:
        _breaker_calls(page, one)
    _retries(page, registry)
    _retry_budgets(page, registry)
    _bulkheads(page, registry)
    _thread_pools(page, registry)
    _limiters(page, registry)
    return page.text()


def _breaker_gauges(page: _Page, one: CircuitBreaker) -> None:
    metrics, now = one.metrics, one.state
    for state in State:
        page.add(
            _BREAKER + "state",
            "gauge",
            "The states of the circuit breaker",
            float(state is now),
            name=one.name,
            state=state.value.lower(),
        )
    for family, help_text, failed, total in (
        ("buffered_calls", "The number of calls in the window", metrics.failed_calls, metrics.buffered_calls),
        ("slow_calls", "The number of slow calls in the window", metrics.slow_failed_calls, metrics.slow_calls),
    ):
        for kind, value in (("successful", total - failed), ("failed", failed)):
            page.add(_BREAKER + family, "gauge", help_text, float(value), name=one.name, kind=kind)
    page.add(
        _BREAKER + "failure_rate", "gauge", "Failure rate in percent, -1 for none", metrics.failure_rate, name=one.name
    )
    page.add(
        _BREAKER + "slow_call_rate",
        "gauge",
        "Slow call rate in percent, -1 for none",
        metrics.slow_call_rate,
        name=one.name,
    )


def _breaker_calls(page: _Page, one: CircuitBreaker) -> None:
    now_ns = one.clock.now_ns()
    calls, longest = _BREAKER + "calls_seconds", _BREAKER + "calls_seconds_max"
    for kind, times in (("successful", one.successful), ("failed", one.failed), ("ignored", one.ignored)):
        page.add(calls, "summary", "Calls by how they ended", times.count, suffix="_count", name=one.name, kind=kind)
        page.add(calls, "summary", "", times.total_ns / NS_PER_S, suffix="_sum", name=one.name, kind=kind)
        slowest_s = times.max_ns(now_ns) / NS_PER_S
        page.add(longest, "gauge", "The longest call of late", slowest_s, name=one.name, kind=kind)
    page.add(
        _BREAKER + "not_permitted_calls_total",
        "counter",
        "Calls refused",
        float(one.not_permitted_total),
        name=one.name,
        kind="not_permitted",
    )


def _retries(page: _Page, registry: Registry) -> None:
    for one in registry.all_of("retry"):
        for kind, count in asdict(one.counts).items():
            family = "resilience4j_retry_calls_total"
            page.add(family, "counter", "Protected calls by how they ended", float(count), name=one.name, kind=kind)


def _retry_budgets(page: _Page, registry: Registry) -> None:
    """Ours: Resilience4j has no budgets."""
    for one in registry.all_of("retry"):
        if one.budget is not None:
            tokens, refused = "resilience4j_retry_budget_tokens", "resilience4j_retry_budget_refused_total"
            page.add(tokens, "gauge", "Retries that the budget still has", one.budget.tokens, name=one.name)
            page.add(refused, "counter", "Retries that the budget refused", float(one.budget.refused), name=one.name)


def _bulkheads(page: _Page, registry: Registry) -> None:
    for one in registry.all_of("bulkhead"):
        _gauges(
            page,
            one.name,
            (
                ("bulkhead_available_concurrent_calls", "Places free", one.available_concurrent_calls),
                ("bulkhead_max_allowed_concurrent_calls", "Places in all", one.config.max_concurrent_calls),
            ),
        )


def _thread_pools(page: _Page, registry: Registry) -> None:
    for one in registry.all_of("threadpoolbulkhead"):
        gauges = asdict(one.metrics)
        _gauges(page, one.name, ((f"bulkhead_{key}", _POOL_HELP[key], value) for key, value in gauges.items()))


def _limiters(page: _Page, registry: Registry) -> None:
    for one in registry.all_of("ratelimiter"):
        _gauges(
            page,
            one.name,
            (
                ("ratelimiter_available_permissions", "Permissions left", one.metrics.available_permissions),
                ("ratelimiter_waiting_threads", "Callers that wait", one.waiting_threads),
            ),
        )
    for one in registry.all_of("timelimiter"):
        for kind, count in asdict(one.counts).items():
            family = "resilience4j_timelimiter_calls_total"
            page.add(family, "counter", "Calls by how they ended", float(count), name=one.name, kind=kind)


def _gauges(page: _Page, name: str, samples: Iterable[tuple[str, str, int]]) -> None:
    for family, help_text, value in samples:
        page.add(f"resilience4j_{family}", "gauge", help_text, float(value), name=name)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
