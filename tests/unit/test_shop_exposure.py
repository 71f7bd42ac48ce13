"""A shop service shows of its actuator what it was told to expose."""

from __future__ import annotations

import asyncio

import pytest

from services.shop.actuator import Actuator


class Protections:
    def actuator(self, path: str) -> dict[str, object]:
        return {"path": path}

    def metrics_text(self) -> str:
        return ""


def status(exposed: str, endpoint: str) -> int:
    actuator = Actuator(Protections(), metrics=list, exposed=exposed)
    sent = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": f"/actuator/{endpoint}", "headers": []}
    asyncio.run(actuator.app(scope, lambda: None, send))
    return sent[0]["status"]


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
