"""
A fault or a promise whose kind cannot be made out: what a person probably meant.
"""

from __future__ import annotations

import difflib
from typing import Any

from harness.faults import FAULTS
from harness.scenario.promises import PROMISES
from harness.system.document import Where, did_you_mean
from harness.system.mistakes import Finding, path_text, shown


def unnamed(where: Where, value: Any) -> Finding:
    """What to say of a value that is no fault (below `fault`), or no promise (an entry of `expect`)."""
    return _fault(where, value) if where and where[-1] == "fault" else _promise(where, value)


def _fault(where: Where, value: Any) -> Finding:
    families: dict[str, list[str]] = {}
    for fault in FAULTS.values():
        families.setdefault(fault.family, []).append(fault.kind)
    example = FAULTS["latency"].example
    if not isinstance(value, dict):
        message = f"{path_text(where)} is {shown(value)}, must be keys and values"
        return Finding(where=where, message=message, hint=f"for example: {example}")
    family = next((family for family in families if family in value), None)
    if family is None:
        return _no_family(where, value, families)
    kind = value[family]
    message = f"{family} is {shown(kind)}, must be one of {', '.join(families[family])}"
    hint = None
    if isinstance(kind, str) and kind in FAULTS:
        hint = f"did you mean `{FAULTS[kind].family}: {kind}`?"
    elif isinstance(kind, str):
        near = difflib.get_close_matches(kind, list(FAULTS), n=1)
        hint = f"did you mean `{FAULTS[near[0]].family}: {near[0]}`?" if near else None
    return Finding(where=(*where, family), message=message, hint=hint)


def _no_family(where: Where, value: dict[str, Any], families: dict[str, list[str]]) -> Finding:
    kinds = [word for key, one in value.items() for word in (key, one) if isinstance(word, str) and word in FAULTS]
    message = f"{path_text(where)} does not say what kind of fault it is"
    if kinds:
        return Finding(where=where, message=message, hint=f"did you mean `{FAULTS[kinds[0]].family}: {kinds[0]}`?")
    near = [m for key in value for m in difflib.get_close_matches(key, list(families), n=1)]
    if near:
        return Finding(where=where, message=message, hint=f"did you mean the key {near[0]!r}?")
    ways = "; ".join(f"{family}: {'|'.join(kinds)}" for family, kinds in families.items())
    return Finding(where=where, message=message, hint=f"write one of {ways}")


def _promise(where: Where, value: Any) -> Finding:
    checks = list(PROMISES)
    if not isinstance(value, dict) or not value:
        message = f"{path_text(where)} is {shown(value)}, must be a check with its promise"
        return Finding(where=where, message=message, hint=f"for example: {PROMISES['availability'].example}")
    if len(value) > 1:
        message = f"{path_text(where)} holds {len(value)} keys ({', '.join(value)}), must be one check"
        hint = "one line of expect is one check; put its keys in braces: - availability: {at_least: 99%}"
        return Finding(where=where, message=message, hint=hint)
    name = next(iter(value))
    return Finding(where=(*where, name), message=f"unknown check {name!r}", hint=did_you_mean(name, checks))
