"""
What pydantic found wrong, said in a person's words: the place in their file, the value, what would be right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from harness.secrets import MASK, is_secret_name
from harness.system.document import Where, did_you_mean

LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong at a place of the data, before it is known which file and line that is."""

    where: Where
    message: str
    hint: str | None = None


Explain = Callable[[Where, Any], Finding]


def shown(value: Any) -> str:
    """A value as it is quoted in a message, cut when long."""
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def stands_secret(where: Where) -> bool:
    """Whether the value at a place must not be quoted: the last name on the way to it looks secret."""
    names = [part for part in where if isinstance(part, str)]
    return bool(names) and is_secret_name(names[-1])


def path_text(where: Where) -> str:
    """`timeline[1].fault.latency`, as `--set` takes it."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def findings(
    error: ValidationError, data: Any, model: type[BaseModel], below: Where = (), explain: Explain | None = None
) -> list[Finding]:
    """
    Every error as a finding. `below` is where data stands in the whole file.

    explain: says in better words what a value that is no member of a union should be, given its place and value.
    """
    grouped: dict[Where, list[ErrorDetails]] = {}
    for one in error.errors(include_url=False):
        grouped.setdefault(_place(one["loc"], data, one["type"]), []).append(one)
    found = []
    for where, errors in grouped.items():
        if explain is not None and errors[0]["type"].startswith("union_tag"):
            found.append(explain(below + where, errors[0]["input"]))
        else:
            found.append(_finding(where, errors, data, model, below))
    return found


def _place(loc: Sequence[str | int], data: Any, kind: str) -> Where:
    """The part of pydantic's location that exists in the data; names of union members do not."""
    where: list[str | int] = []
    current = data
    for number, part in enumerate(loc):
        if _holds(current, part):
            current = current[part]
            where.append(part)
        elif kind == "missing" and number == len(loc) - 1:
            where.append(part)
    return tuple(where)


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def _finding(where: Where, errors: list[ErrorDetails], data: Any, model: type[BaseModel], below: Where) -> Finding:
    one = errors[0]
    kind, context = one["type"], one.get("ctx", {})
    value = MASK if stands_secret(below + where) else one["input"]
    place = path_text(below + where) or "the file"
    full = below + where
    owner = _owner(model, one["loc"])
    hint: str | None = None
    if kind == "missing":
        field = _fields(owner).get(str(where[-1]))
        message = f"key {str(where[-1])!r} is missing{_in(below + where[:-1])}"
        return Finding(where=(below + where)[:-1], message=message, hint=_written(str(where[-1]), field))
    if kind == "extra_forbidden":
        message = f"unknown key {str(where[-1])!r}{_in(below + where[:-1])}"
        taken = _get(data, where[:-1])
        free = [k for k in _fields(owner) if not isinstance(taken, dict) or k not in taken]
        return Finding(where=full, message=message, hint=did_you_mean(str(where[-1]), free or list(_fields(owner))))
    if len(errors) > 1 and {e["type"] for e in errors} > {kind}:
        message = f"{place} is {shown(value)}, must be {' or '.join(dict.fromkeys(_wanted(e) for e in errors))}"
    elif kind == "value_error":
        said = str(context.get("error", one["msg"]))
        message = f"{place}: {said}" if value is one["input"] else f"{place} is {MASK}, which cannot be used"
    elif kind in {"literal_error", "enum"}:
        message = f"{place} is {shown(value)}, must be one of {context['expected']}"
        hint = did_you_mean(str(value), _literals(str(context["expected"])))
        hint = hint if hint and hint.startswith("did") else None
    else:
        message = f"{place} is {shown(value)}, must be {_wanted(one)}"
        hint = _example(_fields(_owner(model, one["loc"][:-1])).get(str(where[-1]))) if where else None
    return Finding(where=full, message=message, hint=hint)


