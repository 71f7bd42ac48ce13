"""
What a service's health is made of: its database, its breakers, and that it runs at all.

The database is critical: without it a service can do nothing. A neighbour's breaker is not: an open one shows that the
service is protected, so it degrades the whole and leaves readiness alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.resilience import HealthStatus, Indicator, Reading, State, aggregate, breaker_status
from services.shop.ledger import Storage

_SPRING_WORDS = {"OPEN": "CIRCUIT_OPEN", "HALF_OPEN": "CIRCUIT_HALF_OPEN", "CLOSED": "UP"}


def database(ledger: Storage) -> Indicator:
    """The ledger: DOWN when it cannot be written to, or not within a second."""

    async def check() -> Reading:
        status = HealthStatus.UP if await ledger.works() else HealthStatus.DOWN
        return Reading(status=status, details={"database": ledger.name, "validationQuery": "SELECT 1"})

    return Indicator(name="db", check=check, critical=True, groups=("readiness", "startup"))


def circuit_breakers(shown: Callable[[], dict[str, Any]]) -> Indicator:
    """All breakers as one component; shown gives what /actuator/circuitbreakers does."""

    def check() -> Reading:
        breakers = shown()["circuitBreakers"]
        status = aggregate([(False, breaker_status(State(one["state"]))) for one in breakers.values()])
        details = {
            name: {"status": _SPRING_WORDS.get(one["state"], "UNKNOWN"), "details": one}
            for name, one in breakers.items()
        }
        return Reading(status=status, details=details)

    return Indicator(name="circuitBreakers", check=check, timeout_s=None, groups=())


def lives() -> list[Indicator]:
    """That it answers at all: alive, started, and ready unless something else says no."""

    def state(group: str) -> Indicator:
        return Indicator(name=f"{group}State", check=lambda: True, critical=True, timeout_s=None, groups=(group,))

    return [state(group) for group in ("liveness", "readiness", "startup")]
