"""
The JSON Schema of a scenario file, for editors: made from the model, so that it cannot say anything else.

It knows how each key is written. What needs the whole file, or the system (names, times), only `harness validate` knows.
"""

from __future__ import annotations

from typing import Any

from harness.faults import FAULTS
from harness.faults.base import Fault
from harness.scenario.model import Scenario
from harness.system.document import read_value

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_STEP_KEYS = ("steady", "recovery", "wait", "fault", "heal")


def scenario_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) as a dictionary."""
    schema = as_written(Scenario.model_json_schema(by_alias=True, mode="validation"))
    schema["$defs"]["Step"]["oneOf"] = [{"required": [key]} for key in _STEP_KEYS]
    return {
        "$schema": DIALECT,
        **schema,
        "title": "harness scenario",
        "description": "One scenario: a system, a load, a timeline of faults, and promises.",
    }


def as_written(schema: dict[str, Any]) -> dict[str, Any]:
    """A model's schema with faults and load as people write them in a file; the same dictionary, changed."""
    definitions: dict[str, Any] = schema["$defs"]
    for fault in FAULTS.values():
        definition = _definition_of(fault, definitions)
        # The model has a default for it; a file has nothing else to be recognised by.
        definition["required"] = [fault.family, *definition.get("required", [])]
        definition["examples"] = [read_value(fault.example)["fault"]]
        if "methods" in definition["properties"]:
            definition["properties"]["methods"] = _one_or_many(definition["properties"]["methods"])
    _loosen_arrivals(definitions["Load"]["properties"]["arrivals"])
    return without_defaults(schema)


def without_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without the model's defaults: they are in the program's units, in a file they would be read otherwise."""
    for definition in (schema, *schema["$defs"].values()):
        for part in definition.get("properties", {}).values():
            part.pop("default", None)
    return schema


def _definition_of(fault: type[Fault], definitions: dict[str, Any]) -> dict[str, Any]:
    """A fault's own definition; its name alone may be a promise's too."""
    return next(
        definition
        for definition in definitions.values()
        if definition.get("properties", {}).get(fault.family, {}).get("const") == fault.kind
    )


def _loosen_arrivals(arrivals: dict[str, Any]) -> None:
    """A rate alone, or a single piece, may stand for the list."""
    piece = {"$ref": "#/$defs/RateSegment"}
    rate = {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*/\s*(s|m|h|min|sec|second|minute|hour)\s*$"}
    arrivals["anyOf"] = [rate, piece, *arrivals["anyOf"]]


def _one_or_many(methods: dict[str, Any]) -> dict[str, Any]:
    many = {key: value for key, value in methods.items() if key not in {"title", "description", "default"}}
    return {"description": methods["description"], "anyOf": [methods["items"], many]}
