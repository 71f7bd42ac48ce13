"""
Whether a service in a container is ready: asked by the runner's passage to it, or told by the engine.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

from harness.system.model import Service
from harness.topology.readiness import ASK_LIMIT_S, HttpProbe, Probe

HOLD_S = 0.15  # a passage takes every connection and drops it at once when nobody listens behind it


class HeldPortProbe:
    """Ready when a connection through the passage is still held a moment later."""

    def __init__(self, service: str, host: str, port: int) -> None:
        self._address = (host, port)
        self.awaited = f"the port of {service} to accept connections"

    def __call__(self) -> str | None:
        try:
            with socket.create_connection(self._address, timeout=ASK_LIMIT_S) as connection:
                connection.settimeout(HOLD_S)
                try:
                    said = connection.recv(1)
                except TimeoutError:
                    return None
        except OSError as error:
            return str(error)
        return None if said else "connection closed at once: nobody listens"


class HealthProbe:
    """Ready when the engine says that the service's own health check passed."""

    def __init__(self, service: str, state: Callable[[], Mapping[str, Any]]) -> None:
        self._state = state
        self.awaited = f"the health check of {service} to pass"

    def __call__(self) -> str | None:
        health = self._state().get("Health") or {}
        if health.get("Status") == "healthy":
            return None
        tries = health.get("Log") or []
        said = str(tries[-1].get("Output", "")).strip()[:300] if tries else ""
        return f"{health.get('Status') or 'no health check'}{': ' + said if said else ''}"


def container_probe(
    service: Service, passage: tuple[str, int] | None, state: Callable[[], Mapping[str, Any]]
) -> Probe | None:
    """How to ask a service; None when there is nothing to ask, then it is ready once it runs."""
    if service.ready_path is not None and passage is not None:
        return HttpProbe(*passage, service.ready_path)
    if state().get("Health"):
        return HealthProbe(service.name, state)
    return None if passage is None else HeldPortProbe(service.name, *passage)
