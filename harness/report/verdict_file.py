"""
verdict.json: a run's verdict for machines, versioned, readable again.

Within one format, keys may be added but never change their meaning: readers pass over
what they do not know. The JSON Schema is in `verdict_schema.py` and `docs/verdict.schema.json`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from harness import __version__
from harness.errors import InputError, Mistake
from harness.secrets import texts
from harness.verdict import CheckResult, Receipt, RunVerdict, Verdict

T = TypeVar("T")
FORMAT = 1
FILE_NAME = "verdict.json"


def document(verdict: RunVerdict) -> dict[str, Any]:
    """
    The verdict as JSON-ready values.

    Numbers that JSON cannot hold become null: an open end of an interval, a value nobody could measure.
    """
    fields = {field.name: getattr(verdict, field.name) for field in dataclasses.fields(verdict)}
    return {"format": FORMAT, "harness": __version__, **{name: texts(_plain(item)) for name, item in fields.items()}}


def dump_verdict(verdict: RunVerdict) -> str:
    """The text of verdict.json."""
    return json.dumps(document(verdict), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def load_verdict(path: Path) -> RunVerdict:
    """Read verdict.json, or that of a run's folder. Raises InputError."""
    file = path
    try:
        file = path / FILE_NAME if path.is_dir() else path
        if file.exists() and not file.is_file():
            raise _unreadable(file, None, "this is no ordinary file; a verdict is one")
        text = file.read_text("utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL inside the path
        raise _unreadable(file, None, f"cannot be read: {error}") from error
    try:
        return parse_verdict(json.loads(text))
    except json.JSONDecodeError as error:
        message = f"not a verdict of this program: no JSON: column {error.colno}: {error.msg}"
        raise _unreadable(file, error.lineno, message) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"not a verdict of this program: {type(error).__name__}: {_first_line(error)}"
        raise _unreadable(file, None, message) from error


def _unreadable(file: Path, line: int | None, message: str) -> InputError:
    mistake = Mistake(file, line, message)
    hint = "harness report RUN makes it anew from the run's journal"
    return InputError(str(mistake), hint=hint, mistakes=(mistake,))


def _first_line(error: Exception) -> str:
    """What was wrong in one line: pydantic's own text has several."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        one = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
    return str(error)


def parse_verdict(found: Mapping[str, Any]) -> RunVerdict:
    """The verdict a document holds. Raises ValueError, KeyError or TypeError when it holds none."""
    if found["format"] != FORMAT:
        raise ValueError(f"format {found['format']!r}, this version reads {FORMAT}")
    values = {field.name: found[field.name] for field in dataclasses.fields(RunVerdict)}
    values["verdict"] = Verdict(found["verdict"])
    values["declared"] = Verdict(found["declared"])
    values["checks"] = tuple(_check(item) for item in found["checks"])
    values["receipts"] = tuple(_receipt(item) for item in found["receipts"])
    return _typed(RunVerdict, values)


def _typed(kind: type[T], values: dict[str, Any]) -> T:
    """An instance whose values have the types its class says. Raises ValidationError, a ValueError."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python(values)


def _check(found: Mapping[str, Any]) -> CheckResult:
    values = {field.name: found[field.name] for field in dataclasses.fields(CheckResult) if field.name != "rests_on"}
    values["rests_on"] = tuple(found.get("rests_on", ()))  # older files of this format say nothing of it
    values["verdict"] = Verdict(found["verdict"])
    values["evidence"] = tuple(found["evidence"])
    if found["interval"] is not None:
        low, high = found["interval"]
        values["interval"] = (-math.inf if low is None else low, math.inf if high is None else high)
    return _typed(CheckResult, values)


def _receipt(found: Mapping[str, Any]) -> Receipt:
    values = {field.name: found[field.name] for field in dataclasses.fields(Receipt)}
    values["verdict"] = Verdict(found["verdict"])
    return _typed(Receipt, values)


def _plain(item: Any) -> Any:
    """Whatever a judge put in, as JSON has it."""
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return {field.name: _plain(getattr(item, field.name)) for field in dataclasses.fields(item)}
    if isinstance(item, Enum):
        return _plain(item.value)
    if isinstance(item, float):
        return item if math.isfinite(item) else None
    if item is None or isinstance(item, str | int):
        return item
    if isinstance(item, Mapping):
        return {str(key): _plain(part) for key, part in item.items()}
    if isinstance(item, set | frozenset):
        return sorted((_plain(part) for part in item), key=str)
    if isinstance(item, list | tuple):
        return [_plain(part) for part in item]
    return str(item)
