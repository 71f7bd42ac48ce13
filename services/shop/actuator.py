"""
The operations side of a service, in Spring Boot Actuator's shapes: health, breakers, events, metrics.

An open breaker leaves the service UP: it is protected, not ill.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

Metric = tuple[str, dict[str, str], float]

_MEDIA_TYPE = "application/vnd.spring-boot.actuator.v3+json"
_ENDPOINTS = (
    "health", "circuitbreakers", "circuitbreakerevents", "retries", "retryevents", "bulkheads", "bulkheadevents",
    "timelimiters", "prometheus",
)  # fmt: skip


class Protections(Protocol):
    """What a resilience registry tells about itself."""

    def actuator(self, path: str) -> dict[str, Any]:
        """The answer of one endpoint, such as `circuitbreakerevents/payment`. Raises LookupError when unknown."""
        ...

    def metrics_text(self) -> str: ...


class Actuator:
    """
    The endpoints below /actuator of one service. ready says whether it can do its work now.

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
        self.protections = protections
        self.exposed = {name.strip() for name in exposed.split(",")}
        self.ready = ready
        self.metrics = metrics

    def routes(self) -> list[Route]:
        return [
            Route("/actuator", self.index),
            Route("/actuator/health", self.health),
            Route("/actuator/health/liveness", self.liveness),
            Route("/actuator/health/readiness", self.readiness),
            Route("/actuator/prometheus", self.prometheus),
            Route("/actuator/{endpoint:path}", self.endpoint),
        ]

    async def index(self, request: Request) -> Response:
        base = str(request.url).rstrip("/")
        return _json({"_links": {name: {"href": f"{base}/{name}"} for name in _ENDPOINTS}})

    async def health(self, _: Request) -> Response:
        status = await self._readiness()
        components = {
            "circuitBreakers": {"status": "UP", "details": self._breakers()},
            "livenessState": {"status": "UP"},
            "readinessState": {"status": status},
        }
        return _health({"status": status, "groups": ["liveness", "readiness"], "components": components})

    async def liveness(self, _: Request) -> Response:
        return _health({"status": "UP"})

    async def readiness(self, _: Request) -> Response:
        return _health({"status": await self._readiness()})

    async def prometheus(self, request: Request) -> Response:
        if not self._shows("prometheus"):
            return _not_found(request)
        own = "".join(f"{_series(name, labels)} {value}\n" for name, labels, value in self.metrics())
        return PlainTextResponse(
            self.protections.metrics_text() + own, media_type="text/plain;version=0.0.4;charset=utf-8"
        )

    async def endpoint(self, request: Request) -> Response:
        path = request.path_params["endpoint"]
        if not self._shows(path.partition("/")[0]):
            return _not_found(request)
        try:
            return _json(self.protections.actuator(path))
        except LookupError:
            return _not_found(request)

    def _shows(self, endpoint: str) -> bool:
        return bool(self.exposed & {"*", endpoint})

    async def _readiness(self) -> str:
        return "UP" if await self.ready() else "OUT_OF_SERVICE"

    def _breakers(self) -> dict[str, Any]:
        words = {"OPEN": "CIRCUIT_OPEN", "HALF_OPEN": "CIRCUIT_HALF_OPEN", "CLOSED": "UP"}
        breakers = self.protections.actuator("circuitbreakers")["circuitBreakers"]
        return {n: {"status": words.get(b["state"], "UNKNOWN"), "details": b} for n, b in breakers.items()}


def _health(body: dict[str, Any]) -> Response:
    return _json(body, 200 if body["status"] == "UP" else 503)


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(body, status, media_type=_MEDIA_TYPE)


def _not_found(request: Request) -> Response:
    return _json({"status": 404, "error": "Not Found", "path": request.url.path}, 404)


def _series(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{inside}}}" if inside else name
