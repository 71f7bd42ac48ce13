"""
A scenario as it may be written down: its secrets masked, and still a scenario that can be judged by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import secrets
from harness.scenario.model import Scenario


def masked_scenario(scenario: Mapping[str, Any]) -> dict[str, Any]:
    """A scenario's JSON without secrets: in its `with`, in headers and bodies of its faults, and in every text."""
    written = {key: secrets.texts(part) for key, part in scenario.items()}
    if "with" in scenario:
        written["with"] = {service: secrets.fields(values) for service, values in scenario["with"].items()}
    if "timeline" in scenario:
        written["timeline"] = [_step(step) for step in scenario["timeline"]]
    return written


def as_journalled(scenario: Scenario) -> Scenario:
    """The scenario in the form in which the journal of its run has it: names that hold secrets are masked there."""
    return Scenario.model_validate(masked_scenario(scenario.model_dump(mode="json", exclude_none=True)))


def masked_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts for a journal's run table; `scenario` and `overrides` are read by their fields, the rest as text."""
    found = {key: secrets.texts(value) for key, value in facts.items()}
    if isinstance(facts.get("scenario"), Mapping):
        found["scenario"] = masked_scenario(facts["scenario"])
    if "overrides" in facts:
        found["overrides"] = secrets.fields(list(facts["overrides"]))
    return found


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = secrets.texts(step)
    fault = step.get("fault")
    for part in ("headers", "json", "undo"):
        if isinstance(fault, Mapping) and isinstance(fault.get(part), Mapping):
            found["fault"][part] = secrets.fields(fault[part])
    return found
