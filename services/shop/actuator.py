"""
The operations side of a service, in Spring Boot Actuator's shapes: health, breakers, events, metrics.

The resilience library answers; what it cannot know is here: what this service's health is made of, its flags, and its
own metrics. An open breaker leaves a service ready: it is protected, not ill.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.routing import Route

from services.resilience import DegradationManager, Health, Indicator
from services.resilience.asgi import Protections, actuator_app
from services.shop.indicators import circuit_breakers, lives

Metric = tuple[str, dict[str, str], float]

_PREFIX = "/actuator"


class Actuator:
    """
    The endpoints below /actuator of one service. indicators are what its health is made of besides its breakers.

    exposed: what Spring Boot calls management.endpoints.web.exposure.include, `*` or names with commas between;
    what is not exposed answers 404. Health is always there: whoever starts the service asks for it.
    """

    def __init__(
        self,
        protections: Protections,
        *,
        metrics: Callable[[], list[Metric]],
        indicators: Sequence[Indicator] = (),
        flags: DegradationManager | None = None,
        exposed: str = "*",
    ) -> None:
        def own() -> str:
            return "".join(f"{_series(name, labels)} {value}\n" for name, labels, value in metrics())

        breakers = circuit_breakers(lambda: protections.actuator("circuitbreakers"))
        health = Health([breakers, *lives(), *indicators])
        self.app = actuator_app(protections, health, flags, exposed=exposed, more_metrics=own)

    def routes(self) -> list[Route]:
        return [Route(_PREFIX, self.app), Route(_PREFIX + "/{rest:path}", self.app)]


def _series(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{inside}}}" if inside else name
