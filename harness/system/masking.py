"""
A system as it may be written down: its secrets masked, everything that judging needs left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from harness import secrets
from harness.system.model import System


def masked_system(system: System) -> dict[str, Any]:
    """What System.to_json gives, without secrets; System.from_json reads it."""
    data: dict[str, Any] = system.to_json()
    return {
        **secrets.texts({key: part for key, part in data.items() if key not in {"services", "profiles"}}),
        "services": {name: _service(service) for name, service in data["services"].items()},
        "profiles": {name: masked_profile(profile) for name, profile in data["profiles"].items()},
    }


def _service(service: Mapping[str, Any]) -> dict[str, Any]:
    health = service["health"]
    return {
        **secrets.texts({key: part for key, part in service.items() if key not in {"command", "environment"}}),
        "command": secrets.fields(service["command"]),
        "environment": secrets.fields(service["environment"]),
        "health": health and {**health, "test": secrets.fields(health["test"])},
    }


def masked_profile(profile: Mapping[str, Any]) -> dict[str, Any]:
    """A profile as JSON without secrets: in headers, bodies and the values that are drawn for them."""
    return {
        **profile,
        "requests": [
            {
                **secrets.texts(request),
                "headers": secrets.fields(request["headers"]),
                "json": secrets.fields(request["json"]),
            }
            for request in profile["requests"]
        ],
        "data": secrets.fields(profile["data"]),
    }


def remember(system: System, extra: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """
    From here on mask the secrets of a system wherever this process writes. extra: values set over its services' own.

    What services take over from the runner's own environment counts, too.
    """
    data = system.to_json()
    secret = secrets.found_in([dict(os.environ), list((extra or {}).values())])
    for service in data["services"].values():
        parts = [service["environment"], service["command"], (service["health"] or {}).get("test")]
        secret |= secrets.found_in(parts)
    for profile in data["profiles"].values():
        parts = [[request["headers"], request["json"]] for request in profile["requests"]]
        secret |= secrets.found_in([parts, profile["data"]])
    secrets.remember(secret, names_of(system))


def names_of(system: System) -> set[str]:
    """Every name that a journal of the system has to tell apart."""
    names = {system.name, *system.services, *(link.name for link in system.links), *system.profiles}
    names |= {request.name for profile in system.profiles.values() for request in profile.requests}
    names |= {objective.name for objective in system.objectives} | {ledger.name for ledger in system.ledgers}
    return names | {ledger.path for ledger in system.ledgers}
