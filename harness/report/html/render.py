"""
Templates into pages: one file each, with style, script and data inside, that asks nobody for anything.

Whatever a template writes goes through `escape.one_line` first (secrets masked, control characters spelt out), and
then through the template engine's own escaping. The page forbids itself to load or send anything, and to run any
script but the one it was written with.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from harness import units
from harness.report import escape

LONGEST = 2_000  # of any one text


def render(template: str, **values: Any) -> str:
    """The text of a page. Raises jinja2's errors for a mistake in a template, which is a bug."""
    found: str = _environment().get_template(template).render(**values)
    return found


@cache
def _source(name: str) -> str:
    return files("harness.report.html").joinpath(name).read_text("utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_source), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_finalize,
    )  # fmt: skip
    environment.filters |= {
        "duration": duration, "seconds": seconds, "text": _text, "block": _block, "value": _value, "percent": _percent,
        "chip": verdict_css, "path": Markup,
    }  # fmt: skip
    environment.globals |= {
        "style": Markup(_source("report.css")),  # noqa: S704  # a file of ours
        "script": Markup(_source("report.js")),  # noqa: S704  # a file of ours
        "script_hash": _hash(_source("report.js")),
    }
    return environment


def _hash(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _finalize(item: Any) -> Any:
    """What a template writes: one line of text, unless it is markup of ours or a number."""
    if isinstance(item, Markup | int | float):
        return item
    return escape.one_line(item, LONGEST)


def _text(item: Any) -> str:
    """Any value as one line."""
    return escape.one_line(escape.value(item), LONGEST)


def _value(item: Any) -> str:
    return escape.value(item)


def _block(item: Any) -> Markup:
    """Text whose lines stay lines."""
    return Markup(Markup.escape(escape.lines(item)))  # noqa: S704  # escaped here


def _percent(share: float) -> str:
    return f"{share * 100:.2f}%"


def duration(span_ms: float | None) -> str:
    """Milliseconds for a person; a dash where nothing was measured."""
    return "–" if span_ms is None else units.show_duration(span_ms / 1000)


def seconds(at_s: float | None) -> str:
    """A second of the run."""
    return "–" if at_s is None else f"{at_s:.3f} s"


def verdict_css(word: Any) -> str:
    """The class of a verdict's colour."""
    return {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "inconclusive", "ERROR": "fail"}.get(str(word), "unknown")


def data_block(document: Any) -> Markup:
    """JSON for a data block of a page: nothing in it can end the block, every text is harmless."""
    text = json.dumps(_clean(document), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704  # no tag left


def _clean(item: Any) -> Any:
    """Texts escaped, floats as short as four digits allow; what JSON cannot hold is null."""
    if isinstance(item, str):
        return escape.one_line(item, LONGEST)
    if isinstance(item, float):
        return _short(item) if math.isfinite(item) else None
    if isinstance(item, dict):
        return {_clean(key): _clean(part) for key, part in item.items()}
    if isinstance(item, list | tuple):
        return [_clean(part) for part in item]
    return item


def _short(number: float) -> float | int:
    """A float that says no more than people read."""
    rounded = round(number, 3) if abs(number) < 100 else round(number, 1)
    return int(rounded) if rounded == int(rounded) else rounded
