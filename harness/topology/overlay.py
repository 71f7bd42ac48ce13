"""
The overlay that puts a person's Compose project behind the links of a run; the project's own files are never changed.

Every service leaves its networks for those of the run and publishes no port of the host (that would be a way past the
links, and two runs could not stand side by side). Everything gets the run's label, and volumes that are the run's own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.engine.labels import PART, RUN, SERVICE
from harness.errors import InputError, Mistake
from harness.system.container_layout import ContainerLayout, upstream_name

CALM_CHECKS = "10s"  # between health checks of a service that the harness asks itself
_FOREIGN_MODES = ("host", "container:", "service:", "none")


class _Override(dict[str, Any]):
    """Takes the place of what the person's file says, instead of being merged with it."""


class _Reset:
    """Takes away what the person's file says."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Override, lambda dumper, data: dumper.represent_mapping("!override", data))
_Dumper.add_representer(_Reset, lambda dumper, _: dumper.represent_scalar("!reset", "null"))


def check_project(project: Mapping[str, Any], file: Path) -> None:
    """Raise InputError for what cannot be put behind links. project: as `docker compose config` tells it."""
    mistakes = []
    for name, service in project["services"].items():
        mode = str(service.get("network_mode") or "")
        if mode.startswith(_FOREIGN_MODES):
            message = (
                f"{name} has network_mode {mode!r}; a service without networks of its own cannot be put behind links"
            )
            mistakes.append(Mistake(file, None, message, f"drop network_mode of {name}, or leave it out of the run"))
    if mistakes:
        raise InputError.of(mistakes)


def known_names(project: Mapping[str, Any]) -> dict[str, list[str]]:
    """Service -> further names that its clients may know it by."""
    found = {}
    for name, service in project["services"].items():
        others = [service.get("container_name"), service.get("hostname")]
        for network in (service.get("networks") or {}).values():
            others += (network or {}).get("aliases") or ()
        found[name] = [other for other in dict.fromkeys(others) if other and other != name]
    return found


def overlay(
    project: Mapping[str, Any],
    layout: ContainerLayout,
    *,
    run_id: str,
    project_name: str,
    networks: Mapping[str, str],
    environment: Mapping[str, Mapping[str, str]],
    share: Mapping[str, int | str] | None = None,
    asked: Collection[str] = (),
) -> str:
    """
    The overlay's text. networks: the layout's names -> the engine's; environment: a scenario's `with`, by service;
    share: each service's part of the processor, under Compose's names, where the person's file says nothing of it;
    asked: services whose readiness the harness asks by itself. Where nobody waits for their health, their health checks
    come seldom: each is a program started in the container, and five a second cost as much as the system under test.
    """
    awaited = {
        other
        for service in project["services"].values()
        for other, how in (service.get("depends_on") or {}).items()
        if (how or {}).get("condition") == "service_healthy"
    }
    calm = {name for name in set(asked) - awaited if project["services"][name].get("healthcheck")}
    services = {
        name: {
            **_service(name, service, layout.networks_of(name), run_id, environment.get(name, {})),
            **{key: value for key, value in (share or {}).items() if not service.get(key)},
            **({"healthcheck": {"interval": CALM_CHECKS}} if name in calm else {}),
        }
        for name, service in project["services"].items()
    }
    volumes = {
        name: _Override({"name": f"{project_name}-{name}", "labels": {RUN: run_id, PART: "volume"}})
        for name in project.get("volumes") or {}
    }
    document: dict[str, Any] = {
        "services": services,
        "networks": {
            name: {"name": real, "external": True} for name, real in networks.items() if name in _used(layout)
        },
    }
    if volumes:
        document["volumes"] = volumes
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _used(layout: ContainerLayout) -> set[str]:
    return {segment.name for segment in layout.segments}


def _service(
    name: str, service: Mapping[str, Any], joined: Sequence[str], run_id: str, environment: Mapping[str, str]
) -> dict[str, Any]:
    """joined: the layout's names of the networks it joins."""
    found: dict[str, Any] = {
        "labels": {RUN: run_id, PART: "service", SERVICE: name},
        "networks": _Override(
            {network: {"aliases": [upstream_name(name)]} if network == joined[0] else None for network in joined}
        ),
        "ports": _Reset(),
        "logging": _Override({"driver": "json-file"}),  # the one whose lines can be read back everywhere
    }
    for key in ("container_name", "links", "external_links", "network_mode"):
        if service.get(key):
            found[key] = _Reset()
    if environment:
        # A dollar of a value is not a variable: the scenario's text was read already.
        found["environment"] = {key: value.replace("$", "$$") for key, value in environment.items()}
    return found
