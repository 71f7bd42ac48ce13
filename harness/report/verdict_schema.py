"""The JSON Schema of verdict.json, in one place; `docs/verdict.schema.json` is made from it."""

from __future__ import annotations

import json
from typing import Any

_VERDICT = {
    "enum": ["PASS", "INCONCLUSIVE", "FAIL"],
    "description": "PASS and FAIL were earned; INCONCLUSIVE: evidence was missing, the reason says which",
}


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _flag(description: str) -> dict[str, Any]:
    return {"type": "boolean", "description": description}


def _number(description: str, *kinds: str) -> dict[str, Any]:
    return {"type": list(kinds) or ["number", "null"], "description": description}


def _object(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
    }


_CHECK = _object(
    "the answer of one check to one promise",
    {
        "check": _text("name of the check: availability, latency, breaker ..."),
        "title": _text("the promise in one line"),
        "verdict": _VERDICT,
        "reason": _text("why this verdict, with the numbers"),
        "bound": _text("what was promised: at least 99 %"),
        "measured": _text("what was measured: 98.3 %"),
        "value": _number("the measured value; null when there is none"),
        "unit": _text("unit of value and interval; empty for a count or a share of 0 to 1"),
        "samples": {"type": "integer", "minimum": 0, "description": "how many samples the value rests on"},
        "window": _text("the part of the run the promise speaks of"),
        "thin": _flag("true when the interval of the measurement contains the bound"),
        "interval": {
            "type": ["array", "null"],
            "items": {"type": ["number", "null"]},
            "minItems": 2,
            "maxItems": 2,
            "description": "confidence interval of value, [low, high]; null at an open end",
        },
        "evidence": {
            "type": "array",
            "items": {"type": "object"},
            "description": "rows to look at, all with the same keys",
        },
        "rests_on": {
            "type": "array",
            "items": {"type": "string"},
            "description": "receipts without which it would be inconclusive: kind and subject, once where they are the same",
        },
    },
)

_RECEIPT = _object(
    "proof, measured, that something the verdict rests on really was so",
    {
        "kind": _text("fault, load, observer, steady_state or journal"),
        "subject": _text("which one"),
        "verdict": _VERDICT,
        "status": _text("the finding in capitals: APPLIED, NO EFFECT, VALID, HEALTHY ..."),
        "sentence": _text("the finding in words, with the numbers"),
        "numbers": {"type": "object", "description": "the numbers behind it; the unit ends each name"},
        "machine_to_blame": _flag("true when only the machine was too busy: a second try makes sense"),
    },
)


def verdict_schema() -> dict[str, Any]:
    """The schema of format 1 of verdict.json, as JSON-ready values."""
    body = _object(
        "The verdict on one run. Readers pass over keys they do not know: a format may gain some.",
        {
            "format": {"const": 1, "description": "format of this file"},
            "harness": _text("version of harness that wrote it"),
            "scenario": _text("name of the scenario"),
            "run": _text("id of the run"),
            "verdict": _VERDICT,
            "reason": _text("why, in one sentence"),
            "declared": {**_VERDICT, "description": "what the scenario says the run has to end in"},
            "because": {
                "type": ["string", "null"],
                "description": "the check or receipt that has to be the cause, when the scenario names one",
            },
            "as_declared": _flag("true when the run ended as its scenario declares"),
            "checks": {"type": "array", "items": _CHECK},
            "receipts": {"type": "array", "items": _RECEIPT},
            "facts": {"type": "object", "description": "seed, versions, counts and the like"},
        },
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "verdict.json of harness, format 1",
        **body,
    }


def verdict_schema_text() -> str:
    """The text of docs/verdict.schema.json."""
    return json.dumps(verdict_schema(), indent=2) + "\n"
