"""
Compose's own way to put values of the environment into a file: `$NAME`, `${NAME:-default}`, `$$`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATORS = (":-", ":?", ":+", "-", "?", "+")
DEEPEST = 10


class Unset(ValueError):
    """`${NAME:?message}` and NAME has no value."""


def interpolate(text: str, environment: Mapping[str, str], depth: int = 0) -> str:
    """
    The text with every variable filled in; one that has no value and no default becomes empty, as in Compose.

    Forms: $NAME ${NAME} ${NAME:-default} ${NAME-default} ${NAME:?message} ${NAME?message} ${NAME:+other}
    ${NAME+other}, a default may hold further ones, $$ is a dollar. Raises ValueError for any other form.
    """
    if depth > DEEPEST:
        raise ValueError(f"variables are nested deeper than {DEEPEST} levels")
    parts, position = [], 0
    while (dollar := text.find("$", position)) >= 0:
        parts.append(text[position:dollar])
        if text.startswith("$$", dollar):
            parts.append("$")
            position = dollar + 2
        elif text.startswith("${", dollar):
            end = _closing(text, dollar + 2)
            parts.append(_braced(text[dollar + 2 : end], environment, depth))
            position = end + 1
        elif found := _NAME.match(text, dollar + 1):
            parts.append(environment.get(found.group(), ""))
            position = found.end()
        else:
            raise ValueError(f"{text!r} holds a $ that names no variable; write $$ for a dollar")
    parts.append(text[position:])
    return "".join(parts)


def _closing(text: str, start: int) -> int:
    """Where the brace that was opened before start closes."""
    level = 1
    position = start
    while position < len(text):
        if text.startswith("${", position):
            level += 1
            position += 1
        elif text[position] == "}":
            level -= 1
            if level == 0:
                return position
        position += 1
    raise ValueError(f"{text!r} opens ${{ and never closes it; write ${{NAME}} or ${{NAME:-default}}")


def _braced(inside: str, environment: Mapping[str, str], depth: int) -> str:
    found = _NAME.match(inside)
    if found is None:
        raise ValueError(f"${{{inside}}} names no variable; write ${{NAME}} or ${{NAME:-default}}")
    name, rest = found.group(), inside[found.end() :]
    value = environment.get(name)
    if not rest:
        return value or ""
    operator = next((o for o in _OPERATORS if rest.startswith(o)), None)
    if operator is None:
        raise ValueError(f"${{{inside}}} is not understood; write ${{NAME}} or ${{NAME:-default}}")
    argument = rest[len(operator) :]
    given = value is not None and (value != "" or not operator.startswith(":"))
    if operator.endswith("+"):
        return interpolate(argument, environment, depth + 1) if given else ""
    if given:
        return value or ""
    if operator.endswith("?"):
        said = interpolate(argument, environment, depth + 1)
        raise Unset(f"variable {name} has no value{': ' + said if said else ''}")
    return interpolate(argument, environment, depth + 1)