def _wanted(one: ErrorDetails) -> str:
    """What would have been right, after the words "must be"."""
    kind, context = one["type"], one.get("ctx", {})
    known = {
        "string_type": "a text",
        "int_type": "a whole number",
        "int_parsing": "a whole number",
        "int_from_float": "a whole number",
        "int_parsing_size": "a smaller number",
        "float_type": "a number",
        "float_parsing": "a number",
        "finite_number": "a finite number",
        "bool_type": "true or false",
        "bool_parsing": "true or false",
        "tuple_type": "a list",
        "list_type": "a list",
        "dict_type": "keys and values",
        "model_type": "keys and values",
        "model_attributes_type": "keys and values",
    }
    if kind in known:
        return known[kind]
    templates = {
        "greater_than": "above {gt}",
        "greater_than_equal": "at least {ge}",
        "less_than": "below {lt}",
        "less_than_equal": "at most {le}",
        "string_pattern_mismatch": "written like the pattern {pattern}",
        "string_too_short": "at least {min_length} characters long",
        "string_too_long": "at most {max_length} characters long",
        "too_short": "at least {min_length} long; it has {actual_length}",
        "too_long": "at most {max_length} long; it has {actual_length}",
    }
    if kind in templates:
        return templates[kind].format(**context)
    return f"otherwise: {one['msg']}"


def _owner(model: Any, loc: Sequence[str | int]) -> type[BaseModel] | None:
    """The model whose keys stand at loc's last part, walked down from the top model."""
    current: Any = model
    for part in loc[:-1]:
        fields = _fields(current)
        if isinstance(part, str) and part in fields:
            current = fields[part].annotation
        elif (tagged := _tagged(current, part)) is not None:
            current = tagged
        else:
            current = _element(current, part)
        current = _model_in(current)
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _fields(model: Any) -> dict[str, FieldInfo]:
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {}
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> Any:
    """The only model an annotation such as `Load | None` holds, else the annotation itself."""
    while get_origin(annotation) is not None and hasattr(annotation, "__metadata__"):
        if any(hasattr(m, "discriminator") for m in annotation.__metadata__):
            return annotation
        annotation = get_args(annotation)[0]
    models = [a for a in get_args(annotation) if isinstance(a, type) and issubclass(a, BaseModel)]
    if len(models) == 1 and get_origin(annotation) not in {tuple, list, dict}:
        return models[0]
    others = [a for a in get_args(annotation) if a is not type(None) and a is not Ellipsis]
    if len(others) == 1 and get_origin(annotation) not in {tuple, list, dict}:
        return _model_in(others[0])
    return annotation


def _element(annotation: Any, part: str | int) -> Any:
    """What a list or mapping of something holds."""
    arguments = [a for a in get_args(annotation) if a is not Ellipsis and a is not type(None)]
    if get_origin(annotation) is dict and len(arguments) == 2:
        return arguments[1]
    if isinstance(part, int) and arguments:
        return arguments[0]
    return annotation


def _tagged(annotation: Any, part: str | int) -> Any:
    """The member of a tagged union that pydantic chose."""
    for argument in _members(annotation):
        tags = [getattr(m, "tag", None) for m in getattr(argument, "__metadata__", ())]
        if part in tags:
            return get_args(argument)[0]
    return None


def _members(annotation: Any) -> Iterable[Any]:
    for argument in get_args(annotation):
        yield argument
        if get_origin(argument) is Union or hasattr(argument, "__metadata__"):
            yield from _members(argument)


def _get(data: Any, where: Where) -> Any:
    for part in where:
        data = data[part]
    return data


def _in(where: Where) -> str:
    return f" in {path_text(where)}" if where else ""


def _example(field: FieldInfo | None) -> str | None:
    if field is None or not field.description:
        return None
    return field.description


def _written(key: str, field: FieldInfo | None) -> str | None:
    return f"{key}: {field.description}" if field is not None and field.description else None


def _literals(expected: str) -> list[str]:
    return [word.strip().strip("'") for word in expected.replace(" or ", ", ").split(",")]
