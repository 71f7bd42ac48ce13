"""What the shop's services say of their health, and the flags below their actuator."""

from __future__ import annotations

import asyncio
import json

import pytest

from services.resilience import DegradationManager, Registry, State
from services.shop.actuator import Actuator
from services.shop.indicators import database
from services.shop.ledger import Ledger


async def ask(actuator, path, body=None):
    """Status and JSON of one request to an actuator; a POST where there is a body."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST" if body else "GET", "path": f"/actuator/{path}", "headers": headers}
    await actuator.app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def answers(*paths, registry=None, indicators=(), flags=None):
    actuator = Actuator(registry or Registry.from_mapping({}), metrics=list, indicators=indicators, flags=flags)

    async def main():
        return [await ask(actuator, path) for path in paths]

    return asyncio.run(main())


ALL = ("health", "health/liveness", "health/readiness", "health/startup")


def test_a_service_without_a_ledger_is_up():
    """It runs: there is nothing else that it needs."""
    assert [(200, "UP")] * 4 == [(status, body["status"]) for status, body in answers(*ALL)]
    assert answers("health/nothing")[0][0] == 404


@pytest.mark.parametrize(("works", "expected"), [(True, [200, 200, 200, 200]), (False, [503, 200, 503, 503])])
def test_a_service_is_as_ready_as_its_ledger(tmp_path, works, expected):
    """Without its database it is alive, and neither started nor ready: whoever restarts it gains nothing."""
    ledger = Ledger(tmp_path / "l.sqlite", "CREATE TABLE IF NOT EXISTS t (n)")

    async def main():
        await ledger.open()
        try:
            if not works:
                await ledger._in_thread(ledger._connection.close)
            actuator = Actuator(Registry.from_mapping({}), metrics=list, indicators=[database(ledger)])
            return [await ask(actuator, path) for path in ALL]
        finally:
            await ledger.close()

    told = asyncio.run(main())
    assert expected == [status for status, _ in told]
    assert {"status": "UP" if works else "DOWN", "details": {"database": "SQLite", "validationQuery": "SELECT 1"}} == (
        told[0][1]["components"]["db"]
    )
    assert "db" not in told[1][1]["components"]


def test_an_open_breaker_degrades_a_service_and_leaves_it_ready():
    """HTTP 200 in both: it is protected. What each breaker does is told in Spring's words."""
    registry = Registry.from_mapping({"resilience4j.circuitbreaker.instances.payment.slidingWindowSize": 10})
    registry.circuit_breaker("payment").transition_to(State.OPEN)

    (status, body), (ready, readiness) = answers("health", "health/readiness", registry=registry)

    assert (status, body["status"], ready, readiness["status"]) == (200, "DEGRADED", 200, "UP")
    breakers = body["components"]["circuitBreakers"]
    assert ("DEGRADED", "CIRCUIT_OPEN", "OPEN") == (
        breakers["status"],
        breakers["details"]["payment"]["status"],
        breakers["details"]["payment"]["details"]["state"],
    )
    assert {"livenessState", "readinessState", "startupState"} < set(body["components"])
    assert {"liveness", "readiness"} < set(body["groups"])


def test_flags_are_shown_and_set_below_the_actuator():
    """POST answers with the flag, GET lists all of them, and each change is an event."""
    flags = DegradationManager()
    flags.declare("recommendation")
    actuator = Actuator(Registry.from_mapping({}), metrics=list, flags=flags)

    async def main():
        return [
            await ask(actuator, "degradation/recommendation", {"level": 1, "reason": "sale", "ttl": "60s"}),
            await ask(actuator, "degradation"),
            await ask(actuator, "degradation/recommendation", {"level": 9}),
            await ask(actuator, "degradation/nothing", {"level": 1}),
            await ask(actuator, "degradation/recommendation", {"clear": True}),
            await ask(actuator, "degradationevents"),
        ]

    told = asyncio.run(main())
    assert [200, 200, 400, 404, 200, 200] == [status for status, _ in told]
    assert told[0][1] == told[1][1]["degradation"]["recommendation"]
    assert [(0, 1), (1, 0)] == [(event["from"], event["to"]) for event in told[-1][1]["degradationEvents"]]
    assert answers("degradation")[0][0] == 404
