"""
The operations side of a service, in Spring Boot Actuator's shapes: health, breakers, events, metrics.

The resilience library answers; what it cannot know is here: whether this service is ready, and its own metrics.
An open breaker leaves the service UP: it is protected, not ill.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.routing import Route

from services.resilience.asgi import Protections, actuator_app

Metric = tuple[str, dict[str, str], float]

_PREFIX = "/actuator"


class Health:
    """What one service says of itself. ready says whether it can do its work now."""

    def __init__(self, protections: Protections, ready: Callable[[], Awaitable[bool]]) -> None:
        self.protections = protections
        self.ready = ready

    async def to_json(self, group: str | None = None) -> dict[str, Any]:
        """The whole, or `liveness` or `readiness`. Raises LookupError for another group."""
        status = "UP" if group == "liveness" or await self.ready() else "OUT_OF_SERVICE"
        if group is not None:
            return {"liveness": {"status": "UP"}, "readiness": {"status": status}}[group]
        components = {
            "circuitBreakers": {"status": "UP", "details": self._breakers()},
            "livenessState": {"status": "UP"},
            "readinessState": {"status": status},
        }
        return {"status": status, "groups": ["liveness", "readiness"], "components": components}

    def _breakers(self) -> dict[str, Any]:
        words = {"OPEN": "CIRCUIT_OPEN", "HALF_OPEN": "CIRCUIT_HALF_OPEN", "CLOSED": "UP"}
        breakers = self.protections.actuator("circuitbreakers")["circuitBreakers"]
        return {n: {"status": words.get(b["state"], "UNKNOWN"), "details": b} for n, b in breakers.items()}


class Actuator:
    """
    The endpoints below /actuator of one service.

    exposed: what Spring Boot calls management.endpoints.web.exposure.include, `*` or names with commas between;
    what is not exposed answers 404. Health is always there: whoever starts the service asks for it.
    """

    def __init__(
        self,
        protections: Protections,
        *,
        ready: Callable[[], Awaitable[bool]],
        metrics: Callable[[], list[Metric]],
        exposed: str = "*",
    ) -> None:
        def own() -> str:
            return "".join(f"{_series(name, labels)} {value}\n" for name, labels, value in metrics())

        self.app = actuator_app(protections, Health(protections, ready), exposed=exposed, more_metrics=own)

    def routes(self) -> list[Route]:
        return [Route(_PREFIX, self.app), Route(_PREFIX + "/{rest:path}", self.app)]


def _series(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{inside}}}" if inside else name
