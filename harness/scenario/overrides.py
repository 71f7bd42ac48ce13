"""
`--set timeline[1].fault.latency=800ms`: values changed by path, before anything is checked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from harness.errors import InputError, Mistake
from harness.system.document import Where, did_you_mean, read_value
from harness.system.mistakes import path_text

_PART = re.compile(r"\[([^\[\]]*)\]|\"([^\"]*)\"|([^.\[\]\"]+)")
FORM = "write it like timeline[1].fault.latency=800ms"


class _Wrong(Exception):
    """One override cannot be applied."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def apply(overrides: Sequence[str], data: dict[str, Any]) -> tuple[dict[Where, str], list[Mistake]]:
    """Change data in place. Gives each changed place with the words that changed it, and what could not be done."""
    changed: dict[Where, str] = {}
    mistakes = []
    for override in overrides:
        label = f"--set {override}"
        try:
            changed[_apply(override, data)] = label
        except _Wrong as wrong:
            mistakes.append(Mistake(label, None, str(wrong), wrong.hint))
    return changed, mistakes


def _apply(override: str, data: dict[str, Any]) -> Where:
    path, sign, text = override.partition("=")
    parts = _parts(path.strip())
    if not sign or not parts:
        raise _Wrong(f"{override!r} is not PATH=VALUE", FORM)
    try:
        value = read_value(text)
    except InputError as error:
        raise _Wrong(f"{text!r} is not a value: {error}", FORM) from None
    return _put(data, parts, value, ())


def _parts(path: str) -> list[str | int]:
    """Keys as texts, `[1]` as a number, `[slow]` as a name in brackets."""
    parts: list[str | int] = []
    position = 0
    while position < len(path):
        if parts and path[position] == ".":
            position += 1
        found = _PART.match(path, position)
        if found is None:
            raise _Wrong(f"{path!r} is not a path", FORM)
        bracket, quoted, word = found.groups()
        if bracket is None:
            parts.append(quoted if quoted is not None else word)
        else:
            parts.append(int(bracket) if re.fullmatch(r"-?\d{1,6}", bracket) else f"[{bracket}]")
        position = found.end()
    return parts


def _put(data: Any, parts: list[str | int], value: Any, where: Where) -> Where:
    """Walk down to the place and set it. A key with dots in it is found as one."""
    if isinstance(data, list):
        number = _position(data, parts[0], where)
        return _go(data, number, parts[1:], value, (*where, number))
    if not isinstance(data, dict):
        raise _Wrong(f"{path_text(where)} is a single value; nothing stands below it")
    for length in range(len(parts), 0, -1):
        key = ".".join(str(part) for part in parts[:length])
        if key in data:
            return _go(data, key, parts[length:], value, (*where, key))
    new = parts[0]
    if where == () and new == "with" and len(parts) > 1:
        data["with"] = {}
        return _put(data["with"], parts[1:], value, ("with",))
    if where == ("with",) and len(parts) > 1:
        data[str(new)] = {}
        return _put(data[str(new)], parts[1:], value, (*where, str(new)))
    if len(where) == 2 and where[0] == "with":
        new, parts = ".".join(str(part) for part in parts), parts[:1]
    if len(parts) > 1 or isinstance(new, int):
        place = path_text(where) or "the scenario"
        raise _Wrong(f"{place} has no {new!r}", did_you_mean(str(new), [str(key) for key in data]))
    data[new] = value
    return (*where, new)


def _go(data: Any, key: Any, rest: list[str | int], value: Any, where: Where) -> Where:
    if rest:
        return _put(data[key], rest, value, where)
    data[key] = value
    return where


def _position(data: list[Any], part: str | int, where: Where) -> int:
    """A number, or the name a step has been given by `as`, in brackets."""
    if isinstance(part, int) and 0 <= part < len(data):
        return part
    names = [one.get("as") if isinstance(one, dict) else None for one in data]
    name = str(part).strip("[]")
    if isinstance(part, str) and name in names:
        return names.index(name)
    known = [str(n) for n in names if n is not None]
    raise _Wrong(
        f"{path_text(where)} has no {name!r}; it has {len(data)} entries, [0] to [{len(data) - 1}]",
        did_you_mean(name, known) if isinstance(part, str) else None,
    )
