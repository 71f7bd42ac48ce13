"""
A fault as people say it: `latency order->payment 2s jitter=100ms`, `kill user`, `status order->payment 503 share=20%`.

The first word is the kind, one is the target, what else has no name is taken in the order of PLACES. A mapping as in
a scenario (`{toxic: latency, link: ...}`) is understood too: some faults cannot be said in one breath.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from harness.errors import InputError
from harness.faults import FAULTS
from harness.faults.base import Fault
from harness.scenario.cross_check import aims_at
from harness.system.document import did_you_mean, read_value
from harness.system.mistakes import findings
from harness.system.model import System

PLACES: dict[str, tuple[str, ...]] = {
    "latency": ("latency", "jitter"),
    "bandwidth": ("rate",),
    "slow_close": ("delay",),
    "timeout": ("timeout",),
    "reset_peer": ("timeout",),
    "slicer": ("average_size", "size_variation", "delay"),
    "limit_data": ("bytes",),
    "status": ("status",),
    "delay": ("delay",),
    "restart": ("signal",),
}
EXAMPLE = 'for example "latency order->payment 2s", "kill user", "status order->payment 503 share=20%"'
LONGEST = 2000  # characters


def fault_of(phrase: str, system: System) -> Fault:
    """The fault a phrase says, on a system that has its target. Raises InputError with what would be right."""
    if len(phrase) > LONGEST:
        raise InputError(f"a fault of {len(phrase)} characters is too long", hint=EXAMPLE)
    words = _mapping(phrase) if phrase.lstrip().startswith("{") else _spoken(phrase)
    fault = _made(words, phrase)
    wrong = next(aims_at(fault, (), system), None)
    if wrong is not None:
        raise InputError(f"{phrase!r}: {wrong.message}", hint=wrong.hint)
    return fault


def _mapping(phrase: str) -> dict[str, Any]:
    try:
        data = read_value(phrase)
    except InputError as error:
        raise InputError(f"{phrase!r} cannot be read: {error}", hint=EXAMPLE) from None
    if not isinstance(data, dict):
        raise InputError(f"{phrase!r} is no fault", hint=EXAMPLE)
    return data


def _spoken(phrase: str) -> dict[str, Any]:
    words = re.sub(r"\s*->\s*", "->", phrase.strip()).split()
    if not words:
        raise InputError("no fault was named", hint=EXAMPLE)
    kind, *rest = words
    if kind not in FAULTS:
        raise InputError(f"{phrase!r}: {kind!r} is no kind of fault", hint=did_you_mean(kind, list(FAULTS)))
    fault = FAULTS[kind]
    found: dict[str, Any] = {fault.family: kind}
    places = iter(PLACES.get(kind, ()))
    for word in rest:
        key, sign, value = word.partition("=")
        if sign:
            found[key] = read_value(value)
        elif fault.acts_on not in found and (fault.acts_on == "service" or "->" in word):
            found[fault.acts_on] = word
        elif (place := next(places, None)) is not None:
            found[place] = read_value(word)
        else:
            raise InputError(f"{phrase!r}: {word!r} has no place here", hint=f"as in a file: {fault.example}")
    return found


def _made(words: dict[str, Any], phrase: str) -> Fault:
    kind = next((str(words[f.family]) for f in FAULTS.values() if f.family in words), "")
    if kind not in FAULTS or FAULTS[kind].family not in words:
        raise InputError(f"{phrase!r} does not say what kind of fault it is", hint=EXAMPLE)
    model = FAULTS[kind]
    try:
        return model.model_validate(words, by_alias=True, by_name=False)
    except ValidationError as error:
        first = findings(error, words, model)[0]
        raise InputError(f"{phrase!r}: {first.message}", hint=first.hint or f"as in a file: {model.example}") from None
