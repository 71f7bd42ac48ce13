"""A shop service shows of its actuator what it was told to expose."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request

from services.shop.actuator import Actuator


class Protections:
    def actuator(self, path: str) -> dict[str, object]:
        return {"path": path}

    def metrics_text(self) -> str:
        return ""


async def ready() -> bool:
    return True


def status(exposed: str, endpoint: str) -> int:
    actuator = Actuator(Protections(), ready=ready, metrics=list, exposed=exposed)
    scope = {"type": "http", "path": f"/actuator/{endpoint}", "headers": [], "path_params": {"endpoint": endpoint}}
    answer = actuator.prometheus if endpoint == "prometheus" else actuator.endpoint
    return asyncio.run(answer(Request(scope))).status_code


@pytest.mark.parametrize(
    ("exposed", "endpoint", "expected"),
    [
        ("*", "circuitbreakers", 200),
        ("health", "circuitbreakers", 404),
        ("health, circuitbreakerevents", "circuitbreakerevents/payment", 200),
        ("health", "prometheus", 404),
        ("prometheus", "prometheus", 200),
    ],
)
def test_only_what_is_exposed_answers(exposed, endpoint, expected):
    """What is not exposed answers 404, as Spring Boot does it."""
    assert expected == status(exposed, endpoint)
