"""
The building blocks of everything a person writes: units, names and the base model.

Each type reads what a person writes, holds what the program needs (the unit is
in the field's name), and says in the JSON Schema how it is written.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from harness import units

LINK = re.compile(r"[A-Za-z0-9_.-]+->[A-Za-z0-9_.-]+")
LOAD_CLIENT = "load"  # the client's name on the links by which the load enters


def _text(pattern: str, description: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "description": description, "examples": [example]})


def _link(value: Any) -> str:
    if isinstance(value, str) and LINK.fullmatch(compact := value.replace(" ", "")):
        return compact
    raise ValueError(f"{value!r} is not a link; write client->upstream: order->payment")


def _whole(value: Any, per_s: int, unit: str) -> int:
    """A duration in whole units of 1/per_s; a short one is refused rather than rounded to zero, which may mean never."""
    span_s = units.duration_s(value)
    count = round(span_s * per_s)
    if span_s > 0 and count == 0:
        raise ValueError(f"{value!r} is less than one {unit}, the smallest step there is here")
    return count


def _milliseconds(value: Any) -> int:
    return _whole(value, 1000, "millisecond")


def _microseconds(value: Any) -> int:
    return _whole(value, 1_000_000, "microsecond")


def _kilobytes_per_s(value: Any) -> int:
    """Whole KB/s (1 KB is 1000 bytes: Toxiproxy passes `rate` bytes each millisecond)."""
    if units.short(value) and (found := re.fullmatch(r"\s*(.+?)\s*/\s*s\s*", value)):
        try:
            size = units.size_bytes(found.group(1))
        except ValueError:
            size = 0
        if size and size % 1000 == 0:
            return size // 1000
        if size:
            raise ValueError(f"{value!r} is not a whole number of KB/s, the smallest step Toxiproxy knows")
    raise ValueError(f"{value!r} is not a bandwidth above zero; write a size a second: 20KB/s, 1MB/s")


def _positive(value: Any) -> float:
    span_s = units.duration_s(value)
    if span_s <= 0:
        raise ValueError(f"{value!r} must be longer than zero")
    return span_s


def _written(form: str) -> PlainSerializer:
    """Write a value back the way a person writes it, so that what is stored can be read again."""
    return PlainSerializer(form.format, return_type=str, when_used="json-unless-none")


_DURATION = r"^\s*(\d+(\.\d+)?\s*(us|µs|ms|s|m|h)\s*)+$"

Seconds = Annotated[
    float,
    BeforeValidator(units.duration_s),
    _written("{:.9f}s"),
    _text(_DURATION, "a duration with its unit", "250ms"),
]
PositiveSeconds = Annotated[
    float,
    BeforeValidator(_positive),
    _written("{:.9f}s"),
    _text(_DURATION, "a duration above zero, with its unit", "5s"),
]
Milliseconds = Annotated[
    int, BeforeValidator(_milliseconds), _written("{}ms"), _text(_DURATION, "a duration with its unit", "250ms")
]
Microseconds = Annotated[
    int, BeforeValidator(_microseconds), _written("{}us"), _text(_DURATION, "a duration with its unit", "100us")
]
KilobytesPerSecond = Annotated[
    int,
    BeforeValidator(_kilobytes_per_s),
    _written("{}KB/s"),
    _text(r"^\s*\d+(\.\d+)?\s*(B|KB|MB|GB|KiB|MiB|GiB)\s*/\s*s\s*$", "a bandwidth in whole KB/s", "20KB/s"),
]
PerSecond = Annotated[
    float,
    BeforeValidator(units.rate_per_s),
    _written("{:.9f}/s"),
    _text(r"^\s*\d+(\.\d+)?\s*/\s*(s|m|h|min|sec|second|minute|hour)\s*$", "a rate with its span", "40/s"),
]
Share = Annotated[
    float,
    BeforeValidator(units.share),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$"},
                {"type": "number", "minimum": 0, "maximum": 1},
            ],
            "description": "a share, as a percentage",
            "examples": ["99.5%"],
        }
    ),
]
Bytes = Annotated[
    int,
    BeforeValidator(units.size_bytes),
    _written("{}B"),
    _text(r"^\s*\d+(\.\d+)?\s*(B|KB|MB|GB|KiB|MiB|GiB)\s*$", "a size with its unit", "64KB"),
]
Link = Annotated[str, BeforeValidator(_link), _text(r"^[\w.-]+\s*->\s*[\w.-]+$", "client->upstream", "order->payment")]


class Words(BaseModel):
    """Base of what a person writes: frozen, and an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)
