"""
Faults, checks and the parts of a scenario, described from their own models.

`list`, `explain` and docs/reference.md all show this; nothing about a key is written down twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_SHARE_EXAMPLES = ["99.5%"]
_WORDS = {  # the examples that words.py gives, one a type
    "250ms": "duration",
    "5s": "duration above zero",
    "40/s": "rate",
    "99.5%": "share",
    "64KB": "size",
    "order->payment": "link",
}
_UNITS = {"_per_s": "/s", "_ms": "ms", "_s": "s", "_bytes": "B"}  # how a field's name ends: what a person writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key a person may write."""

    name: str
    form: str  # how its value is written: `a value such as 250ms`
    required: bool
    default: str | None  # as a person would write it; None: there is none
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One fault, check or part of a scenario."""

    name: str
    what: str  # fault (toxic, on a link) | check | part of a scenario
    group: str  # faults | checks | scenario
    summary: str
    text: str  # the class's own docstring beyond the summary; may be empty
    keys: tuple[Key, ...]
    example: str  # YAML; may be empty


def faults() -> list[Described]:
    """Every fault, in the order of their table."""
    from harness.faults import FAULTS

    return [
        Described(
            name=fault.kind,
            what=f"fault, {fault.family}, on a {fault.acts_on}",
            group="faults",
            summary=fault.summary,
            text=_doc(fault),
            keys=tuple(keys_of(fault)),
            example=fault.example,
        )
        for fault in FAULTS.values()
    ]


def checks() -> list[Described]:
    """Every promise that can be made, and so every check."""
    from harness.scenario.promises import PROMISES

    return [
        Described(
            name=promise.check,
            what="check",
            group="checks",
            summary=promise.summary,
            text=_doc(promise),
            keys=tuple(keys_of(promise)),
            example=promise.example,
        )
        for promise in PROMISES.values()
    ]


def parts() -> list[Described]:
    """What a scenario file is made of."""
    from harness.scenario.model import Load, RateSegment, Scenario, Step

    named: dict[str, tuple[type[BaseModel], str]] = {
        "scenario": (Scenario, "the keys of a scenario file"),
        "load": (Load, "how requests arrive: `load` of a scenario"),
        "arrivals": (RateSegment, "one piece of an arrival curve: `arrivals` of a load"),
        "timeline": (Step, "one step of `timeline`: a fault, or a stretch of quiet"),
    }
    return _parts(named, "scenario")


def drill_parts() -> list[Described]:
    """What a drill file is made of, beside what a scenario has too."""
    from harness.drill.model import Answer, Deed, Drill, Objectives, Rpo, ScriptStep
    from harness.drill.persons import WrittenAnswer
    from harness.live.floors import Floor

    named: dict[str, tuple[type[BaseModel], str]] = {
        "drill": (Drill, "the keys of a drill file"),
        "script": (ScriptStep, "one line of `script`: a phase, a fault, a manual step, a note"),
        "does": (Deed, "what the harness does when a manual step is done"),
        "objectives": (Objectives, "how quick people and system want to be"),
        "rpo": (Rpo, "how much acknowledged work may be lost"),
        "abort": (Floor, "a floor: everything is healed when an objective falls below it"),
        "answer": (Answer, "what became of a manual step, in a recorded script"),
        "answers": (WrittenAnswer, "one line of a file of answers, for a drill without people"),
    }
    return _parts(named, "drill")


def _parts(named: Mapping[str, tuple[type[BaseModel], str]], group: str) -> list[Described]:
    return [
        Described(
            name=name,
            what=f"part of a {group}",
            group=group,
            summary=summary,
            text=_doc(model),
            keys=tuple(keys_of(model)),
            example="",
        )
        for name, (model, summary) in named.items()
    ]


def everything() -> list[Described]:
    """All there is to explain."""
    return [*faults(), *checks(), *parts(), *drill_parts()]


def keys_of(model: type[BaseModel]) -> Iterable[Key]:
    """The keys of a model, by the names a person writes."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    for name, field in model.model_fields.items():
        key = field.alias or name
        found = schema["properties"].get(key, {})
        names_it = "const" in found  # `toxic: latency` has a default in Python, and has to be written in YAML
        yield Key(
            name=key,
            form=_form(found, definitions),
            required=field.is_required() or names_it,
            default=None if names_it else _default(name, field, found),
            description=field.description or "",
        )


def _doc(model: type[BaseModel]) -> str:
    return inspect.cleandoc(model.__doc__) if model.__doc__ else ""


def _form(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """How a value is written, in words."""
    if "$ref" in schema:
        return _form(definitions.get(schema["$ref"].rsplit("/", 1)[-1], {}), definitions)
    if examples := schema.get("examples"):
        return f"{_WORDS.get(examples[0], '')} such as {examples[0]}".strip()
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return " or ".join(str(choice) for choice in schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return _union_form(schema[union], definitions)
    return _plain_form(schema, definitions)


def _union_form(members: list[Mapping[str, Any]], definitions: Mapping[str, Any]) -> str:
    forms = [_form(member, definitions) for member in members if member.get("type") != "null"]
    return " or ".join(dict.fromkeys(forms)) if len(forms) <= 4 else "one of several, each explained by its own name"


def _plain_form(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if kind == "array":
        return f"list of: {_form(schema.get('items', {}), definitions)}"
    words = {
        "integer": "whole number",
        "number": "number",
        "boolean": "true or false",
        "object": "mapping",
        "string": "text",
    }
    text = words.get(str(kind), "any value")
    limits = [
        f"from {schema['minimum']}" if "minimum" in schema else "",
        f"to {schema['maximum']}" if "maximum" in schema else "",
    ]
    return " ".join(part for part in (text, *limits) if part)


def _default(name: str, field: FieldInfo, schema: Mapping[str, Any]) -> str | None:
    """The default as a person would write it; None when there is none, or none worth showing."""
    value = field.default
    if field.is_required() or value is None or value == () or field.default_factory is not None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int | float):
        return str(value)
    if _is_share(schema):
        return f"{value * 100:g}%"
    unit = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")
    return f"{value:g}{unit}"


def _is_share(schema: Mapping[str, Any]) -> bool:
    return schema.get("examples") == _SHARE_EXAMPLES or any(_is_share(part) for part in schema.get("anyOf", ()))
