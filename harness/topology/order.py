"""
In which order services may start: what Compose's `depends_on` asks for, checked before anything is started.
"""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from harness.errors import SetUpError
from harness.system.model import Service

HEALTHY = "service_healthy"
COMPLETED = "service_completed_successfully"


def one_shots(services: Mapping[str, Service]) -> frozenset[str]:
    """Services whose end another one waits for: they are meant to end."""
    waits = [service.depends_on.items() for service in services.values()]
    return frozenset(name for items in waits for name, condition in items if condition == COMPLETED)


def check_order(services: Mapping[str, Service]) -> None:
    """Raise SetUpError when the dependencies name a stranger or go in a circle."""
    for name, service in services.items():
        for other in service.depends_on:
            if other not in services:
                raise SetUpError(
                    f"{name} depends on {other!r}, which is not run as a process",
                    hint=f"give {other} a `command`, or drop it from depends_on of {name}",
                )
    try:
        TopologicalSorter({name: list(service.depends_on) for name, service in services.items()}).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise SetUpError(f"the services wait for each other in a circle: {circle}") from error
